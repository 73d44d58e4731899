"""`GET /events`: every fact as a server-sent event, resumed by `Last-Event-ID` at whichever instance."""

from __future__ import annotations

import asyncio

from services.explorer.live.event_hub import EventHub, News
from services.explorer.live.sse_format import (
    COMMENT,
    TOPICS,
    encode_gap,
    encode_opening,
    encode_position,
    read_position,
    read_topics,
)
from services.explorer.live.stream_slots import StreamSlots
from shared.errors import StoreError
from shared.web.asgi import Receive, Scope, Send, header, response_start, until_gone

HEARTBEAT = 15.0
"""Seconds without an event after which a comment is sent."""
SEND_SECONDS = 30.0
"""After which a client that takes nothing is dropped; it can come back and resume."""
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class EventStream:
    """The endpoint."""

    def __init__(self, hub: EventHub, places: StreamSlots) -> None:
        self._hub = hub
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one stream until the client goes, is too slow, or the service stops."""
        query = scope["query_string"].decode("latin-1")
        topics = read_topics(query)
        position = read_position(query, header(scope, b"last-event-id"))
        with self._places.one("events", scope):
            await self._serve(scope, receive, send, topics, position)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, topics: frozenset[str], position: int | None
    ) -> None:
        await send(response_start(200, _HEADERS))
        try:
            await until_gone(receive, self._write(send, topics, position))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, StoreError):
            scope["abort"]()

    async def _write(self, send: Send, topics: frozenset[str], position: int | None) -> None:
        if position is None:
            position = await self._hub.begin()
        if position is None:
            return
        await _send(send, encode_opening(position))
        told = position
        while not self._hub.is_closed:
            news = await self._hub.after(position, HEARTBEAT)
            position = news.position
            frames = _frames(news, topics)
            if not frames and not news.events:
                # A client that wants rare topics must not come back with a number that is too old by then.
                frames = COMMENT if position == told else COMMENT + encode_position(position)
            if frames:
                await _send(send, frames)
                told = position


def _frames(news: News, topics: frozenset[str]) -> bytes:
    parts = [encode_gap(news.events[0].seq - 1 if news.events else news.position)] if news.is_gap else []
    parts += [event.frame for event in news.events if topics is TOPICS or event.topic in topics]
    return b"".join(parts)


async def _send(send: Send, data: bytes) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await send({"type": "http.response.body", "body": data, "more_body": True})
