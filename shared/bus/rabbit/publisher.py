"""The publishing half of the `rabbit` backend: pipelined confirms, mandatory routing, direct replies.

One channel in confirm mode on a link of its own, so that a server that holds publishers back never delays acks. The
caller's thread encodes and waits; the link's thread publishes and counts confirms.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pika
import pika.spec

from shared import trace
from shared.bus.events import SCHEMA_VERSION
from shared.bus.rabbit.link import RabbitLink
from shared.bus.replies import ReplyBox
from shared.bus.topics import CLAIMS, EXCHANGE
from shared.errors import BrokerError, BrokerUnavailable, Unroutable

log = logging.getLogger(__name__)

DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"
"""RabbitMQ's pseudo-queue: replies come straight to the channel that asked, without a queue."""
SCHEMA_HEADER = "schema-version"

_CHUNK = 250
"""Messages published in one go on the link's thread, so that heartbeats and confirms get their turn."""
_CHUNKS_IN_FLIGHT = 8
_CONFIRM_TIMEOUT = 30.0


@dataclass(slots=True)
class Outgoing:
    """One message on its way to an exchange."""

    routing_key: str
    type: str
    body: bytes
    traceparent: str
    exchange: str = EXCHANGE
    mandatory: bool = True
    reply_to: str | None = None
    correlation_id: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Chunk:
    """Messages that are confirmed together; `done` is set when all are, or with `error`."""

    messages: Sequence[Outgoing]
    missing: int
    unrouted: set[str] = field(default_factory=set)
    error: BrokerError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def fail(self, error: BrokerError) -> None:
        self.error = error
        self.done.set()


class RabbitPublisher:
    """Publishes on a link of its own. `patience`: seconds to wait for a connection before giving up."""

    def __init__(self, params: Sequence[Any], box: ReplyBox, patience: float) -> None:
        self._box = box
        self._patience = patience
        self._closed = False
        self._up = threading.Event()
        self._why_down = "not connected yet"
        # The rest is touched by the link's thread only.
        self._channel: Any = None
        self._session = ""
        self._next_tag = 1
        self._unconfirmed: dict[int, tuple[_Chunk, Outgoing]] = {}
        self._link = RabbitLink(params, "bus-publish", self._on_up, self._on_down)

    def is_up(self) -> bool:
        """Whether messages can be published now."""
        return self._up.is_set()

    def wait_up(self) -> None:
        """Wait for the connection as long as patience allows; raises `BrokerUnavailable`."""
        if self._closed or not self._up.wait(self._patience):
            raise BrokerUnavailable(self._why_down)

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish in order and return when all are confirmed. Raises `BrokerUnavailable` or `Unroutable`."""
        deadline = time.monotonic() + _CONFIRM_TIMEOUT
        self.wait_up()
        chunks: list[_Chunk] = []
        in_flight: deque[_Chunk] = deque()
        for start in range(0, len(messages), _CHUNK):
            if len(in_flight) >= _CHUNKS_IN_FLIGHT:
                self._wait(in_flight.popleft(), deadline)
            part = messages[start : start + _CHUNK]
            chunk = _Chunk(part, len(part))
            chunks.append(chunk)
            in_flight.append(chunk)
            self._submit(chunk)
        for chunk in in_flight:
            self._wait(chunk, deadline)
        if lost := set().union(*(chunk.unrouted for chunk in chunks)).intersection(CLAIMS):
            raise Unroutable(f"nobody takes {', '.join(sorted(lost))}")

    def close(self) -> None:
        """Close the connection; publishing that is not confirmed by then fails."""
        self._closed = True
        self._link.close()
        self._on_down("the bus is closed")

    def _submit(self, chunk: _Chunk) -> None:
        if not self._link.call(lambda: self._send(chunk)):
            raise BrokerUnavailable("the bus is closed")

    def _wait(self, chunk: _Chunk, deadline: float) -> None:
        if not chunk.done.wait(max(0.0, deadline - time.monotonic())):
            raise BrokerUnavailable("RabbitMQ does not confirm")
        if chunk.error is not None:
            raise chunk.error

    # ── on the link's thread ────────────────────────────────────────────────────────────────────────────────────

    def _on_up(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._channel_open)

    def _channel_open(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        channel.exchange_declare(EXCHANGE, "topic", durable=True)
        channel.confirm_delivery(self._confirmed)
        channel.basic_consume(
            DIRECT_REPLY_TO, self._reply_arrived, auto_ack=True, callback=lambda _: self._ready(channel)
        )

    def _ready(self, channel: Any) -> None:
        self._channel = channel
        self._session = uuid.uuid4().hex
        self._next_tag = 1
        self._up.set()

    def _channel_closed(self, channel: Any, error: BaseException) -> None:
        """Start over with a new connection: the outcome of messages on their way is unknown."""
        self._on_down(f"RabbitMQ closed the channel: {error}")
        if channel.connection.is_open:
            channel.connection.close()

    def _on_down(self, reason: str) -> None:
        self._up.clear()
        self._why_down = reason
        self._channel = None
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for chunk, _ in unconfirmed.values():
            chunk.fail(BrokerUnavailable(reason))
        self._box.fail_all(reason)

    def _send(self, chunk: _Chunk) -> None:
        if self._channel is None:
            chunk.fail(BrokerUnavailable(self._why_down))
            return
        now = int(time.time())
        for message in chunk.messages:
            tag = self._next_tag
            self._next_tag += 1
            self._unconfirmed[tag] = (chunk, message)
            properties = pika.BasicProperties(
                content_type="application/json",
                delivery_mode=2,
                message_id=f"{self._session}-{tag}",
                type=message.type,
                timestamp=now,
                app_id="warren",
                reply_to=message.reply_to,
                correlation_id=message.correlation_id,
                headers=message.headers | {trace.HEADER: message.traceparent, SCHEMA_HEADER: SCHEMA_VERSION},
            )
            self._channel.basic_publish(
                message.exchange, message.routing_key, message.body, properties, mandatory=message.mandatory
            )

    def _returned(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        """No queue took a message; its confirm follows."""
        entry = self._unconfirmed.get(int(properties.message_id.rpartition("-")[2]))
        if entry is not None:
            chunk, message = entry
            chunk.unrouted.add(message.type)

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        if method.multiple:
            tags = []
            for tag in self._unconfirmed:  # in rising order
                if tag > method.delivery_tag:
                    break
                tags.append(tag)
        else:
            tags = [method.delivery_tag]
        refused = isinstance(method, pika.spec.Basic.Nack)
        for tag in tags:
            chunk, _ = self._unconfirmed.pop(tag)
            chunk.missing -= 1
            if refused:
                chunk.fail(BrokerUnavailable("RabbitMQ refused a message"))
            elif not chunk.missing and chunk.error is None:
                chunk.done.set()

    def _reply_arrived(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        self._box.put(properties.correlation_id or "", properties.type or "", body)
