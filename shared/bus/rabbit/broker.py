"""The deployed bus: RabbitMQ 3.10 or later, through pika.

Two connections, each on a thread of its own (`rabbit_link`): one publishes (`rabbit_publisher`), one consumes
(`rabbit_consumer`), so that a server that holds publishers back never delays acks. pika's exceptions never leave the
backend, and neither does the password in the URL.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from shared import metrics, trace
from shared.bus import events
from shared.bus.broker import Broker, ReplyAddress, deadline_in, publishing
from shared.bus.events import DEADLINE_HEADER, Message, Reply, Request
from shared.bus.rabbit.consumer import RabbitConsumer
from shared.bus.rabbit.link import RabbitLink
from shared.bus.rabbit.parameters import WORK_HEARTBEAT, parameters
from shared.bus.rabbit.publisher import UNCONFIRMED, Outgoing, RabbitPublisher
from shared.bus.replies import ReplyBox
from shared.bus.topics import DURABLE_QUEUES, QUEUED, REPLY_EXCHANGE, Queue
from shared.errors import BrokerError, BrokerUnavailable, RequestTimeout
from shared.logs import with_fields

log = logging.getLogger(__name__)

_WATCH_PERIOD = 1.0
"""Seconds between two looks at whether consumers get what waits for them."""


class RabbitBroker(Broker):
    """A broker at `amqp_url`, or a cluster of several hosts; starts to connect at once.

    `service` names its connections and its queue for replies. `patience`: seconds that a call waits for a connection
    before it raises `BrokerUnavailable`. Raises `ConfigError` for a malformed URL.
    """

    def __init__(self, amqp_url: str, service: str = "warren", *, patience: float = 5.0) -> None:
        name = f"{service} {socket.gethostname()}:{os.getpid()}"
        self._has_work = any(queue.service == service for queue in DURABLE_QUEUES)
        """Whether this service consumes shared queues, sooner or later, on the connection of all its consumers."""
        self._consume_params = parameters(amqp_url, f"{name} consume")
        self._work_params = parameters(amqp_url, f"{name} consume", WORK_HEARTBEAT)
        self._patience = patience
        self._box = ReplyBox()
        self._publisher = RabbitPublisher(parameters(amqp_url, f"{name} publish"), self._box, service, patience)
        self._lock = threading.Lock()
        self._closed = False
        self._link: RabbitLink | None = None
        self._why_down = "not connected yet"
        # The next two are changed by the consuming link's thread only.
        self._connection: Any = None
        self._consumers: list[RabbitConsumer] = []

    def publish_many(self, messages: Sequence[Message], traceparents: Sequence[str] = ()) -> None:
        """See `Broker.publish_many`. `BrokerUnavailable` comes after `patience` seconds."""
        with publishing(messages, traceparents) as sent:
            outgoing = [self._outgoing(*pair) for pair in zip(messages, trace.filled(sent), strict=True)]
            self._publisher.publish(outgoing)
        _count(outgoing)

    async def ask_many(
        self, messages: Sequence[Request[Reply]], timeout: float, ids: Sequence[str] = ()
    ) -> list[Reply]:
        """See `Broker.ask_many`. A reply says more than the confirm of its request, which is not waited for."""
        deadline = time.monotonic() + timeout
        await self._publisher.until_up()
        call, ids = self._box.expect(messages, ids)
        try:
            with publishing(messages) as traceparents:
                outgoing = [
                    self._outgoing(message, traceparent, deadline_in(timeout), correlation_id=id_)
                    for message, traceparent, id_ in zip(messages, trace.filled(traceparents), ids, strict=True)
                ]
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
        """See `Broker.reply_many`."""
        self._publisher.publish(
            [
                Outgoing(
                    routing_key=address.reply_to,
                    type=events.message_type(message),
                    body=events.encode(message),
                    traceparent=address.traceparent or trace.new(),
                    exchange=REPLY_EXCHANGE,
                    must_arrive=False,
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
                is_work = self._has_work or any(queue.durable for queue in queues)
                params = self._work_params if is_work else self._consume_params
                self._link = RabbitLink(params, "bus-consume", self._on_up, self._on_down)
                self._link.start()
            link = self._link
        consumer = RabbitConsumer(link, self._publisher, queues, prefetch, self._forget)
        link.call(lambda: self._add(consumer))
        if not consumer.wait_ready(self._patience):
            log.warning("RabbitMQ is away or lacks the queues; consuming begins when it is ready")
        return consumer

    def trouble(self) -> str:
        """See `Broker.trouble`."""
        if reason := self._publisher.trouble():
            return reason
        if self._link is not None and self._connection is None:
            return self._why_down
        return next(filter(None, (consumer.trouble() for consumer in list(self._consumers))), "")

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

    def _outgoing(
        self, message: Message, traceparent: str, deadline: int | None = None, correlation_id: str | None = None
    ) -> Outgoing:
        """Return a message for its topic; a request, which awaits a reply, if it has a deadline and correlation id."""
        topic = events.message_type(message)
        return Outgoing(
            topic,
            topic,
            events.encode(message),
            traceparent,
            self._publisher.exchange,
            must_arrive=topic in QUEUED,
            wants_reply=correlation_id is not None,
            correlation_id=correlation_id,
            headers={} if deadline is None else {DEADLINE_HEADER: deadline},
        )

    # ── on the consuming link's thread ──────────────────────────────────────────────────────────────────────────

    def _on_up(self, connection: Any) -> None:
        self._connection = connection
        for consumer in self._consumers:
            consumer.open(connection)
        self._watch(connection)

    def _watch(self, connection: Any) -> None:
        """Start over with another connection, if a consumer gets no messages though some wait for it."""
        if connection is not self._connection or self._link is None:
            return
        starved = [queue for consumer in self._consumers if (queue := consumer.starved())]
        if starved:
            fields = with_fields(queue=starved[0])
            log.warning("RabbitMQ hands out no messages that wait, opening another connection", extra=fields)
            connection.close()
            return
        self._link.call_later(_WATCH_PERIOD, lambda: self._watch(connection))

    def _on_down(self, reason: str) -> None:
        self._why_down = reason
        self._connection = None
        for consumer in self._consumers:
            consumer.down(reason)

    def _add(self, consumer: RabbitConsumer) -> None:
        self._consumers.append(consumer)
        if self._connection is not None:
            consumer.open(self._connection)

    def _forget(self, consumer: RabbitConsumer) -> None:
        if self._link is not None:
            self._link.call(lambda: self._consumers.remove(consumer))


def _count(messages: Sequence[Outgoing]) -> None:
    for type_name, number in Counter(message.type for message in messages).items():
        metrics.BUS_PUBLISHED.labels(type_name).inc(number)
