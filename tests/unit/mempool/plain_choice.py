"""The plain way to choose a block's transactions, for comparison: linearize all clusters, sort all chunks, try each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from shared.chain.codec import PoolEntry
from shared.consensus.limits import MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT
from shared.policy import BLOCK_MIN_FEERATE, BLOCK_RESERVED_SIGOPS, BLOCK_RESERVED_WEIGHT, adjusted_weight, fee_for
from shared.pool.graph import Graph
from shared.pool.linearize import Chunk, Member, linearize_cluster
from shared.primitives.transaction import WITNESS_SCALE_FACTOR, Transaction


class Pooled(Protocol):
    """An unconfirmed transaction with its entry in the pool."""

    @property
    def tx(self) -> Transaction:
        """The transaction."""

    @property
    def entry(self) -> PoolEntry:
        """Its fee, sizes and order of entry."""


P = TypeVar("P", bound=Pooled)


def plain_choice(pool: Iterable[P], graph: Graph, prioritised: Mapping[bytes, int]) -> list[P]:
    """Return the transactions for a block, parents before children, best chunk first.

    `prioritised` has the fee deltas of transactions in satoshis. A chunk that does not fit into the block is skipped;
    at the end its transactions are tried one by one, if they pay the least feerate.
    """
    by_txid = {item.tx.txid: item for item in pool}
    fees = {txid: item.entry.fee + prioritised.get(txid, 0) for txid, item in by_txid.items()}
    block: _Block[P] = _Block(graph)
    passed_over: list[P] = []
    for chunk in _chunks(by_txid, fees, graph):
        if not _pays_enough(chunk.fee, chunk.size):
            break  # the chunks that follow pay less
        txs = [by_txid[txid] for txid in chunk.txids]
        if not block.add(txs):
            passed_over += txs
    for item in passed_over:
        if _pays_enough(fees[item.tx.txid], _size(item)):
            block.add([item])
    return block.txs


class _Block(Generic[P]):
    """A block that is being filled."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._weight = BLOCK_RESERVED_WEIGHT
        self._sigops = BLOCK_RESERVED_SIGOPS
        self._missing: set[bytes] = set()
        """Txids of skipped transactions: their descendants cannot be added."""
        self.txs: list[P] = []

    def add(self, txs: Sequence[P]) -> bool:
        """Add transactions that belong together; return False if they do not fit or an ancestor is missing."""
        weight = self._weight + sum([item.entry.weight for item in txs])
        sigops = self._sigops + sum([item.entry.sigop_cost for item in txs])
        txids = {item.tx.txid for item in txs}
        self._missing -= txids
        if weight > MAX_BLOCK_WEIGHT or sigops > MAX_BLOCK_SIGOPS_COST or self._lacks_a_parent(txids):
            self._missing |= txids
            return False
        self._weight, self._sigops = weight, sigops
        self.txs += txs
        return True

    def _lacks_a_parent(self, txids: Iterable[bytes]) -> bool:
        return bool(self._missing) and any(not self._missing.isdisjoint(self._graph.parents(txid)) for txid in txids)


def _pays_enough(fee: int, size: int) -> bool:
    return fee >= fee_for(-(-size // WITNESS_SCALE_FACTOR), BLOCK_MIN_FEERATE)


def _size(item: Pooled) -> int:
    return adjusted_weight(item.entry.weight, item.entry.sigop_cost)


def _chunks(pool: Mapping[bytes, Pooled], fees: Mapping[bytes, int], graph: Graph) -> list[Chunk]:
    """Return the chunks of all clusters, best feerate first; equal chunks in the order of the pool."""
    ranked: list[tuple[float, int, int, Chunk]] = []
    seen: set[bytes] = set()
    for place, (txid, item) in enumerate(pool.items()):
        if graph.is_alone(txid):
            size, fee = _size(item), fees[txid]
            ranked.append((-fee / size, place, 0, Chunk(fee, size, (txid,))))
        elif txid not in seen:
            [cluster] = graph.clusters([txid])
            seen |= cluster
            order = sorted(cluster, key=lambda txid: pool[txid].entry.sequence)
            chunks = linearize_cluster({txid: Member(fees[txid], _size(pool[txid])) for txid in order}, graph)
            ranked += [(-chunk.fee / chunk.size, place, index, chunk) for index, chunk in enumerate(chunks)]
    ranked.sort()
    return [chunk for _, _, _, chunk in ranked]
