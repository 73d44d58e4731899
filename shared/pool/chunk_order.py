"""The chunks of a pool that changes, best feerate first. Pure.

Each transaction is ranked when it enters. A cluster that has changed is ranked by the best feerate of its members,
which none of its chunks exceeds, and linearized when a reader comes to that place: once for each change that a block
could be made of, however large the pool.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from shared.pool.graph import Graph
from shared.pool.linearize import Chunk, Member, linearize_cluster


@dataclass(slots=True, eq=False)
class _Cluster:
    """Transactions connected by spending, as they are ranked."""

    txids: tuple[bytes, ...]
    best: float
    """No chunk of the cluster has a higher feerate."""
    place: int
    """Place of its first member."""
    is_current: bool = True


_MANY = 10_000
"""Transactions up to which the order is as quickly sorted as kept."""

_Ranked = tuple[float, int, int, int, _Cluster, Chunk | None]
"""A chunk after its sort key: negative feerate, place of its cluster, index in the cluster, a serial number that makes
keys unequal. An entry without a chunk stands for a cluster that is not linearized yet."""


class ChunkOrder:
    """The order in which the chunks of the transactions of `graph` are mined.

    `member` returns a transaction's fee in satoshis and its size, `place` its order of entry. Chunks of equal feerate
    come in the order of their clusters' first entries.
    """

    def __init__(self, graph: Graph, member: Callable[[bytes], Member], place: Callable[[bytes], int]) -> None:
        self._graph = graph
        self._member = member
        self._place = place
        self._clusters: dict[bytes, _Cluster] = {}
        """Txid → its cluster, for all but the loose transactions."""
        self._loose: set[bytes] = set()
        """Transactions whose cluster has lost a member: it may be several clusters now."""
        self._ranked: list[_Ranked] = []
        """Sorted, with some whose cluster is not current."""
        self._recent: list[_Ranked] = []
        """The newest entries, apart from the sorted ones: a reader sorts these few and merges both."""
        self._serial = count()

    def add_all(self, txids: Iterable[bytes]) -> None:
        """Rank transactions of `graph` before the next read."""
        self._loose.update(txids)

    def add(self, txid: bytes) -> None:
        """Rank a transaction that has entered `graph`, with its links."""
        if self._graph.is_alone(txid):
            self._rank_alone(txid)
            self._tidy()
            return
        relatives = {*self._graph.parents(txid), *self._graph.children(txid)}
        if any(relative in self._loose for relative in relatives):
            self._loose.add(txid)
            return
        member = self._member(txid)
        found = {id(cluster): cluster for cluster in (self._clusters[relative] for relative in relatives)}.values()
        self._rank_cluster(
            (*(each for cluster in found for each in cluster.txids), txid),
            max(member.fee / member.size, *(cluster.best for cluster in found)),
            min(self._place(txid), *(cluster.place for cluster in found)),
        )
        self._tidy()

    def remove(self, txid: bytes) -> None:
        """Forget a transaction that has left `graph`."""
        self.loosen(txid)
        self._loose.discard(txid)
        self._tidy()

    def loosen(self, txid: bytes) -> None:
        """Rank a transaction's cluster anew before the next read, as its fee has changed."""
        cluster = self._clusters.get(txid)
        if cluster is not None:
            cluster.is_current = False
            for each in cluster.txids:
                del self._clusters[each]
            self._loose.update(cluster.txids)

    def best_first(self) -> Iterator[Chunk]:
        """Yield all chunks, the highest feerate first. Nothing may change meanwhile."""
        self._rank_loose()
        self._recent.sort()
        waiting: list[_Ranked] = []
        """Chunks of clusters that were linearized on the way, a heap."""
        for ranked in heapq.merge(self._ranked, self._recent.copy()):
            while waiting and waiting[0] < ranked:
                yield from _chunk(heapq.heappop(waiting))
            cluster, chunk = ranked[4:]
            if not cluster.is_current:
                continue
            if chunk is not None:
                yield chunk
            else:
                for found in self._linearize(cluster):
                    heapq.heappush(waiting, found)
        while waiting:
            yield from _chunk(heapq.heappop(waiting))

    def _rank_alone(self, txid: bytes) -> None:
        fee, size = self._member(txid)
        chunk = Chunk(fee, size, (txid,))
        self._clusters[txid] = cluster = _Cluster(chunk.txids, fee / size, self._place(txid))
        self._recent.append((-cluster.best, cluster.place, 0, next(self._serial), cluster, chunk))

    def _rank_cluster(self, txids: tuple[bytes, ...], best: float, place: int) -> None:
        """Rank connected transactions in place of the clusters that they were in."""
        cluster = _Cluster(txids, best, place)
        for txid in txids:
            before = self._clusters.get(txid)
            if before is not None:
                before.is_current = False
            self._clusters[txid] = cluster
        self._recent.append((-best, place, -1, next(self._serial), cluster, None))

    def _rank_loose(self) -> None:
        related = []
        for txid in self._loose:
            if self._graph.is_alone(txid):
                self._rank_alone(txid)
            else:
                related.append(txid)
        for txids in self._graph.clusters(related):
            members = map(self._member, txids)
            best = max(member.fee / member.size for member in members)
            self._rank_cluster(tuple(txids), best, min(map(self._place, txids)))
        self._loose.clear()
        self._tidy()

    def _linearize(self, cluster: _Cluster) -> Iterable[_Ranked]:
        """Rank a cluster's chunks in place of the cluster."""
        cluster.is_current = False
        txids = sorted(cluster.txids, key=self._place)
        chunks = linearize_cluster({txid: self._member(txid) for txid in txids}, self._graph)
        settled = _Cluster(cluster.txids, cluster.best, cluster.place)
        self._clusters.update(dict.fromkeys(txids, settled))
        ranked: list[_Ranked] = [
            (-chunk.fee / chunk.size, cluster.place, index, next(self._serial), settled, chunk)
            for index, chunk in enumerate(chunks)
        ]
        self._recent += ranked
        self._tidy()
        return ranked

    def _tidy(self) -> None:
        """Drop outdated entries and sort all others, once many have come or gone.

        The lists are new: `best_first` may be reading the old ones.
        """
        many = max(_MANY, len(self._clusters))
        if 8 * len(self._recent) > many or len(self._ranked) > 2 * many:
            self._ranked = [ranked for ranked in (*self._ranked, *self._recent) if ranked[4].is_current]
            self._ranked.sort()
            self._recent = []


def _chunk(ranked: _Ranked) -> Iterator[Chunk]:
    chunk = ranked[5]
    if chunk is not None:
        yield chunk
