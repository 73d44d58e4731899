"""Which faults strike when: decided by a seed, so that a failure can be repeated."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

FIRST = 5.0
"""Seconds of load before the first fault."""
QUIET = (10.0, 14.0)
"""Seconds between the end of one spell of faults and the next: long enough to see how soon everything answers again."""
OVERLAP = 0.3
"""Share of the spells that have two faults at a time."""

_LASTING = (2.0, 8.0)
_SHORT = (1.0, 4.0)
_AT_ONCE = (0.0, 0.0)
_PAST_THE_LEASE = (6.0, 14.0)
MEMBERS = ("primary", "replica", "leader", "follower")
"""Of a cluster: Redis, and the nodes of RabbitMQ, of which one leads the queue of transactions."""
_PROCESSES = ("writer", "standby", "miner", "wallet", "explorer")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault, and the least and the most seconds that it lasts; no seconds: the launcher mends it."""

    action: str
    target: str
    seconds: tuple[float, float]

    @property
    def name(self) -> str:
        return f"{self.action} {self.target}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; times in seconds since the load began."""

    at: float
    kind: Kind
    seconds: float

    @property
    def ends(self) -> float:
        return self.at + self.seconds


def _server(target: str) -> tuple[Kind, ...]:
    return tuple(Kind(action, target, _LASTING) for action in ("pause", "cut", "silence"))


_OF_PROCESSES = (
    *(Kind("kill", name, _AT_ONCE) for name in _PROCESSES),
    *(Kind("pause", name, _PAST_THE_LEASE if name == "writer" else _LASTING) for name in _PROCESSES),
)
_OF_STORE = (*_server("store"), Kind("fill", "store", _SHORT), Kind("read-only", "store", _SHORT))
KINDS = {
    "embedded": (*_OF_PROCESSES, *_OF_STORE, Kind("kill", "store", _AT_ONCE)),
    "rabbitmq": (
        *_OF_PROCESSES,
        *_OF_STORE,
        Kind("kill", "store", _SHORT),
        *_server("broker"),
        Kind("kill", "broker", _SHORT),
        Kind("memory-alarm", "broker", _SHORT),
        Kind("disk-alarm", "broker", _SHORT),
    ),
    "cluster": (
        *_OF_PROCESSES,
        *(Kind(action, name, _LASTING) for name in MEMBERS for action in ("kill", "pause", "cut", "silence")),
        Kind("kill", "sentinel", _LASTING),
        Kind("pause", "sentinel", _LASTING),
    ),
}
"""The faults of each shape of the stack; its keys are the shapes that there are."""


def plan(shape: str, seed: int, seconds: float, only: Iterable[str] = ()) -> tuple[Fault, ...]:
    """Return the faults of a run, by time; the same for the same arguments, and each kind once before one comes again.

    `only` are patterns of names (`kill *`). Two faults never strike one target at a time. `ValueError` if no kind fits.
    """
    kinds = [kind for kind in KINDS[shape] if not only or any(fnmatch(kind.name, pattern) for pattern in only)]
    if not kinds:
        raise ValueError(f"no fault of {shape} is called {' or '.join(only)}; there are {', '.join(names(shape))}")
    draw = random.Random(f"{shape} {seed}")
    faults: list[Fault] = []
    deck: list[Kind] = []
    at = FIRST
    while True:
        spell = [_lasting(draw, at, _deal(draw, deck, kinds))]
        if draw.random() < OVERLAP:
            second = _deal(draw, deck, kinds)
            if second.target == spell[0].kind.target:
                deck.append(second)  # next time
            else:
                spell.append(_lasting(draw, at + draw.uniform(0.0, 2.0), second))
        end = max(fault.ends for fault in spell)
        if end + QUIET[0] > seconds:
            return tuple(faults)
        faults += spell
        at = end + draw.uniform(*QUIET)


def names(shape: str) -> list[str]:
    """Return the names of all faults of a shape."""
    return [kind.name for kind in KINDS[shape]]


def lines(faults: Sequence[Fault]) -> list[str]:
    """Return a plan as it is printed."""
    return [
        f"{fault.at:6.1f} s  {fault.kind.name}" + (f" for {fault.seconds:.1f} s" if fault.seconds else "")
        for fault in faults
    ]


def _deal(draw: random.Random, deck: list[Kind], kinds: Sequence[Kind]) -> Kind:
    if not deck:
        deck += draw.sample(kinds, len(kinds))
    return deck.pop()


def _lasting(draw: random.Random, at: float, kind: Kind) -> Fault:
    return Fault(round(at, 1), kind, round(draw.uniform(*kind.seconds), 1))
