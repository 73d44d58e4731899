"""Reads an unconfirmed transaction's relatives: those that it is joined to by spending, however many steps away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from services.explorer.chain.cpfp import Members
from shared.chain.codec import PoolEntry
from shared.chain.view import ChainView
from shared.primitives.transaction import OutPoint, Transaction

MAX_FAMILY = 100


class Relatives:
    """Reads the pool; to be called within `ChainView.at_tip`."""

    def __init__(self, view: ChainView) -> None:
        self._view = view

    def of(self, txid: bytes) -> Members:
        """Return an unconfirmed transaction and those related to it by spending; empty if it is not one.

        Its own ancestors and descendants are all there, and of the more distant ones up to about `MAX_FAMILY`, each
        with all its ancestors.
        """
        found = self._follow({}, [txid], self._children)
        found = self._follow(found, found, lambda txs: self._children(txs) | _parents(txs), MAX_FAMILY)
        return self._follow(found, found, _parents)

    def _follow(
        self,
        known: Members,
        txids: Iterable[bytes],
        further: Callable[[Sequence[Transaction]], set[bytes]],
        most: int | None = None,
    ) -> Members:
        """Return transactions and what `further` leads to from them; those that are known are not read again."""
        found: dict[bytes, tuple[Transaction, PoolEntry]] = {}
        pending = set(txids)
        while pending and (most is None or len(found) < most):
            records = self._view.pool.present([txid for txid in pending if txid not in known])
            level = {record.tx.txid: (record.tx, record.pool) for record in records if record.pool}
            level |= {txid: known[txid] for txid in pending if txid in known}
            found |= level
            pending = further([tx for tx, _ in level.values()]) - found.keys()
        return found

    def _children(self, txs: Sequence[Transaction]) -> set[bytes]:
        outpoints = [OutPoint(tx.txid, vout) for tx in txs for vout in range(len(tx.outputs))]
        return {spend.txid for spend in self._view.pool.spends(outpoints) if spend is not None}


def _parents(txs: Sequence[Transaction]) -> set[bytes]:
    return {txin.prevout.txid for tx in txs for txin in tx.inputs}
