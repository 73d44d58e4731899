"""Finds scripts with an address by ranges of their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.chain import codec

_LISTED = 4_096
"""Up to so many groups are asked for by name; for wider ranges the names of all groups are read (200,000 at most)."""
_GROUPS_AT_ONCE = 256
_SMALLEST_GROUP = 4
"""Bytes of a group's name; a range may begin or end with less than a script."""


def find_scripts(redis: Any, key: str, ranges: Sequence[tuple[bytes, bytes]], limit: int) -> list[bytes]:
    """Return up to `limit` scriptPubKeys of the best chain within these ranges, range by range, sorted within each.

    A range has a first and a last scriptPubKey, compared as bytes.
    """
    listed = [_groups_between(low, high) for low, high in ranges]
    if sum(map(len, listed)) > _LISTED or not all(listed):
        names = sorted(redis.hkeys(key))
        listed = [
            [group for group in names if low[: len(group)] <= group <= high[: len(group)]] for low, high in ranges
        ]
    asked = [(group, bounds) for groups, bounds in zip(listed, ranges, strict=True) for group in groups]
    found: list[bytes] = []
    for first in range(0, len(asked), _GROUPS_AT_ONCE):
        part = asked[first : first + _GROUPS_AT_ONCE]
        values = redis.hmget(key, [group for group, _ in part])
        for (group, (low, high)), data in zip(part, values, strict=True):
            if data is not None:
                found += [script for script in codec.decode_script_group(group, data) if low <= script <= high]
        if len(found) >= limit:
            break
    return found[:limit]


def _groups_between(low: bytes, high: bytes) -> list[bytes]:
    """Return the groups from one script's to another's; none if they are too many, or of scripts of several kinds."""
    first, last = codec.script_group(low), codec.script_group(high)
    size = len(first)
    numbers = range(int.from_bytes(first, "big"), int.from_bytes(last, "big") + 1)
    if len(last) != size or size < _SMALLEST_GROUP or len(numbers) > _LISTED:
        return []
    return [number.to_bytes(size, "big") for number in numbers]
