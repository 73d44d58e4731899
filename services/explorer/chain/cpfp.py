"""An unconfirmed transaction with its relatives, which are mined together (CPFP). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.chain.codec import PoolEntry
from shared.chain.pool_snapshot import PoolPart
from shared.pool.snapshot import PooledTx


@dataclass(frozen=True, slots=True)
class PoolRelatives:
    """An unconfirmed transaction's relatives in the pool, and the feerate that they give it."""

    entry: PoolEntry
    ancestors: list[PooledTx[PoolEntry]]
    """In the order of entry, as the descendants."""
    descendants: list[PooledTx[PoolEntry]]
    feerate: float
    """The chunk's satoshis per virtual byte, by which a miner judges the transaction."""


def cpfp(pool: PoolPart, txid: bytes) -> PoolRelatives | None:
    """Return a transaction's relatives and feerate, given its cluster; None if it is not in the pool."""
    if txid not in pool:
        return None

    def ordered(txids: Iterable[bytes]) -> list[PooledTx[PoolEntry]]:
        return sorted((pool.txs[each] for each in txids), key=lambda pooled: pooled.entry.sequence)

    chunk = pool.chunk(txid)
    return PoolRelatives(
        entry=pool.txs[txid].entry,
        ancestors=ordered(pool.graph.ancestors([txid]) - {txid}),
        descendants=ordered(pool.graph.descendants([txid]) - {txid}),
        feerate=chunk.fee / sum(pool.txs[each].entry.vsize for each in chunk.txids),
    )
