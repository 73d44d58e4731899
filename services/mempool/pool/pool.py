"""The pool in the writer's memory: unconfirmed transactions, their spends, and their relations.

The pool itself decides nothing: `acceptance` decides which transactions may enter, `rbf` which ones they replace, and
`blocks/pool_after_move` which ones leave with a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from shared.chain.commit import PoolRecord
from shared.policy import adjusted_weight
from shared.pool.graph import Graph
from shared.pool.linearize import Member
from shared.primitives.transaction import OutPoint, TxOut


class Pool:
    """Unconfirmed transactions by txid; no two spend the same coin."""

    def __init__(self, records: Iterable[PoolRecord] = ()) -> None:
        self._txs: dict[bytes, PoolRecord] = {}
        self._spenders: dict[OutPoint, bytes] = {}
        self.graph = Graph()
        """Parents and children within the pool."""
        self.vsize = 0
        for record in sorted(records, key=lambda record: record.entry.sequence):
            self.add(record)

    def __len__(self) -> int:
        return len(self._txs)

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._txs

    def __iter__(self) -> Iterator[PoolRecord]:
        return iter(self._txs.values())

    def get(self, txid: bytes) -> PoolRecord | None:
        """Return a transaction of the pool."""
        return self._txs.get(txid)

    def spender(self, outpoint: OutPoint) -> bytes | None:
        """Return the txid of the transaction that spends an outpoint."""
        return self._spenders.get(outpoint)

    def output(self, outpoint: OutPoint) -> TxOut | None:
        """Return an output of a transaction of the pool, spent or not."""
        parent = self._txs.get(outpoint.txid)
        if parent is None or outpoint.vout >= len(parent.tx.outputs):
            return None
        return parent.tx.outputs[outpoint.vout]

    def add(self, record: PoolRecord) -> None:
        """Add a transaction; its unconfirmed parents must be in the pool."""
        txid = record.tx.txid
        for txin in record.tx.inputs:
            self._spenders[txin.prevout] = txid
            if txin.prevout.txid in self._txs:
                self.graph.link(txin.prevout.txid, txid)
        # A transaction that a reorganisation brings back may have its children here already.
        for vout in range(len(record.tx.outputs)):
            child = self._spenders.get(OutPoint(txid, vout))
            if child is not None:
                self.graph.link(txid, child)
        self._txs[txid] = record
        self.vsize += record.entry.vsize

    def remove(self, txid: bytes) -> PoolRecord:
        """Remove a transaction; its children stay in the pool without the link to it."""
        record = self._txs.pop(txid)
        self.vsize -= record.entry.vsize
        for txin in record.tx.inputs:
            del self._spenders[txin.prevout]
        self.graph.remove(txid)
        return record

    def ancestors(self, txids: Iterable[bytes]) -> dict[bytes, PoolRecord]:
        """Return these transactions and all their unconfirmed ancestors."""
        return self._records(self.graph.ancestors(txids))

    def descendants(self, txids: Iterable[bytes]) -> dict[bytes, PoolRecord]:
        """Return these transactions and all their descendants."""
        return self._records(self.graph.descendants(txids))

    def clusters(self, txids: Iterable[bytes]) -> list[dict[bytes, PoolRecord]]:
        """Return the clusters of these transactions, each once; a cluster is connected by spending."""
        return [self._records(cluster) for cluster in self.graph.clusters(txids)]

    def _records(self, txids: Iterable[bytes]) -> dict[bytes, PoolRecord]:
        return {txid: self._txs[txid] for txid in txids}


def modified_fee(record: PoolRecord, prioritised: Mapping[bytes, int]) -> int:
    """Return a transaction's fee with the operator's delta, in satoshis."""
    return record.entry.fee + prioritised.get(record.tx.txid, 0)


def as_member(record: PoolRecord, fee: int) -> Member:
    """Return a transaction as a member of the order of mining; `fee` is its modified fee in satoshis."""
    return Member(fee, adjusted_weight(record.entry.weight, record.entry.sigop_cost))
