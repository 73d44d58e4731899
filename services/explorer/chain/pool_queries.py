"""Reads the pool: totals, fees, projected blocks, and the relatives of its transactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.explorer.chain.cpfp import PoolRelatives, cpfp
from services.explorer.chain.fee_estimates import (
    FeeBand,
    PoolFees,
    ProjectedBlock,
    fee_bands,
    projected_blocks,
    recommended_fees,
)
from services.explorer.chain.pool_fee_cache import PoolFeeCache
from shared.chain.codec import PoolEntry, PoolSample
from shared.chain.pool_snapshot import read_cluster
from shared.chain.view import ChainView, PoolStats, TxRecord

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PoolOverview:
    """The pool as a whole."""

    count: int
    vsize: int
    """Virtual bytes."""
    fees: int
    """Satoshis."""
    projected: tuple[ProjectedBlock, ...]
    """The next block first."""
    bands: tuple[FeeBand, ...]
    recommended: dict[str, int]
    """mempool.space's five feerates in satoshis per virtual byte."""


class PoolQueries:
    """Reads the unconfirmed transactions."""

    def __init__(self, view: ChainView) -> None:
        self._view = view
        self._fees = PoolFeeCache(view)

    def stats(self) -> PoolStats:
        """Return the pool's totals."""
        return self._view.pool.stats()

    def derive(self, function: Callable[[PoolFees], T]) -> T:
        """Return a pure function of the fees and sizes of the pool's transactions."""
        return self._fees.derive(function)

    def overview(self) -> PoolOverview:
        """Return totals, projected blocks, histogram and feerates of the pool as it is now."""
        return self.derive(_overview)

    def history(self, since: int) -> list[PoolSample]:
        """Return samples of the pool's size since a time in seconds, oldest first."""
        return self._view.pool.history(since)

    def entries(self) -> dict[bytes, PoolEntry]:
        """Return every unconfirmed transaction's entry by txid; `derive` is faster where txids do not matter."""
        return self._view.pool.entries()

    def txids(self) -> list[bytes]:
        """Return every unconfirmed txid, newest first."""
        return self._view.pool.txids()

    def newest(self, count: int) -> list[TxRecord]:
        """Return up to `count` transactions, newest first, less any that left the pool during the read."""
        return self._view.pool.present(self._view.pool.txids(count))

    def entry_times(self, txids: Sequence[bytes]) -> list[int]:
        """Return the time of each transaction's entry into the pool, in seconds since 1970; 0 if it is not there."""
        records = self._view.pool.present(txids)
        times = {record.tx.txid: record.pool.time for record in records if record.pool}
        return [times.get(txid, 0) for txid in txids]

    def cpfp(self, txid: bytes) -> PoolRelatives | None:
        """Return an unconfirmed transaction's relatives and feerate, None if it is not in the pool."""
        return cpfp(self._view.at_tip(lambda _: read_cluster(self._view, txid)), txid)


def _overview(pool: PoolFees) -> PoolOverview:
    return PoolOverview(
        len(pool),
        pool.vsize(0, len(pool)),
        pool.fees(0, len(pool)),
        tuple(projected_blocks(pool)),
        tuple(fee_bands(pool)),
        recommended_fees(pool),
    )
