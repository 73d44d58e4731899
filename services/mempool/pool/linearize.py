"""In which order transactions that spend from each other are best mined, and what blocks earn by it. Pure.

A set of transactions has one best division into chunks: groups that are mined together, the best paying one first, each
with all that it depends on in itself or in those before it. Fees and sizes of the chunks, added up in this order, are
the set's feerate diagram. Source: Core's cluster_linearize.h and CompareChunks. Core stops looking for the best
division after a while; here it is always found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

Chunk = tuple[int, int]
"""Fee in satoshis and size in weight units."""


@dataclass(frozen=True, slots=True)
class Member:
    """What the order depends on."""

    fee: int
    """Satoshis that it counts as paying."""
    size: int
    """Weight units, adjusted for signature operations."""
    parents: frozenset[bytes]
    """Txids that must be mined before it; those that are not in the set do not count."""


def chunks(members: Mapping[bytes, Member]) -> list[Chunk]:
    """Return the chunks of the best order, best feerate first."""
    found: list[Chunk] = []
    # Clusters do not depend on each other, and what one takes grows faster than its size.
    pending = list(connected(members))
    while pending:
        part = pending.pop()
        better = _better_part(members, part)
        if better:
            pending += (part - better, better)
        else:
            found.append(_total(members, part))
    return sorted(found, key=lambda chunk: Fraction(*chunk), reverse=True)


def connected(members: Mapping[bytes, Member]) -> Iterator[frozenset[bytes]]:
    """Yield the clusters that the members make: those that are connected by spending."""
    neighbours: dict[bytes, set[bytes]] = {txid: set() for txid in members}
    for txid, member in members.items():
        for parent in member.parents & members.keys():
            neighbours[txid].add(parent)
            neighbours[parent].add(txid)
    left = set(members)
    while left:
        cluster: set[bytes] = set()
        pending = {left.pop()}
        while pending:
            cluster |= pending
            pending = {other for txid in pending for other in neighbours[txid]} - cluster
        left -= cluster
        yield frozenset(cluster)


def improves(after: Sequence[Chunk], before: Sequence[Chunk]) -> bool:
    """Whether a block of any size earns at least as much after as before, and one of some size earns more."""
    sizes = sorted({size for diagram in (after, before) for size in _ends(diagram)})
    gains = [new - old for new, old in zip(_earned(after, sizes), _earned(before, sizes), strict=True)]
    return min(gains, default=Fraction(0)) >= 0 and max(gains, default=Fraction(0)) > 0


def _better_part(members: Mapping[bytes, Member], part: Collection[bytes]) -> frozenset[bytes]:
    """Return the part that is to be mined before the rest, with all that it depends on; empty if all go together.

    It is the closure of greatest surplus over what its size would earn at the feerate of the whole, found by pushing
    surplus from children down to parents that lack it (maximum closure by maximum flow).
    """
    fee, size = _total(members, part)
    surplus = {txid: members[txid].fee * size - fee * members[txid].size for txid in part}
    parents = {txid: [parent for parent in members[txid].parents if parent in part] for txid in part}
    taken: defaultdict[bytes, dict[bytes, int]] = defaultdict(dict)
    """Parent → child → what the child has given it."""
    while True:
        came_from: dict[bytes, bytes | None] = {txid: None for txid in part if surplus[txid] > 0}
        pending = list(came_from)
        needy = None
        for txid in pending:
            if surplus[txid] < 0:
                needy = txid
                break
            for neighbour in (*parents[txid], *(child for child, given in taken[txid].items() if given)):
                if neighbour not in came_from:
                    came_from[neighbour] = txid
                    pending.append(neighbour)
        if needy is None:
            return frozenset(came_from)
        path = _path(came_from, needy)
        amount = min(surplus[path[0]], -surplus[needy])
        steps = list(pairwise(path))
        backwards = [(one, other) for one, other in steps if other not in parents[one]]
        amount = min([amount, *(taken[one][other] for one, other in backwards)])
        for one, other in steps:
            if other in parents[one]:
                taken[other][one] = taken[other].get(one, 0) + amount
            else:
                taken[one][other] -= amount
        surplus[path[0]] -= amount
        surplus[needy] += amount


def _path(came_from: Mapping[bytes, bytes | None], end: bytes) -> list[bytes]:
    path = [end]
    while (before := came_from[path[-1]]) is not None:
        path.append(before)
    return path[::-1]


def _total(members: Mapping[bytes, Member], part: Collection[bytes]) -> Chunk:
    return sum(members[txid].fee for txid in part), sum(members[txid].size for txid in part)


def _ends(diagram: Sequence[Chunk]) -> Iterator[int]:
    size = 0
    for chunk in diagram:
        size += chunk[1]
        yield size


def _earned(diagram: Sequence[Chunk], sizes: Sequence[int]) -> Iterator[Fraction]:
    """Yield what blocks of these sizes, in ascending order, earn: a part of a chunk earns its part of the fee."""
    remaining = iter(diagram)
    start, earned = 0, 0
    chunk = next(remaining, None)
    for size in sizes:
        while chunk is not None and start + chunk[1] <= size:
            earned += chunk[0]
            start += chunk[1]
            chunk = next(remaining, None)
        yield earned + (Fraction(chunk[0] * (size - start), chunk[1]) if chunk is not None else Fraction(0))
