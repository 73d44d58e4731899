"""Reads the pool, or the cluster of one transaction, which is connected by spending."""

from __future__ import annotations

from collections.abc import Iterable

from shared.chain.codec import PoolEntry
from shared.chain.view import ChainView
from shared.policy import MAX_CLUSTER_COUNT
from shared.pool.snapshot import PooledTx, PoolSnapshot
from shared.primitives.transaction import OutPoint, Transaction

PoolPart = PoolSnapshot[PoolEntry]

_MOST = 2 * MAX_CLUSTER_COUNT


def read_pool(view: ChainView) -> PoolPart:
    """Return the whole pool, in the order of entry."""
    records = reversed(view.pool.all_records())
    txs = {record.tx.txid: PooledTx(record.tx, record.pool) for record in records if record.pool is not None}
    return PoolSnapshot(txs, view.pool.prioritised())


def read_cluster(view: ChainView, txid: bytes) -> PoolPart:
    """Return an unconfirmed transaction with its cluster; empty if the transaction is not in the pool.

    Call it within `ChainView.at_tip`. A cluster larger than the pool admits, which a reorganisation may leave, is read
    in part: the transaction's own ancestors and descendants, and about a hundred others with their ancestors.
    """
    reader = _Reader(view)
    found = reader.reach([txid], parents=True, children=True, most=_MOST)
    if len(found) >= _MOST:
        found |= reader.reach([txid], children=True)
        found = reader.reach(found, parents=True)
    txs = {each: reader.known[each] for each in sorted(found, key=lambda each: reader.known[each].entry.sequence)}
    return PoolSnapshot(txs, view.pool.prioritised() if txs else {})


class _Reader:
    """Reads transactions and their links, each once."""

    def __init__(self, view: ChainView) -> None:
        self._view = view
        self._asked: set[bytes] = set()
        self._children: dict[bytes, set[bytes]] = {}
        self.known: dict[bytes, PooledTx[PoolEntry]] = {}

    def reach(
        self, start: Iterable[bytes], *, parents: bool = False, children: bool = False, most: int | None = None
    ) -> set[bytes]:
        """Return `start` and transactions of the pool that links lead to from it, about `most` of them."""
        found: set[bytes] = set()
        pending = set(start)
        while pending and (most is None or len(found) < most):
            self._read(pending - self._asked)
            level = [txid for txid in pending if txid in self.known]
            found.update(level)
            pending = set()
            if parents:
                pending.update(txin.prevout.txid for txid in level for txin in self.known[txid].tx.inputs)
            if children:
                pending |= self._spenders(level)
            pending -= found
            pending -= self._asked - self.known.keys()
        return found

    def _read(self, txids: set[bytes]) -> None:
        if txids:
            self._asked |= txids
            for record in self._view.pool.present(list(txids)):
                if record.pool is not None:
                    self.known[record.tx.txid] = PooledTx(record.tx, record.pool)

    def _spenders(self, txids: Iterable[bytes]) -> set[bytes]:
        missing = [self.known[txid].tx for txid in txids if txid not in self._children]
        outpoints = [outpoint for tx in missing for outpoint in _outpoints(tx)]
        self._children.update((tx.txid, set()) for tx in missing)
        if outpoints:
            for outpoint, spend in zip(outpoints, self._view.pool.spends(outpoints), strict=True):
                if spend is not None:
                    self._children[outpoint.txid].add(spend.txid)
        return {child for txid in txids for child in self._children[txid]}


def _outpoints(tx: Transaction) -> list[OutPoint]:
    return [OutPoint(tx.txid, vout) for vout in range(len(tx.outputs))]
