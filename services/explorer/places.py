"""Bounds how many event streams and websockets are open at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.explorer.errors import RequestError
from shared import metrics

HELD = metrics.gauge("explorer_streams", "Event streams and websockets that are open.", ("kind",))


class Places:
    """So many places; used on the event loop only."""

    def __init__(self, count: int) -> None:
        self._free = count

    @contextmanager
    def one(self, kind: str) -> Iterator[None]:
        """Hold one; 429 if all are taken."""
        if not self._free:
            raise RequestError(429, "too many streams are open already")
        self._free -= 1
        HELD.labels(kind).inc()
        try:
            yield
        finally:
            HELD.labels(kind).dec()
            self._free += 1
