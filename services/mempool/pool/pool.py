"""The pool in the writer's memory: unconfirmed transactions, who spends what, and families of parents and children.

The pool itself decides nothing: `accept` says what may enter, `replacement` in whose place, `refill` what a block ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from shared.chain.commit import PoolRecord
from shared.primitives.transaction import OutPoint, Transaction, TxOut


@dataclass(slots=True, eq=False)
class PoolTx:
    """A transaction in the pool, and its family there."""

    record: PoolRecord
    parents: set[bytes] = field(default_factory=set)
    """Txids in the pool that it spends from."""
    children: set[bytes] = field(default_factory=set)
    """Txids in the pool that spend from it."""

    @property
    def tx(self) -> Transaction:
        """The transaction."""
        return self.record.tx

    @property
    def fee(self) -> int:
        """Satoshis."""
        return self.record.entry.fee

    @property
    def vsize(self) -> int:
        """Virtual bytes."""
        return self.record.entry.vsize


class Pool:
    """Unconfirmed transactions by txid; no two spend the same coin."""

    def __init__(self, records: Iterable[PoolRecord] = ()) -> None:
        self._txs: dict[bytes, PoolTx] = {}
        self._spenders: dict[OutPoint, bytes] = {}
        self.vsize = 0
        for record in sorted(records, key=lambda record: record.entry.sequence):
            self.add(record)

    def __len__(self) -> int:
        return len(self._txs)

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._txs

    def __iter__(self) -> Iterator[PoolTx]:
        return iter(self._txs.values())

    def get(self, txid: bytes) -> PoolTx | None:
        """Return a transaction of the pool."""
        return self._txs.get(txid)

    def spender(self, outpoint: OutPoint) -> bytes | None:
        """Return the txid that spends an outpoint."""
        return self._spenders.get(outpoint)

    def output(self, outpoint: OutPoint) -> TxOut | None:
        """Return an output of a transaction of the pool, spent or not."""
        parent = self._txs.get(outpoint.txid)
        if parent is None or outpoint.vout >= len(parent.tx.outputs):
            return None
        return parent.tx.outputs[outpoint.vout]

    def add(self, record: PoolRecord) -> None:
        """Add a transaction whose parents, if they are unconfirmed, are in the pool already."""
        item = PoolTx(record)
        txid = record.tx.txid
        for txin in record.tx.inputs:
            self._spenders[txin.prevout] = txid
            parent = self._txs.get(txin.prevout.txid)
            if parent is not None:
                item.parents.add(txin.prevout.txid)
                parent.children.add(txid)
        # A transaction that a reorganisation brings back may have its children here already.
        for vout in range(len(record.tx.outputs)):
            child = self._spenders.get(OutPoint(txid, vout))
            if child is not None:
                item.children.add(child)
                self._txs[child].parents.add(txid)
        self._txs[txid] = item
        self.vsize += item.vsize

    def remove(self, txid: bytes) -> PoolTx:
        """Remove a transaction; its children stay, and are no longer its children."""
        item = self._txs.pop(txid)
        self.vsize -= item.vsize
        for txin in item.tx.inputs:
            del self._spenders[txin.prevout]
        for parent in item.parents:
            self._txs[parent].children.discard(txid)
        for child in item.children:
            self._txs[child].parents.discard(txid)
        return item

    def ancestors(self, txids: Iterable[bytes]) -> dict[bytes, PoolTx]:
        """Return these transactions and every unconfirmed one that they depend on."""
        return self._reach(txids, lambda item: item.parents)

    def descendants(self, txids: Iterable[bytes]) -> dict[bytes, PoolTx]:
        """Return these transactions and every one that depends on them."""
        return self._reach(txids, lambda item: item.children)

    def clusters(self, txids: Iterable[bytes]) -> list[dict[bytes, PoolTx]]:
        """Return the clusters of these transactions, each once: all that is connected to them by spending."""
        clusters: list[dict[bytes, PoolTx]] = []
        for txid in txids:
            if not any(txid in cluster for cluster in clusters):
                clusters.append(self._reach([txid], lambda item: item.parents | item.children))
        return clusters

    def _reach(self, txids: Iterable[bytes], step: Callable[[PoolTx], set[bytes]]) -> dict[bytes, PoolTx]:
        found: dict[bytes, PoolTx] = {}
        pending = list(txids)
        while pending:
            txid = pending.pop()
            if txid not in found:
                found[txid] = self._txs[txid]
                pending += step(found[txid])
        return found
