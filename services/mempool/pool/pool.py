"""The pool in the writer's memory: unconfirmed transactions, their spends, and their relations.

The pool itself decides nothing: `acceptance` decides which transactions may enter, `rbf` which ones they replace, and
`blocks/pool_after_move` which ones leave with a block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from shared.chain.commit import PoolRecord
from shared.policy import adjusted_weight
from shared.pool.chunk_order import ChunkOrder
from shared.pool.graph import Graph
from shared.pool.linearize import Chunk, Member
from shared.primitives.transaction import OutPoint, TxOut


class Pool:
    """Unconfirmed transactions by txid; no two spend the same coin.

    `prioritised` has the fee deltas of transactions in satoshis. Its owner may change it, and tells of a change by
    `reprioritise`.
    """

    def __init__(
        self, records: Iterable[PoolRecord] = (), prioritised: Mapping[bytes, int] = MappingProxyType({})
    ) -> None:
        self._prioritised = prioritised
        self._txs: dict[bytes, PoolRecord] = {}
        self._spenders: dict[OutPoint, bytes] = {}
        self._weights: Counter[int] = Counter()
        """Weight → the number of transactions of this weight."""
        self.graph = Graph()
        """Parents and children within the pool."""
        self._order = ChunkOrder(self.graph, self._member, lambda txid: self._txs[txid].entry.sequence)
        self.vsize = 0
        self.state = object()
        """Another object after each change."""
        for record in sorted(records, key=lambda record: record.entry.sequence):
            self.add(record)

    @classmethod
    def stored(
        cls, records: Iterable[PoolRecord], spends: dict[OutPoint, bytes], prioritised: Mapping[bytes, int]
    ) -> Pool:
        """Return the pool of these records without parsing them.

        `spends` has the txid of the transaction that spends each outpoint.
        """
        pool = cls(prioritised=prioritised)
        in_order = sorted(records, key=lambda record: record.entry.sequence)
        pool._txs = {record.txid: record for record in in_order}
        pool._spenders = spends
        pool._weights.update([record.entry.weight for record in in_order])
        pool.vsize = sum([record.entry.vsize for record in in_order])
        for prevout, txid in spends.items():
            if prevout.txid in pool._txs:
                pool.graph.link(prevout.txid, txid)
        pool._order.add_all(pool._txs)
        return pool

    def __len__(self) -> int:
        return len(self._txs)

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._txs

    def __iter__(self) -> Iterator[PoolRecord]:
        return iter(self._txs.values())

    def get(self, txid: bytes) -> PoolRecord | None:
        """Return a transaction of the pool."""
        return self._txs.get(txid)

    def records(self, txids: Iterable[bytes]) -> list[PoolRecord]:
        """Return these transactions, which the pool has."""
        return [self._txs[txid] for txid in txids]

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
        tx, txid = record.tx, record.txid
        for txin in tx.inputs:
            self._spenders[txin.prevout] = txid
            if txin.prevout.txid in self._txs:
                self.graph.link(txin.prevout.txid, txid)
        # A transaction that a reorganisation brings back may have its children here already.
        for vout in range(len(tx.outputs)):
            child = self._spenders.get(OutPoint(txid, vout))
            if child is not None:
                self.graph.link(txid, child)
        self._txs[txid] = record
        self.vsize += record.entry.vsize
        self._weights[record.entry.weight] += 1
        self.state = object()
        self._order.add(txid)

    def remove(self, txid: bytes) -> PoolRecord:
        """Remove a transaction; its children stay in the pool without the link to it."""
        record = self._txs.pop(txid)
        self.vsize -= record.entry.vsize
        self._weights[record.entry.weight] -= 1
        self.state = object()
        for txin in record.tx.inputs:
            del self._spenders[txin.prevout]
        self.graph.remove(txid)
        self._order.remove(txid)
        return record

    def reprioritise(self, txid: bytes) -> None:
        """Take note that the fee delta of a transaction, here or not, has changed."""
        self._order.loosen(txid)
        self.state = object()

    def modified_fee(self, record: PoolRecord) -> int:
        """Return a transaction's fee with the operator's delta, in satoshis."""
        return modified_fee(record, self._prioritised)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks in which the pool is mined, the best feerate first; the pool must not change meanwhile."""
        return self._order.best_first()

    def least_weight(self) -> int:
        """Return a weight that no transaction of the pool is below."""
        self._weights = +self._weights
        return min(self._weights, default=0)

    def parents_first(self) -> Iterator[PoolRecord]:
        """Yield all transactions in the order of entry, except that parents which entered later come before a child.

        Such parents have returned from a block in a reorganisation.
        """
        done: set[bytes] = set()
        for record in sorted(self, key=lambda record: record.entry.sequence):
            pending = [record.txid]
            while pending:
                missing = self.graph.parents(pending[-1]) - done
                if missing:
                    pending += missing
                    continue
                txid = pending.pop()
                if txid not in done:
                    done.add(txid)
                    yield self._txs[txid]

    def ancestors(self, txids: Iterable[bytes]) -> dict[bytes, PoolRecord]:
        """Return these transactions and all their unconfirmed ancestors."""
        return self._records(self.graph.ancestors(txids))

    def descendants(self, txids: Iterable[bytes]) -> dict[bytes, PoolRecord]:
        """Return these transactions and all their descendants."""
        return self._records(self.graph.descendants(txids))

    def clusters(self, txids: Iterable[bytes]) -> list[dict[bytes, PoolRecord]]:
        """Return the clusters of these transactions, each once; a cluster is connected by spending."""
        return [self._records(cluster) for cluster in self.graph.clusters(txids)]

    def _member(self, txid: bytes) -> Member:
        record = self._txs[txid]
        return as_member(record, modified_fee(record, self._prioritised))

    def _records(self, txids: Iterable[bytes]) -> dict[bytes, PoolRecord]:
        return {txid: self._txs[txid] for txid in txids}


def modified_fee(record: PoolRecord, prioritised: Mapping[bytes, int]) -> int:
    """Return a transaction's fee with the operator's delta, in satoshis."""
    return record.entry.fee + prioritised.get(record.txid, 0)


def as_member(record: PoolRecord, fee: int) -> Member:
    """Return a transaction as a member of the order of mining; `fee` is its modified fee in satoshis."""
    return Member(fee, adjusted_weight(record.entry.weight, record.entry.sigop_cost))
