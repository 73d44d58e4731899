"""The best order in which to mine transactions that spend from each other, and the fees that blocks earn by it. Pure.

A set of transactions has one best division into chunks: groups that are mined together, the highest feerate first, each
with all its ancestors in itself or in chunks before it. The running sums of the chunks' fees and sizes are the set's
feerate diagram. Replacement, templates and every feerate "as a miner judges it" come from these chunks.

Source: Core's cluster_linearize.h and CompareChunks. Core looks for the best division within a budget of work; Warren
finds it for every cluster that the pool admits.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import NamedTuple

from shared.policy import MAX_CLUSTER_COUNT
from shared.pool.graph import Graph


class Member(NamedTuple):
    """The facts about a transaction that decide the order, beside its relations."""

    fee: int
    """Satoshis that it counts as paying."""
    size: int
    """Weight units, adjusted for signature operations."""


class Chunk(NamedTuple):
    """Transactions that are mined together."""

    fee: int
    """Satoshis that they count as paying."""
    size: int
    """Weight units, adjusted for signature operations."""
    txids: tuple[bytes, ...] = ()
    """Parents before children."""


def linearize(members: Mapping[bytes, Member], graph: Graph) -> list[Chunk]:
    """Return the chunks of the best order, best feerate first; parents come before children of equal feerate.

    `members` are whole clusters of `graph`. Their own order breaks ties.
    """
    found: list[Chunk] = []
    # Clusters do not depend on each other, and the time for one grows faster than its size.
    clusters = graph.clusters(members)
    for cluster in clusters:
        found += linearize_cluster({txid: members[txid] for txid in members if txid in cluster}, graph)
    if len(clusters) > 1:
        found.sort(key=lambda chunk: Fraction(chunk.fee, chunk.size), reverse=True)
    return found


def linearize_cluster(members: Mapping[bytes, Member], graph: Graph) -> list[Chunk]:
    """Return the chunks of the best order for members that are one cluster."""
    if len(members) > MAX_CLUSTER_COUNT:
        return list(_best_payers_first(members, graph))
    found: list[Chunk] = []
    pending = [[*members]]
    while pending:
        part = pending.pop()
        parts = _split(members, part, graph)
        if len(parts) > 1:
            pending += reversed(parts)
        else:
            found.append(Chunk(*_total(members, part), _parents_first(part, graph)))
    return found


def _best_payers_first(members: Mapping[bytes, Member], graph: Graph) -> Iterator[Chunk]:
    """Yield the chunks of a good order that is found quickly: a reorganisation may leave clusters of any size.

    Each step takes the transaction of the highest feerate among the ones whose parents are taken. A chunk with a higher
    feerate than the chunk before joins it.
    """
    missing = {txid: len(graph.parents(txid)) for txid in members}
    ready = [_worth(members, txid) for txid, parents in missing.items() if not parents]
    heapq.heapify(ready)
    found: list[tuple[int, int, list[bytes]]] = []
    while ready:
        txid = heapq.heappop(ready)[1]
        fee, size, txids = members[txid].fee, members[txid].size, [txid]
        while found and fee * found[-1][1] > found[-1][0] * size:
            before = found.pop()
            before[2].extend(txids)
            fee, size, txids = fee + before[0], size + before[1], before[2]
        found.append((fee, size, txids))
        for child in graph.children(txid):
            missing[child] -= 1
            if not missing[child]:
                heapq.heappush(ready, _worth(members, child))
    return (Chunk(fee, size, tuple(txids)) for fee, size, txids in found)


def _worth(members: Mapping[bytes, Member], txid: bytes) -> tuple[float, bytes]:
    return -members[txid].fee / members[txid].size, txid


def improves(after: Sequence[Chunk], before: Sequence[Chunk]) -> bool:
    """Tell whether blocks of every size earn at least as much after as before, and blocks of some size earn more."""
    sizes = sorted({size for diagram in (after, before) for size in _ends(diagram)})
    gains = [new - old for new, old in zip(_earned(after, sizes), _earned(before, sizes), strict=True)]
    return min(gains, default=Fraction(0)) >= 0 and max(gains, default=Fraction(0)) > 0


def _split(members: Mapping[bytes, Member], part: Sequence[bytes], graph: Graph) -> list[list[bytes]]:
    """Divide a part of a cluster into the transactions to mine first and the rest, or into chunks of equal feerate.

    Return the part alone if it is a chunk. The transactions to mine first are the closure with the greatest surplus
    over the fee of its size at the feerate of the whole part. Pushing surplus from children down to parents that lack
    it finds this closure (maximum closure by maximum flow). If no closure has a surplus, closures without a deficit are
    separate chunks.
    """
    if len(part) == 1:
        return [[*part]]
    if len(part) == 2:
        return _split_pair(members, part[0], part[1], graph)
    fee, size = _total(members, part)
    surplus = {txid: members[txid].fee * size - fee * members[txid].size for txid in part}
    parents = {txid: [parent for parent in graph.parents(txid) if parent in surplus] for txid in part}
    given: dict[bytes, dict[bytes, int]] = {}
    """Parent → child → surplus that the child has given it."""

    def neighbours(txid: bytes) -> list[bytes]:
        return [*parents[txid], *given[txid]] if txid in given else parents[txid]

    better: set[bytes] = set()
    for source in part:
        while surplus[source] > 0:
            came_from = _search(source, surplus, neighbours)
            needy = next(reversed(came_from))
            if surplus[needy] >= 0:
                better |= came_from.keys()  # whatever the others push, it cannot reach those that lack surplus
                break
            path = _path(came_from, needy)
            amount = min(surplus[source], -surplus[needy])
            steps = list(pairwise(path))
            amount = min([amount, *(given[one][other] for one, other in steps if other not in parents[one])])
            for one, other in steps:
                if other in parents[one]:
                    gifts = given.setdefault(other, {})
                    gifts[one] = gifts.get(one, 0) + amount
                elif given[one][other] == amount:
                    del given[one][other]
                else:
                    given[one][other] -= amount
            surplus[source] -= amount
            surplus[needy] += amount
    if better:
        return [[txid for txid in part if txid in better], [txid for txid in part if txid not in better]]
    return _equal_parts(part, neighbours)


def _search(
    source: bytes, surplus: Mapping[bytes, int], neighbours: Callable[[bytes], Iterable[bytes]]
) -> dict[bytes, bytes | None]:
    """Return each transaction reached from `source` with its predecessor; the last one lacks surplus, if any does."""
    came_from: dict[bytes, bytes | None] = {source: None}
    pending = [source]
    for txid in pending:
        for neighbour in neighbours(txid):
            if neighbour not in came_from:
                came_from[neighbour] = txid
                if surplus[neighbour] < 0:
                    return came_from
                pending.append(neighbour)
    return came_from


def _split_pair(members: Mapping[bytes, Member], one: bytes, other: bytes, graph: Graph) -> list[list[bytes]]:
    """Divide two members as `_split` does: they stay together if one is the other's child and has a higher feerate."""
    if other in graph.parents(one):
        one, other = other, one
    pays_more = members[other].fee * members[one].size > members[one].fee * members[other].size
    if not pays_more:
        return [[one], [other]]
    return [[one, other]] if one in graph.parents(other) else [[other], [one]]


def _equal_parts(part: Sequence[bytes], neighbours: Callable[[bytes], Iterable[bytes]]) -> list[list[bytes]]:
    """Divide a part without a surplus in any closure into groups that must be mined together, parents first.

    A transaction's neighbours must be mined with it or before: its parents, and the children that pay for it.
    """
    everywhere: set[bytes] = set()
    """Transactions from which the whole part is reached."""
    reached: dict[bytes, list[bytes]] = {}
    for start in part:
        reached[start] = list(_walk(start, neighbours, everywhere))
        if len(reached[start]) == len(part) or reached[start][-1] in everywhere:
            everywhere.add(start)
    if len(everywhere) == len(part):
        return [[*part]]
    groups: dict[frozenset[bytes], list[bytes]] = {}
    for txid in part:
        groups.setdefault(frozenset(_walk(txid, neighbours)), []).append(txid)
    return [group for _, group in sorted(groups.items(), key=lambda item: len(item[0]))]


def _walk(
    start: bytes, neighbours: Callable[[bytes], Iterable[bytes]], until: Collection[bytes] = ()
) -> Iterator[bytes]:
    """Yield `start` and the transactions reached from it, up to the first one in `until`."""
    found = {start}
    pending = [start]
    for txid in pending:
        yield txid
        if txid in until:
            return
        for neighbour in neighbours(txid):
            if neighbour not in found:
                found.add(neighbour)
                pending.append(neighbour)


def _parents_first(part: Sequence[bytes], graph: Graph) -> tuple[bytes, ...]:
    later = set(part)
    for txid in part:
        later.discard(txid)
        if not later.isdisjoint(graph.parents(txid)):
            break  # a transaction that returned in a reorganisation is newer than its children
    else:
        return tuple(part)
    sorter = TopologicalSorter(dict.fromkeys(part, ()))
    for txid in part:
        sorter.add(txid, *(parent for parent in graph.parents(txid) if parent in part))
    return tuple(sorter.static_order())


def _path(came_from: Mapping[bytes, bytes | None], end: bytes) -> list[bytes]:
    path = [end]
    while (before := came_from[path[-1]]) is not None:
        path.append(before)
    return path[::-1]


def _total(members: Mapping[bytes, Member], part: Collection[bytes]) -> tuple[int, int]:
    return sum(members[txid].fee for txid in part), sum(members[txid].size for txid in part)


def _ends(diagram: Sequence[Chunk]) -> Iterator[int]:
    size = 0
    for chunk in diagram:
        size += chunk.size
        yield size


def _earned(diagram: Sequence[Chunk], sizes: Sequence[int]) -> Iterator[Fraction]:
    """Yield the fees of blocks of these sizes, in ascending order; a part of a chunk earns its part of the fee."""
    remaining = iter(diagram)
    start, earned = 0, 0
    chunk = next(remaining, None)
    for size in sizes:
        while chunk is not None and start + chunk.size <= size:
            earned += chunk.fee
            start += chunk.size
            chunk = next(remaining, None)
        yield earned + (Fraction(chunk.fee * (size - start), chunk.size) if chunk is not None else Fraction(0))
