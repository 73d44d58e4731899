"""The record of a script: its counters, and its history and coins while these are few."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import msgpack
import msgspec

from shared.errors import DecodeError

MOST_PACKED = 32
"""A script with more transactions or coins than these has them in sorted sets, so that no commit writes many anew."""

_POSITION_BITS = 20
_SCORE_SIZE = 6
_HISTORY_SIZE = _SCORE_SIZE + 32
_COIN_SIZE = 1 + 4


# A full block reads and makes ten thousand of these: a struct is made in a fifth of the time of a dataclass.
class ScriptStats(msgspec.Struct, frozen=True, gc=False):
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

    @property
    def is_packed(self) -> bool:
        """Whether the record of a script with these counters has its history and its coins."""
        return self.tx_count <= MOST_PACKED and self.funded_count - self.spent_count <= MOST_PACKED


class ScriptRecord(msgspec.Struct, frozen=True):
    """The record of a script; its lists are decoded when they are asked for."""

    stats: ScriptStats = ScriptStats()
    packed: tuple[bytes, bytes] | None = (b"", b"")
    """History and coins; None if they are in sorted sets."""

    def history(self) -> list[tuple[int, bytes]]:
        """Return the score and the txid of each transaction, oldest first; only of a packed script."""
        data, _ = self._packed()
        return [
            (
                int.from_bytes(data[at : at + _SCORE_SIZE], "big"),
                data[at + _SCORE_SIZE : at + _HISTORY_SIZE],
            )
            for at in range(0, len(data), _HISTORY_SIZE)
        ]

    def coins(self) -> list[tuple[int, bytes]]:
        """Return the height and the outpoint (36 bytes) of each coin, sorted by these; only of a packed script."""
        _, data = self._packed()
        history = self.history() if data else []
        found = []
        for at in range(0, len(data), _COIN_SIZE):
            score, txid = history[data[at]]
            found.append((score >> _POSITION_BITS, txid + data[at + 1 : at + _COIN_SIZE]))
        return sorted(found)

    def _packed(self) -> tuple[bytes, bytes]:
        if self.packed is None:
            raise ValueError("the lists of this script are in sorted sets")
        return self.packed


def encode_script_record(stats: ScriptStats, lists: tuple[Mapping[bytes, int], Iterable[bytes]] | None) -> bytes:
    """Return the record of a script, with `lists` if it `is_packed`: txid → score of its history, and its outpoints.

    A MessagePack array: transaction count, count and sum of outputs, count and sum of spent outputs, history, coins;
    the last two are nil for a script with sorted sets. A history entry is a score (6 bytes, big-endian) and a txid, the
    lowest score first; a coin is the place of its transaction in this history (1 byte) and its output index (4).
    """
    packed: tuple[bytes | None, bytes | None] = (None, None)
    if lists is not None:
        history = sorted(lists[0].items(), key=itemgetter(1))
        places = {txid: bytes((place,)) for place, (txid, _) in enumerate(history)}
        packed = (
            b"".join([score.to_bytes(_SCORE_SIZE, "big") + txid for txid, score in history]),
            b"".join(sorted([places[outpoint[:32]] + outpoint[32:] for outpoint in lists[1]])),
        )
    encoded: bytes = msgpack.packb(
        (stats.tx_count, stats.funded_count, stats.funded_sum, stats.spent_count, stats.spent_sum, *packed)
    )
    return encoded


def decode_script_record(data: bytes) -> ScriptRecord:
    """Inverse of `encode_script_record`."""
    found: Any = msgpack.unpackb(data, use_list=False)
    *counters, history, coins = found
    return ScriptRecord(ScriptStats(*counters), None if history is None else (history, coins))


def history_score(height: int, position: int) -> int:
    """Score of a transaction in its scripts' histories: by height, then position in the block; exact as a double."""
    if position >> _POSITION_BITS:
        raise DecodeError(f"position {position} in a block is out of range")
    return height << _POSITION_BITS | position


def split_history_score(score: float) -> tuple[int, int]:
    """Return height and position of a score."""
    number = int(score)
    return number >> _POSITION_BITS, number & ((1 << _POSITION_BITS) - 1)
