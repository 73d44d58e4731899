"""`GET /events`: every fact as a server-sent event, resumed by `Last-Event-ID` at any instance."""

from __future__ import annotations

import asyncio
from typing import Annotated

from msgspec import Meta

from services.explorer.api.operation import Operation, Parameter, query
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
"""After this time a client that reads nothing is dropped; it can come back and resume."""
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class EventStream:
    """The endpoint."""

    def __init__(self, hub: EventHub, slots: StreamSlots) -> None:
        self._hub = hub
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one stream until the client goes, is too slow, or the service stops."""
        query = scope["query_string"].decode("latin-1")
        topics = read_topics(query)
        position = read_position(query, header(scope, b"last-event-id"))
        with self._slots.one("events", scope):
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
                # A client of rare topics must not come back with a number that the outbox no longer has.
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


OPERATIONS = (
    Operation(
        "/events",
        EventStream.__call__,
        "Waiting",
        "Every fact, as it is committed",
        "Server-sent events: `id` is the fact's number, `event` its topic, `data` the message as JSON; `gap` tells "
        "that facts are missing: read the chain anew",
        (
            query("topics", "Topics, with commas between; all unless given", sample="block.connected"),
            Parameter("Last-Event-ID", "Go on after this fact", str, "header"),
        ),
        {400: ("Unknown topic …", "Invalid Last-Event-ID")},
        about="The answer does not end.",
        stream=Annotated[
            str, Meta(examples=['id: 7\nevent: block.connected\ndata: {"seq":7,"hash":"…","height":1,…}\n'])
        ],
    ),
)
