"""Bounds how many event streams, websockets and waiting requests are held at a time, by all clients and by each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.explorer.errors import RequestError
from shared import metrics
from shared.web.asgi import Scope

HELD = metrics.gauge("explorer_streams", "Event streams, websockets and waiting requests that are held.", ("kind",))


class StreamSlots:
    """A number of slots, of which one client may hold a part; used on the event loop only."""

    def __init__(self, count: int, most_for_one: int, client_of: Callable[[Scope], str]) -> None:
        self._free = count
        self._most_for_one = most_for_one
        self._client_of = client_of
        self._held: Counter[str] = Counter()
        """Slots that are held, by client; a client without any has no entry."""

    @contextmanager
    def one(self, kind: str, scope: Scope) -> Iterator[None]:
        """Hold a slot for a request; 429 if all are taken, or the client has as many as it may."""
        client = self._client_of(scope)
        held = "requests wait" if kind == "wait" else "streams are open"
        if not self._free:
            raise RequestError(429, f"too many {held} already")
        if self._held[client] >= self._most_for_one:
            raise RequestError(429, f"too many {held} for one client already")
        self._free -= 1
        self._held[client] += 1
        HELD.labels(kind).inc()
        try:
            yield
        finally:
            HELD.labels(kind).dec()
            self._held[client] -= 1
            if not self._held[client]:
                del self._held[client]
            self._free += 1
