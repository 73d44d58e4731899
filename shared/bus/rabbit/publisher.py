"""The publishing half of the `rabbit` backend: pipelined confirms, mandatory routing, and replies to its requests.

One channel in confirm mode on a link of its own, so that a server that holds publishers back never delays acks. The
caller's thread encodes and waits; the link's thread publishes and counts confirms. With the first request a transient
queue for replies is declared on the same channel.

While RabbitMQ holds publishers back (low on memory or disk) everything fails at once instead of waiting.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pika
import pika.spec

from shared import trace
from shared.bus.events import SCHEMA_HEADER, SCHEMA_VERSION
from shared.bus.rabbit.link import RabbitLink
from shared.bus.rabbit.topology_check import TopologyCheck
from shared.bus.replies import ReplyBox
from shared.bus.topics import DEAD_LETTER_EXCHANGE, EXCHANGE, REPLY_EXCHANGE, SERVICES, outlet, transient_name
from shared.errors import BrokerError, BrokerUnavailable, Unroutable
from shared.logs import with_fields
from shared.process import waiting
from shared.process.waiting import WaitFor

log = logging.getLogger(__name__)

_CHUNK = 250
"""Messages published in one go on the link's thread, so that heartbeats and confirms get their turn."""
_CHUNKS_IN_FLIGHT = 8
_CONFIRM_TIMEOUT = 30.0
UNCONFIRMED = "RabbitMQ does not confirm"
_WATCH_PERIOD = 1.0
_STALLED_PERIODS = 10
"""After so many without a confirm for the oldest message another connection is opened. Longer than an election."""
_REMEMBERED = 5.0
"""Seconds for which a message that no queue took counts as a fault of the broker."""


@dataclass(slots=True)
class Outgoing:
    """One message on its way to an exchange."""

    routing_key: str
    type: str
    body: bytes
    traceparent: str
    exchange: str
    must_arrive: bool = True
    """Whether it is an error if no queue takes it."""
    wants_reply: bool = False
    correlation_id: str | None = None
    headers: dict[str, str | int] = field(default_factory=dict)


@dataclass(slots=True)
class _Chunk:
    """Messages that are confirmed together; `done` when all are, or when they failed."""

    messages: Sequence[Outgoing]
    missing: int
    unrouted: set[str] = field(default_factory=set)
    done: Future[None] = field(default_factory=Future)

    def fail(self, error: BrokerError) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def confirm(self) -> None:
        """Count a confirm."""
        self.missing -= 1
        if self.missing or self.done.done():
            return
        if self.unrouted:
            self.fail(Unroutable(_nobody_takes(sorted(self.unrouted))))
        else:
            self.done.set_result(None)

    def when_failed(self, tell: Callable[[BrokerError], None]) -> None:
        """Call `tell` with the error if there is one, at once or on the link's thread."""

        def look(done: Future[None]) -> None:
            if isinstance(error := done.exception(), BrokerError):
                tell(error)

        self.done.add_done_callback(look)


class RabbitPublisher:
    """Publishes on a link of its own. `patience`: seconds to wait for a connection before giving up.

    The queue for replies is named after `service`, which has an exchange of its own to publish to; another program's
    user must have the right to publish to the common ones.
    """

    def __init__(self, params: Sequence[Any], box: ReplyBox, service: str, patience: float) -> None:
        self._service = service
        own = outlet(service) if service in SERVICES else ""
        self.exchange = own or EXCHANGE
        self.dead_letter_exchange = own or DEAD_LETTER_EXCHANGE
        self._box = box
        self._patience = patience
        self._closed = False
        self._is_up = False
        self._changed: Future[None] = Future()
        """Done, and another one in its place, at each change of `_is_up` and each failed attempt to connect."""
        self._why_down = "not connected yet"
        self._is_blocked = False
        self._why_blocked = ""
        """Stays after a reconnect until a message is confirmed: only who publishes is told of an alarm."""
        self._lost: dict[str, float] = {}
        """When a message was last returned because no queue took it, by its name."""
        # The rest is touched by the link's thread only.
        self._channel: Any = None
        self._session = ""
        self._reply_queue = ""
        self._next_tag = 1
        self._unconfirmed: dict[int, tuple[_Chunk, Outgoing]] = {}
        self._check = TopologyCheck()
        self._link = RabbitLink(params, "bus-publish", self._on_up, self._on_down)
        self._link.start()

    def trouble(self) -> str:
        """Return why messages cannot be published now; empty if they can."""
        if not self._is_up:
            return self._why_down
        since = time.monotonic() - _REMEMBERED
        lost = sorted(name for name, when in list(self._lost.items()) if when > since)
        return self._why_blocked or self._check.trouble or (_nobody_takes(lost) if lost else "")

    def count_waiting(self, queue: str) -> None:
        """Count the messages that wait in a durable queue from now on, for `waiting`."""
        self._check.count(queue)

    def waiting(self, queue: str) -> int:
        """Return the number of messages that waited in a counted queue a moment ago; 0 if it is not known."""
        return self._check.waiting.get(queue, 0)

    async def until_up(self) -> None:
        """Wait for the connection as long as patience allows; raises `BrokerUnavailable`."""
        deadline = time.monotonic() + self._patience
        while True:
            changed = self._changed
            if self._is_up:
                break
            if self._closed or not await WaitFor(changed, deadline - time.monotonic()):
                raise BrokerUnavailable(self._why_down)
        if self._is_blocked:
            raise BrokerUnavailable(self._why_blocked)

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish in order and return when all are confirmed. Raises `BrokerUnavailable` or `Unroutable`."""
        waiting.run(self._publish(messages))

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        deadline = time.monotonic() + _CONFIRM_TIMEOUT
        await self.until_up()
        for chunk in await self.send(messages, deadline):
            await _confirmed(chunk, deadline)

    async def send(self, messages: Sequence[Outgoing], deadline: float) -> deque[_Chunk]:
        """Publish in order and return the chunks that are not known to be confirmed.

        Raises `BrokerUnavailable` or `Unroutable` for an earlier chunk.
        """
        in_flight: deque[_Chunk] = deque()
        for start in range(0, len(messages), _CHUNK):
            if len(in_flight) >= _CHUNKS_IN_FLIGHT:
                await _confirmed(in_flight.popleft(), deadline)
            part = messages[start : start + _CHUNK]
            chunk = _Chunk(part, len(part))
            in_flight.append(chunk)
            self._submit(chunk)
        return in_flight

    def close(self) -> None:
        """Close the connection; publishing that is not confirmed by then fails."""
        self._closed = True
        self._link.close()
        self._on_down("the bus is closed")

    def _submit(self, chunk: _Chunk) -> None:
        if not self._link.call(lambda: self._send(chunk)):
            raise BrokerUnavailable("the bus is closed")

    # ── on the link's thread ────────────────────────────────────────────────────────────────────────────────────

    def _on_up(self, connection: Any) -> None:
        connection.add_on_connection_blocked_callback(lambda _, frame: self._blocked(frame.method.reason))
        connection.add_on_connection_unblocked_callback(lambda _, frame: self._unblocked())
        connection.channel(on_open_callback=self._channel_open)
        self._check.start(self._link, connection)

    def _channel_open(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        channel.add_on_cancel_callback(lambda _: self._reply_queue_gone())
        channel.confirm_delivery(self._confirmed, callback=lambda _: self._ready(channel))

    def _ready(self, channel: Any) -> None:
        self._channel = channel
        self._session = uuid.uuid4().hex
        self._next_tag = 1
        self._set_up(True)
        self._watch(channel, 0, 0)

    def _watch(self, channel: Any, oldest: int, periods: int) -> None:
        """Start over, if the oldest message has stayed unconfirmed for some periods.

        A channel can lose touch with the leader of a quorum queue, if that was paused or cut off, and then confirms no
        message to this queue any more, while all other channels do.
        """
        if channel is not self._channel:
            return
        first = next(iter(self._unconfirmed), 0)
        periods = periods + 1 if first and first == oldest and not self._is_blocked else 0
        if periods < _STALLED_PERIODS:
            self._link.call_later(_WATCH_PERIOD, lambda: self._watch(channel, first, periods))
            return
        log.warning("RabbitMQ does not confirm, opening another connection")
        self._on_down(UNCONFIRMED)
        channel.connection.close()

    def _channel_closed(self, channel: Any, error: BaseException) -> None:
        """Start over with a new connection: the outcome of messages on their way is unknown."""
        self._on_down(f"RabbitMQ closed the channel: {error}")
        if channel.connection.is_open:
            channel.connection.close()

    def _set_up(self, is_up: bool) -> None:
        self._is_up = is_up
        changed, self._changed = self._changed, Future()
        changed.set_result(None)

    def _on_down(self, reason: str) -> None:
        self._why_down = reason
        self._set_up(False)
        self._channel = None
        self._is_blocked = False
        self._check.stop()
        self._reply_queue_gone(reason)
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for chunk, _ in unconfirmed.values():
            chunk.fail(BrokerUnavailable(reason))

    def _blocked(self, reason: str) -> None:
        """Fail everything that waits: it may still take effect when RabbitMQ has recovered."""
        self._is_blocked = True
        self._why_blocked = f"RabbitMQ takes no messages: {reason}"
        log.warning("RabbitMQ takes no messages", extra=with_fields(reason=reason))
        for chunk, _ in self._unconfirmed.values():
            chunk.fail(BrokerUnavailable(self._why_blocked))
        self._box.fail_all(self._why_blocked)

    def _unblocked(self) -> None:
        self._is_blocked = False
        self._why_blocked = ""
        log.info("RabbitMQ takes messages again")

    def _listen(self) -> None:
        """Declare the queue for replies; requests published after this on the same channel find it there."""
        self._reply_queue = queue = transient_name(self._service)
        self._channel.queue_declare(queue, exclusive=True, auto_delete=True)
        self._channel.queue_bind(queue, REPLY_EXCHANGE, queue)
        self._channel.basic_consume(queue, self._reply_arrived, auto_ack=True)
        self._check.keep_bound(queue, REPLY_EXCHANGE)

    def _reply_queue_gone(self, reason: str = "the queue for replies was deleted") -> None:
        self._reply_queue = ""
        self._check.keep_bound("", "")
        self._box.fail_all(reason)

    def _send(self, chunk: _Chunk) -> None:
        if self._channel is None:
            chunk.fail(BrokerUnavailable(self._why_down))
            return
        if not self._reply_queue and any(message.wants_reply for message in chunk.messages):
            self._listen()
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
                reply_to=self._reply_queue if message.wants_reply else None,
                correlation_id=message.correlation_id,
                headers=message.headers | {trace.HEADER: message.traceparent, SCHEMA_HEADER: SCHEMA_VERSION},
            )
            self._channel.basic_publish(message.exchange, message.routing_key, message.body, properties, mandatory=True)

    def _returned(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        """No queue took a message; its confirm follows."""
        entry = self._unconfirmed.get(int(properties.message_id.rpartition("-")[2]))
        if entry is not None:
            chunk, message = entry
            if message.must_arrive:
                name = _name(message)
                chunk.unrouted.add(name)
                self._lost[name] = time.monotonic()
            elif message.exchange == REPLY_EXCHANGE:
                log.info("a reply came too late: the requester has gone", extra=with_fields(type=message.type))

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
        if not (refused or self._is_blocked):
            self._why_blocked = ""
        for tag in tags:
            chunk, message = self._unconfirmed.pop(tag)
            if self._lost and (name := _name(message)) not in chunk.unrouted:
                self._lost.pop(name, None)
            if refused:
                chunk.fail(BrokerUnavailable("RabbitMQ refused a message"))
            chunk.confirm()

    def _reply_arrived(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        self._box.put(properties.correlation_id or "", properties.type or "", body)


async def _confirmed(chunk: _Chunk, deadline: float) -> None:
    if not await WaitFor(chunk.done, deadline - time.monotonic()):
        raise BrokerUnavailable(UNCONFIRMED)
    chunk.done.result()


def _name(message: Outgoing) -> str:
    """Return what an error calls the message: its topic, or the routing key of a reply or dead letter."""
    return message.type if message.routing_key == message.type else f"{message.type} for {message.routing_key}"


def _nobody_takes(names: Sequence[str]) -> str:
    return f"nobody takes {', '.join(names)}"
