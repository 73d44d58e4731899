"""Mining modes: when the node wants a block that nobody has requested. Their text is the same everywhere.

| text | a block |
|---|---|
| `manual` | only when somebody requests one |
| `auto` | as soon as the pool has a transaction for it |
| `interval:S` | every S seconds |
| `interval:A-B` | after A to B seconds, drawn anew for each block |
| `interval:…,skip-empty` | the same, except while the pool has nothing for it |
| `continuous` | one after another: miners always have work |

The command line, RPC and the writer read them here. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from shared.durations import DAY
from shared.errors import DecodeError

SHORTEST_INTERVAL = 0.2
"""Seconds. The time of a block must be later than the median of the eleven before it, in whole seconds: from six blocks
a second on, the chain's time would run ahead of the clock."""

_SECONDS = r"\d{1,5}(?:\.\d{1,3})?"
_INTERVAL = re.compile(rf"interval:({_SECONDS})(?:-({_SECONDS}))?(,skip-empty)?", re.ASCII)


class MiningKind(StrEnum):
    """The kinds of modes."""

    MANUAL = "manual"
    AUTO = "auto"
    INTERVAL = "interval"
    CONTINUOUS = "continuous"


@dataclass(frozen=True, slots=True)
class MiningMode:
    """A mode, as `parse_mode` returns it."""

    text: str
    kind: MiningKind
    shortest: float = 0.0
    """Of an interval: the least number of seconds from block to block."""
    longest: float = 0.0
    skip_empty: bool = False
    """Whether a block needs a transaction beside its coinbase."""


@dataclass(frozen=True, slots=True)
class MiningSetting:
    """The mode that a chain has, and whom its blocks pay."""

    mode: MiningMode
    script_pubkey: bytes = b""
    """Empty if nobody was named yet, which only the mode `manual` allows."""


def parse_mode(text: str) -> MiningMode:
    """Return the mode of a text; `DecodeError` says what is wrong with it."""
    if text in (MiningKind.MANUAL, MiningKind.CONTINUOUS):
        return MiningMode(text, MiningKind(text))
    if text == MiningKind.AUTO:
        return MiningMode(text, MiningKind.AUTO, skip_empty=True)
    found = _INTERVAL.fullmatch(text)
    if found is None:
        raise DecodeError(
            "a mining mode is manual, auto, interval:S or interval:A-B (also with ,skip-empty), or continuous"
        )
    shortest = float(found[1])
    longest = float(found[2] or found[1])
    if not SHORTEST_INTERVAL <= shortest <= longest <= DAY:
        raise DecodeError(f"an interval has from {SHORTEST_INTERVAL} to {DAY} seconds, and A is at most B")
    return MiningMode(text, MiningKind.INTERVAL, shortest, longest, skip_empty=found[3] is not None)


MANUAL = MiningSetting(parse_mode("manual"))
"""The setting of a chain for which nobody has chosen a mode."""
