"""The dead letters on RabbitMQ: a quorum queue for each service, which the operator's user reads.

Reading takes the messages without acking them, and closing gives them back in their order; meanwhile nobody else sees
them. RabbitMQ 4 drops a message that came back 20 times, so one that was read often is published anew before.

Services dead-letter a message with its queue, reason and id in the headers; the broker itself, when a message was
handed out too often, with its own header `x-death`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import pika
import pika.exceptions

from shared.bus.dead_letters import Choice, DeadLetter, DeadLetters
from shared.bus.events import SCHEMA_VERSION
from shared.bus.events.message import SCHEMA_HEADER
from shared.bus.rabbit.link import describe
from shared.bus.rabbit.parameters import parameters
from shared.bus.topics import SERVICES, dead_letter_queue
from shared.errors import BrokerError, BrokerUnavailable, Unroutable
from shared.trace import HEADER

_COUNT = "x-delivery-count"
_FRESHENED_AFTER = 10
"""Readings after which a message is published anew."""
_REASONS = {"delivery_limit": "handed out too often without an answer", "expired": "waited too long in its queue"}
"""The broker's reasons in the worker's words."""


class _Tag(NamedTuple):
    """The number of a delivery on the channel, the message's properties, and how often it came back before."""

    number: int
    properties: Any
    readings: int


class RabbitDeadLetters(DeadLetters):
    """The dead letters at `amqp_url`. Raises `BrokerError` if it does not let us in."""

    def __init__(self, amqp_url: str) -> None:
        with _errors():
            self._connection: Any = pika.BlockingConnection(parameters(amqp_url, "operator"))
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        self._held: list[DeadLetter] = []

    def read(self) -> list[DeadLetter]:
        """See `DeadLetters.read`."""
        with _errors():
            for service in SERVICES:
                self._held += _take(self._channel, service)
        return sorted(self._held, key=lambda letter: (SERVICES.index(letter.service), letter.time, letter.tag.number))

    def replay(self, choice: Choice) -> tuple[list[DeadLetter], list[DeadLetter]]:
        """See `DeadLetters.replay`."""
        done: list[DeadLetter] = []
        stay: list[DeadLetter] = []
        for letter in filter(choice, self.read()):
            properties = pika.BasicProperties(
                content_type="application/json",
                delivery_mode=2,
                message_id=letter.message_id or None,
                type=letter.topic,
                app_id="warren",
                headers={SCHEMA_HEADER: SCHEMA_VERSION, HEADER: letter.traceparent},
            )
            try:
                with _errors():
                    self._channel.basic_publish("", letter.queue, letter.body, properties, mandatory=True)
            except Unroutable:
                stay.append(letter)
                continue
            self._remove(letter)
            done.append(letter)
        return done, stay

    def purge(self, choice: Choice) -> list[DeadLetter]:
        """See `DeadLetters.purge`."""
        chosen = list(filter(choice, self.read()))
        for letter in chosen:
            self._remove(letter)
        return chosen

    def close(self) -> None:
        """See `DeadLetters.close`."""
        with _errors():
            if not self._connection.is_open:
                return
            for letter in [letter for letter in self._held if letter.tag.readings >= _FRESHENED_AFTER]:
                self._channel.basic_publish(
                    "", dead_letter_queue(letter.service), letter.body, letter.tag.properties, True
                )
                self._remove(letter)
            self._connection.close()

    def _remove(self, letter: DeadLetter) -> None:
        with _errors():
            self._channel.basic_ack(letter.tag.number)
        self._held.remove(letter)


def _take(channel: Any, service: str) -> Iterator[DeadLetter]:
    while True:
        method, properties, body = channel.basic_get(dead_letter_queue(service))
        if method is None:
            return
        headers = properties.headers = dict(properties.headers or {})
        count = headers.pop(_COUNT, 0)
        yield _letter(service, _Tag(method.delivery_tag, properties, count), properties, body)


def _letter(service: str, tag: _Tag, properties: Any, body: bytes) -> DeadLetter:
    headers: Mapping[str, Any] = properties.headers
    by_broker: Mapping[str, Any] = next(iter(headers.get("x-death") or ()), {})
    if "queue" in headers:
        queue, reason, message_id = (str(headers.get(name, "")) for name in ("queue", "reason", "message_id"))
        time = properties.timestamp or 0
    else:
        queue, reason = str(by_broker.get("queue", "")), str(by_broker.get("reason", ""))
        reason, message_id = _REASONS.get(reason, reason), properties.message_id or ""
        time = int(by_broker["time"].timestamp()) if "time" in by_broker else 0
    return DeadLetter(
        service=service,
        queue=queue,
        topic=properties.type or "",
        message_id=message_id,
        reason=reason,
        time=time,
        traceparent=str(headers.get(HEADER, "")),
        body=body,
        tag=tag,
    )


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except pika.exceptions.UnroutableError:
        raise Unroutable("the queue is gone") from None
    except pika.exceptions.AMQPConnectionError as error:
        raise BrokerUnavailable(f"RabbitMQ: {describe(error)}") from None
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerError(f"RabbitMQ: {describe(error)}") from None
