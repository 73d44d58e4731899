"""Counters of a script, and the scores of its history."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from shared.errors import DecodeError

_STATS = struct.Struct("<5q")
_POSITION_BITS = 20


@dataclass(frozen=True, slots=True)
class ScriptStats:
    """Esplora's counters of a script; sums in satoshis."""

    tx_count: int = 0
    funded_count: int = 0
    funded_sum: int = 0
    spent_count: int = 0
    spent_sum: int = 0

    @property
    def balance(self) -> int:
        """Satoshis received and not spent."""
        return self.funded_sum - self.spent_sum


def encode_script_stats(stats: ScriptStats) -> bytes:
    """Transaction count, count and sum of outputs, count and sum of spent outputs: 8 bytes each."""
    return _STATS.pack(stats.tx_count, stats.funded_count, stats.funded_sum, stats.spent_count, stats.spent_sum)


def decode_script_stats(data: bytes) -> ScriptStats:
    """Inverse of `encode_script_stats`."""
    return ScriptStats(*_STATS.unpack(data))


def history_score(height: int, position: int) -> int:
    """Score of a transaction in its scripts' histories: by height, then position in the block; exact as a double."""
    if position >> _POSITION_BITS:
        raise DecodeError(f"position {position} in a block is out of range")
    return height << _POSITION_BITS | position


def split_history_score(score: float) -> tuple[int, int]:
    """Return height and position of a score."""
    number = int(score)
    return number >> _POSITION_BITS, number & ((1 << _POSITION_BITS) - 1)
