"""Bounds how many event streams, websockets and waiting requests are held at a time, by all clients and by each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.explorer.errors import RequestError
from shared import metrics
from shared.web.asgi import Scope
from shared.web.slots import Slots, SlotsTaken

HELD = metrics.gauge("explorer_streams", "Event streams, websockets and waiting requests that are held.", ("kind",))


class StreamSlots:
    """The slots of all endpoints that stay open."""

    def __init__(self, count: int, most_for_one: int, client_of: Callable[[Scope], str]) -> None:
        self._slots = Slots(count, most_for_one)
        self._client_of = client_of

    @contextmanager
    def one(self, kind: str, scope: Scope) -> Iterator[None]:
        """Hold a slot for a request; 429 if all are taken, or the client has as many as it may."""
        held = "requests wait" if kind == "wait" else "streams are open"
        try:
            slot = self._slots.take(self._client_of(scope))
        except SlotsTaken as error:
            raise RequestError(429, f"too many {held}{' for one client' if error.is_share else ''} already") from None
        with slot, HELD.labels(kind).track_inprogress():
            yield
