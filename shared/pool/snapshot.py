"""A snapshot of the pool, or of some whole clusters of it, read at one moment. Pure.

It gives readers a transaction's relatives and feerates: `getmempoolentry` and related methods, CPFP pages and
resources. The writer's own pool, which templates are made from, uses the graph and the chunks of this package, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, Protocol, TypeVar

from shared.policy import adjusted_weight
from shared.pool.graph import Graph
from shared.pool.linearize import Chunk, Member, linearize_cluster
from shared.primitives.transaction import Transaction


class Entry(Protocol):
    """The fields of a transaction's pool entry that decide the order of mining."""

    @property
    def fee(self) -> int:
        """Satoshis."""

    @property
    def weight(self) -> int:
        """Weight units."""

    @property
    def sigop_cost(self) -> int:
        """Signature operation cost (BIP141)."""


E = TypeVar("E", bound=Entry)


class PooledTx(NamedTuple, Generic[E]):
    """An unconfirmed transaction with its entry in the pool."""

    tx: Transaction
    entry: E


class PoolSnapshot(Generic[E]):
    """Unconfirmed transactions with their relations and the chunks in which they are mined."""

    def __init__(
        self, txs: Mapping[bytes, PooledTx[E]], prioritised: Mapping[bytes, int] = MappingProxyType({})
    ) -> None:
        """Take transactions by txid, and their fee deltas in satoshis."""
        self.txs = txs
        self.prioritised = prioritised
        self.modified_fees = {txid: entry.fee + prioritised.get(txid, 0) for txid, (_, entry) in txs.items()}
        """Txid → its fee with its delta, in satoshis."""
        self.graph = Graph.of(pooled.tx for pooled in txs.values())
        self._chunks: dict[bytes, Chunk] = {}
        """Txid → its chunk, filled when asked for."""

    def __contains__(self, txid: bytes) -> bool:
        return txid in self.txs

    def chunk(self, txid: bytes) -> Chunk:
        """Return the chunk of a transaction; a miner judges the transaction by the chunk's feerate."""
        if self.graph.is_alone(txid):
            return Chunk(*self._member(txid), (txid,))
        if txid not in self._chunks:
            [cluster] = self.graph.clusters([txid])
            members = {each: self._member(each) for each in cluster}
            for chunk in linearize_cluster(members, self.graph):
                self._chunks.update(dict.fromkeys(chunk.txids, chunk))
        return self._chunks[txid]

    def _member(self, txid: bytes) -> Member:
        entry = self.txs[txid].entry
        return Member(self.modified_fees[txid], adjusted_weight(entry.weight, entry.sigop_cost))
