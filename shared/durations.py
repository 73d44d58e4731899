"""Spans of time: their units in seconds, and as text for pages and the command line. Standard library only."""

from __future__ import annotations

from typing import Final

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
_UNITS = ((DAY, "day", "d"), (HOUR, "hour", "h"), (MINUTE, "minute", "min"), (1, "second", "s"))


def duration(seconds: int) -> str:
    """Return a span by its two largest units: `2 days 3 hours`."""
    return " ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name, _ in _largest(seconds))


def short_duration(seconds: int) -> str:
    """Return a span by its two largest units: `2 d 3 h`."""
    return " ".join(f"{count} {unit}" for count, _, unit in _largest(seconds))


def _largest(seconds: int) -> list[tuple[int, str, str]]:
    """Return the largest unit of the span with its number, and the next smaller unit if its number is not 0."""
    found = []
    for size, name, unit in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            found.append((count, name, unit))
        elif found:
            break
    return found[:2] or [(0, "second", "s")]
