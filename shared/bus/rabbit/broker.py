"""The deployed bus: RabbitMQ 3.10 or later, through pika.

Two connections, each on a thread of its own (`rabbit_link`): one publishes (`rabbit_publisher`), one consumes
(`rabbit_consumer`), so that a server that holds publishers back never delays acks. pika's exceptions never leave the
backend, and neither does the password in the URL.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from shared import metrics, trace
from shared.bus import events
from shared.bus.broker import Broker, ReplyAddress
from shared.bus.events import Message, Reply, Request
from shared.bus.rabbit.consumer import RabbitConsumer
from shared.bus.rabbit.link import RabbitLink
from shared.bus.rabbit.parameters import parameters
from shared.bus.rabbit.publisher import DIRECT_REPLY_TO, UNCONFIRMED, Outgoing, RabbitPublisher
from shared.bus.replies import ReplyBox
from shared.bus.topics import Queue
from shared.errors import BrokerError, BrokerUnavailable, RequestTimeout

log = logging.getLogger(__name__)


class RabbitBroker(Broker):
    """A broker at `amqp_url`, or a cluster of several hosts; starts to connect at once.

    Raises `ConfigError` for a malformed URL.

    `patience`: seconds that a call waits for a connection before it raises `BrokerUnavailable`.
    """

    def __init__(self, amqp_url: str, *, patience: float = 5.0) -> None:
        self._params = parameters(amqp_url)
        self._patience = patience
        self._box = ReplyBox()
        self._publisher = RabbitPublisher(self._params, self._box, patience)
        self._lock = threading.Lock()
        self._closed = False
        self._link: RabbitLink | None = None
        # The next two are touched by the consuming link's thread only.
        self._connection: Any = None
        self._consumers: list[RabbitConsumer] = []

    def publish_many(self, messages: Sequence[Message], traceparents: Sequence[str] = ()) -> None:
        """See `Broker.publish_many`. `BrokerUnavailable` comes after `patience` seconds."""
        traceparents = traceparents or [trace.current() or trace.new()] * len(messages)
        outgoing = [_outgoing(*pair) for pair in zip(messages, traceparents, strict=True)]
        self._publisher.publish(outgoing)
        _count(outgoing)

    async def ask_many(self, messages: Sequence[Request[Reply]], timeout: float) -> list[Reply]:
        """See `Broker.ask_many`. A reply says more than the confirm of its request, which is not waited for."""
        deadline = time.monotonic() + timeout
        await self._publisher.until_up()
        call, ids = self._box.expect(messages)
        traceparent = trace.current() or trace.new()
        outgoing = [
            _outgoing(message, traceparent, reply_to=DIRECT_REPLY_TO, correlation_id=id_)
            for message, id_ in zip(messages, ids, strict=True)
        ]
        try:
            sent = await self._publisher.send(outgoing, deadline)
        except BrokerError:
            self._box.forget(ids)
            raise
        for chunk in sent:
            chunk.when_failed(lambda error: self._box.fail(call, error))
        _count(outgoing)
        try:
            return await self._box.replies(call, ids, deadline)
        except RequestTimeout:
            if not all(chunk.done.done() for chunk in sent):
                raise BrokerUnavailable(UNCONFIRMED) from None
            raise

    def reply_many(self, replies: Sequence[tuple[ReplyAddress, Message]]) -> None:
        """See `Broker.reply_many`. Not mandatory: RabbitMQ drops a reply to a channel that has gone."""
        self._publisher.publish(
            [
                Outgoing(
                    routing_key=address.reply_to,
                    type=events.message_type(message),
                    body=events.encode(message),
                    traceparent=address.traceparent or trace.new(),
                    exchange="",
                    mandatory=False,
                    correlation_id=address.correlation_id,
                )
                for address, message in replies
            ]
        )

    def consumer(self, queues: Sequence[Queue], prefetch: int = 1000) -> RabbitConsumer:
        """See `Broker.consumer`."""
        with self._lock:
            if self._closed:
                raise BrokerUnavailable("the bus is closed")
            if self._link is None:
                self._link = RabbitLink(self._params, "bus-consume", self._on_up, self._on_down)
            link = self._link
        consumer = RabbitConsumer(link, self._publisher, queues, prefetch, self._forget)
        link.call(lambda: self._add(consumer))
        if not consumer.wait_ready(self._patience):
            log.warning("RabbitMQ is away; the queues are declared when it is back")
        return consumer

    def is_connected(self) -> bool:
        """See `Broker.is_connected`."""
        return self._publisher.is_up() and (self._link is None or self._connection is not None)

    def close(self) -> None:
        """See `Broker.close`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for consumer in list(self._consumers):
            consumer.close()
        if self._link is not None:
            self._link.close()
        self._publisher.close()

    # ── on the consuming link's thread ──────────────────────────────────────────────────────────────────────────

    def _on_up(self, connection: Any) -> None:
        self._connection = connection
        for consumer in self._consumers:
            consumer.open(connection)

    def _on_down(self, _reason: str) -> None:
        self._connection = None
        for consumer in self._consumers:
            consumer.down()

    def _add(self, consumer: RabbitConsumer) -> None:
        self._consumers.append(consumer)
        if self._connection is not None:
            consumer.open(self._connection)

    def _forget(self, consumer: RabbitConsumer) -> None:
        if self._link is not None:
            self._link.call(lambda: self._consumers.remove(consumer))


def _outgoing(
    message: Message, traceparent: str, reply_to: str | None = None, correlation_id: str | None = None
) -> Outgoing:
    topic = events.message_type(message)
    return Outgoing(topic, topic, events.encode(message), traceparent, reply_to=reply_to, correlation_id=correlation_id)


def _count(messages: Sequence[Outgoing]) -> None:
    for type_name, number in Counter(message.type for message in messages).items():
        metrics.BUS_PUBLISHED.labels(type_name).inc(number)
