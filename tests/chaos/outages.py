"""How long an interface was silent for a fault, from the times at which it acknowledged something."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.ledger import Entries

QUIET_TIME = "no fault"


@dataclass(frozen=True, slots=True)
class Outage:
    """What one fault did to one interface, in seconds."""

    silence: float
    """The longest time without an acknowledged request, from the fault's beginning to the first one after its end."""
    after: float
    """From the fault's end to the next acknowledged request."""


def outage(acknowledged: Sequence[float], began: float, ended: float) -> Outage | None:
    """Return the outage of a fault; `acknowledged` are times, in order. None if nothing was acknowledged any more."""
    first = bisect.bisect_left(acknowledged, began)
    next_one = bisect.bisect_left(acknowledged, ended)
    if next_one == len(acknowledged):
        return None
    times = [began, *acknowledged[first : next_one + 1]]
    return Outage(max(later - earlier for earlier, later in pairwise(times)), acknowledged[next_one] - ended)


def times_by_interface(entries: Entries) -> dict[str, list[float]]:
    """Return when each interface acknowledged requests, in order; interfaces in alphabetical order."""
    times: dict[str, list[float]] = {name: [] for name in sorted({claim.interface for claim in entries.claims})}
    for answer in entries.answers:
        if answer.acknowledged:
            times[answer.interface].append(answer.ended)
    return {interface: sorted(found) for interface, found in times.items()}


def outages(entries: Entries) -> dict[str, dict[str, list[Outage | None]]]:
    """Return the outages by fault and interface."""
    times = times_by_interface(entries)
    found: dict[str, dict[str, list[Outage | None]]] = {}
    for fault in entries.faults:
        by_interface = found.setdefault(fault.name, {interface: [] for interface in times})
        for interface, acknowledged in times.items():
            by_interface[interface].append(outage(acknowledged, fault.began, fault.ended))
    return found


def rhythm(acknowledged: Sequence[float]) -> float:
    """Return the median time between two acknowledged requests: shorter outages cannot be seen. 0 if there are none."""
    gaps = sorted(later - earlier for earlier, later in pairwise(acknowledged))
    return gaps[len(gaps) // 2] if gaps else 0.0


def errors(entries: Entries) -> dict[tuple[str, str], Counter[str]]:
    """Return how many attempts ended without success: by fault and status, then by interface.

    An attempt belongs to each fault that its interface had not recovered from while it lasted: between the beginning of
    the fault and the first request that the interface acknowledged after its end. Others are under `QUIET_TIME`.
    """
    times = times_by_interface(entries)
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for answer in entries.answers:
        if answer.acknowledged:
            continue
        to_blame = {
            fault.name
            for fault in entries.faults
            if fault.began <= answer.ended and answer.began <= _recovered(times[answer.interface], fault.ended)
        }
        for name in to_blame or {QUIET_TIME}:
            found[name, answer.status][answer.interface] += 1
    return dict(found)


def _recovered(acknowledged: Sequence[float], ended: float) -> float:
    place = bisect.bisect_left(acknowledged, ended)
    return acknowledged[place] if place < len(acknowledged) else float("inf")
