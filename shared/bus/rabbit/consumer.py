"""The consuming half of the `rabbit` backend: a channel and a bounded buffer for each queue.

The link's thread fills the buffers (up to the prefetch), the consumer's thread empties them by priority. Messages
handed out before a reconnect come again, and acks of theirs are ignored.

Durable queues are made by setup (`topology`): while one is missing, the consumer tries again. A transient queue is
declared here, and bound again every second: a binding goes with its exchange, and does not come back with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared import trace
from shared.bus.broker import Consumer, Delivery, ReplyAddress, read_deadline
from shared.bus.events import DEADLINE_HEADER
from shared.bus.rabbit.link import RabbitLink, describe
from shared.bus.rabbit.publisher import Outgoing, RabbitPublisher
from shared.bus.topics import EXCHANGE, Queue, is_transient_name
from shared.errors import BrokerError
from shared.logs import with_fields
from shared.process.backoff import backoff

log = logging.getLogger(__name__)

_REOPEN_CAP = 1.0
"""Seconds between tries at most to consume a queue that is missing."""
_BIND_PERIOD = 1.0
"""Seconds between two bindings of a transient queue."""
STARVED_SECONDS = 10.0
"""Seconds for which messages wait and none comes, after which another connection is opened. Longer than an election."""
_UNDELIVERABLE_PAUSE = 0.5
"""Seconds before a message comes again that could not be dead-lettered."""


@dataclass(frozen=True, slots=True)
class _Tag:
    """A delivery tag means something on its own channel only."""

    channel: Any
    number: int


class _Subscription:
    """One queue of a consumer. Its methods run on the link's thread, except where `arrived` guards the buffer."""

    def __init__(self, link: RabbitLink, queue: Queue, prefetch: int, arrived: threading.Condition) -> None:
        self.queue = queue
        self.buffer: deque[Delivery] = deque()
        self.ready = threading.Event()
        self.closed = threading.Event()
        """Set while there is no channel."""
        self.closed.set()
        self._link = link
        self._prefetch = prefetch
        self._arrived = arrived
        self._channel: Any = None
        self._unsettled: dict[int, None] = {}
        self._failures = 0
        self._why = "not yet"
        self._cancelled = False
        self.was_cut_off = False
        self._fed = 0.0
        """Time (monotonic) until which nothing was amiss: a message came, or none could."""

    def trouble(self) -> str:
        """Return why the queue is not consumed; empty if it is."""
        return "" if self.ready.is_set() else f"{self.queue.name} is not consumed: {self._why}"

    def is_starved(self, waiting: int) -> bool:
        """Whether messages have waited for long, there is room for them, and none has come; `waiting` do so now."""
        if not waiting or not self.ready.is_set() or len(self._unsettled) >= self._prefetch:
            self._fed = time.monotonic()
        return time.monotonic() - self._fed > STARVED_SECONDS

    def open(self, connection: Any) -> None:
        if not self._cancelled and connection.is_open:
            self.closed.clear()
            connection.channel(on_open_callback=self._channel_open)

    def _channel_open(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_cancel_callback(lambda _: channel.close() if channel.is_open else None)
        if not self.queue.durable:
            channel.queue_declare(self.queue.name, exclusive=True, auto_delete=True)
            self._bind(channel)
        self._subscribe(channel)

    def _subscribe(self, channel: Any) -> None:
        channel.basic_qos(prefetch_count=self._prefetch)
        channel.basic_consume(self.queue.name, self._message, callback=self._consuming)

    def _bind(self, channel: Any) -> None:
        if channel is self._channel and channel.is_open:
            for topic in self.queue.topics:
                channel.queue_bind(self.queue.name, EXCHANGE, topic)
            self._link.call_later(_BIND_PERIOD, lambda: self._bind(channel))

    def _consuming(self, _frame: Any) -> None:
        self._failures = 0
        self._fed = time.monotonic()
        self.ready.set()

    def _channel_closed(self, channel: Any, error: BaseException) -> None:
        self.down(describe(error))
        if channel.connection.is_open and not self._cancelled:
            if self._failures == 0:
                fields = with_fields(queue=self.queue.name, error=self._why)
                log.warning("a channel was closed, opening another", extra=fields)
            self._link.call_later(
                backoff(self._failures, cap=_REOPEN_CAP),
                lambda: self.open(channel.connection),
            )
            self._failures += 1

    def down(self, reason: str) -> None:
        """Forget everything about the channel: the broker gives its messages out again."""
        self._why = reason
        self.was_cut_off |= self.ready.is_set() and not self._cancelled
        self.ready.clear()
        self._channel = None
        self._unsettled = {}
        with self._arrived:
            self.buffer.clear()
        self.closed.set()

    def _message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._fed = time.monotonic()
        self._unsettled[method.delivery_tag] = None
        headers = properties.headers or {}
        count = headers.get("x-delivery-count", int(method.redelivered))
        traceparent = trace.parse(headers.get(trace.HEADER)) or trace.new()
        reply_to = self._requester(properties.reply_to or "")
        correlation_id = properties.correlation_id or ""
        delivery = Delivery(
            queue=self.queue.name,
            type=properties.type or "",
            body=body,
            message_id=properties.message_id or "",
            delivery_count=int(count) if isinstance(count, int) else 0,
            reply_address=ReplyAddress(reply_to, correlation_id, traceparent) if reply_to else None,
            traceparent=traceparent,
            tag=_Tag(channel, method.delivery_tag),
            deadline=read_deadline(headers.get(DEADLINE_HEADER)),
        )
        with self._arrived:
            self.buffer.append(delivery)
            self._arrived.notify()

    def _requester(self, reply_to: str) -> str:
        """Return where the reply goes; nowhere if that is no queue of a requester's own."""
        if reply_to and not is_transient_name(reply_to):
            fields = with_fields(queue=self.queue.name)
            log.warning("a request gets no reply: its reply_to names no queue of a requester", extra=fields)
            return ""
        return reply_to

    def ack(self, tags: Sequence[_Tag]) -> None:
        """Ack with as few frames as possible: one for all when nothing before them is still at work."""
        numbers = {tag.number for tag in tags if tag.channel is self._channel}
        numbers &= self._unsettled.keys()
        front = 0
        for number in self._unsettled:
            if number not in numbers:
                break
            front = number
        if front:
            self._channel.basic_ack(front, multiple=True)
        for number in sorted(numbers):
            del self._unsettled[number]
            if number > front:
                self._channel.basic_ack(number)

    def requeue(self, tags: Sequence[_Tag]) -> None:
        for tag in tags:
            if tag.channel is self._channel and tag.number in self._unsettled:
                del self._unsettled[tag.number]
                self._channel.basic_nack(tag.number, requeue=True)

    def cancel(self) -> None:
        """Close the channel, which gives back everything unacked; `closed` tells when it is done."""
        self._cancelled = True
        if self._channel is not None and self._channel.is_open:
            self._channel.close()


class RabbitConsumer(Consumer):
    """Consumes through a link that it shares with others. `patience`: seconds to wait for the broker."""

    def __init__(
        self,
        link: RabbitLink,
        publisher: RabbitPublisher,
        queues: Sequence[Queue],
        prefetch: int,
        on_close: Callable[[RabbitConsumer], None],
    ) -> None:
        self._link = link
        self._publisher = publisher
        self._on_close = on_close
        self._arrived = threading.Condition()
        self._closed = False
        self._subscriptions = {queue.name: _Subscription(link, queue, prefetch, self._arrived) for queue in queues}
        for queue in queues:
            if queue.durable:
                publisher.count_waiting(queue.name)

    def open(self, connection: Any) -> None:
        """Consume all queues. On the link's thread, after each connect."""
        for subscription in self._subscriptions.values():
            subscription.open(connection)

    def down(self, reason: str) -> None:
        """Forget the lost connection. On the link's thread."""
        for subscription in self._subscriptions.values():
            subscription.down(reason)

    def trouble(self) -> str:
        """Return why a queue is not consumed; empty if all are."""
        return next(filter(None, (subscription.trouble() for subscription in self._subscriptions.values())), "")

    def starved(self) -> str:
        """Return the name of a queue whose messages wait and do not come; empty without one. On the link's thread.

        A channel can lose touch with the leader of a quorum queue, if that was paused or cut off, and then gets no
        message of this queue any more, while all other consumers do.
        """
        names = (name for name, queue in self._subscriptions.items() if queue.is_starved(self._publisher.waiting(name)))
        return next(names, "")

    def wait_ready(self, seconds: float) -> bool:
        """Return whether all queues are consumed within `seconds`."""
        deadline = time.monotonic() + seconds
        return all(s.ready.wait(max(0.0, deadline - time.monotonic())) for s in self._subscriptions.values())

    def receive(self, max_messages: int, wait: float) -> list[Delivery]:
        """See `Consumer.receive`."""
        deadline = time.monotonic() + wait
        with self._arrived:
            while True:
                for subscription in self._subscriptions.values():
                    buffer = subscription.buffer
                    if buffer:
                        return [buffer.popleft() for _ in range(min(max_messages, len(buffer)))]
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self._closed:
                    return []
                self._arrived.wait(remaining)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.ack`."""
        self._settle(deliveries, lambda subscription, tags: subscription.ack(tags))

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.requeue`. A transient queue has no other consumer, and no count at the broker: kept here."""
        durable: list[Delivery] = []
        transient: list[Delivery] = []
        for delivery in deliveries:
            (durable if self._subscriptions[delivery.queue].queue.durable else transient).append(delivery)
        self._settle(durable, lambda subscription, tags: subscription.requeue(tags))
        with self._arrived:
            for delivery in reversed(transient):
                again = replace(delivery, delivery_count=delivery.delivery_count + 1)
                self._subscriptions[delivery.queue].buffer.appendleft(again)
            self._arrived.notify()

    def dead_letter(self, deliveries: Sequence[Delivery], reason: str) -> None:
        """See `Consumer.dead_letter`: published to the dead-letter exchange with the reason, then acked."""
        letters = [
            Outgoing(
                routing_key=self._subscriptions[delivery.queue].queue.service,
                type=delivery.type,
                body=delivery.body,
                traceparent=delivery.traceparent,
                exchange=self._publisher.dead_letter_exchange,
                headers={"queue": delivery.queue, "reason": reason, "message_id": delivery.message_id},
            )
            for delivery in deliveries
        ]
        try:
            self._publisher.publish(letters)
        except BrokerError as error:
            log.warning("could not dead-letter, the messages come again", extra=with_fields(error=error))
            with self._arrived:
                self._arrived.wait_for(lambda: self._closed, _UNDELIVERABLE_PAUSE)
            self.requeue(deliveries)
        else:
            self.ack(deliveries)

    def was_cut_off(self) -> bool:
        """See `Consumer.was_cut_off`."""
        return any(subscription.was_cut_off for subscription in self._subscriptions.values())

    def close(self) -> None:
        """See `Consumer.close`."""
        with self._arrived:
            if self._closed:
                return
            self._closed = True
            self._arrived.notify_all()
        for subscription in self._subscriptions.values():
            self._link.call(subscription.cancel)
        deadline = time.monotonic() + 5.0
        for subscription in self._subscriptions.values():
            if not subscription.closed.wait(max(0.0, deadline - time.monotonic())):
                log.warning("a channel did not close in time", extra=with_fields(queue=subscription.queue.name))
        self._on_close(self)

    def _settle(self, deliveries: Sequence[Delivery], settle: Callable[[_Subscription, Sequence[_Tag]], None]) -> None:
        tags: dict[str, list[_Tag]] = {}
        for delivery in deliveries:
            if isinstance(delivery.tag, _Tag):
                tags.setdefault(delivery.queue, []).append(delivery.tag)
        for name, of_queue in tags.items():
            subscription = self._subscriptions[name]
            self._link.call(lambda subscription=subscription, of_queue=of_queue: settle(subscription, of_queue))  # type: ignore[misc]
