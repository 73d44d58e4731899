"""The broker as a service sees it. Two backends implement it: `rabbit` (deployed) and `redis_streams` (embedded).

Publishing is durable and confirmed: when `publish_many` returns, every message is safe with the broker. A queue's
messages stay with the broker until they are acked; a consumer that goes away gives them back. All methods may be
called from any thread.

A queue's messages come in the order of their publication if one consumer takes them and all come for the first time.
Messages that come again, after a requeue, a reconnect or a crash, come in any order and perhaps after newer ones: the
broker deals them in turn to all registered consumers, even to one that has died unnoticed, whose share then comes
later. Nothing relies on a stronger order: facts carry `seq`, and a sender that needs one claim handled after another
waits for the reply to the first.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import msgspec

from shared import trace
from shared.bus.events import Message, Reply, Request, message_type
from shared.bus.topics import Queue
from shared.process import waiting


class ReplyAddress(msgspec.Struct, frozen=True):
    """Where the reply to a request goes; plain data, so that it can be stored with a long-running job."""

    reply_to: str
    correlation_id: str
    traceparent: str = ""
    """Of the request, and so of its reply."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message handed to a consumer, not yet acked."""

    queue: str
    type: str
    """The message's type property: its topic."""
    body: bytes
    message_id: str
    delivery_count: int
    """How often it was handed out before without an ack, be it to a consumer that was gone already: 0 at first."""
    reply_address: ReplyAddress | None
    traceparent: str
    """Of the request that caused the message; a new one if it came without."""
    tag: object = field(repr=False, compare=False)
    """The backend's own handle."""
    deadline: float = math.inf
    """Time in seconds since 1970, by the requester's clock, until which it waits for the reply."""
    message: Message | None = None
    """The message itself, without a body, if it comes from this very process and never was on the bus."""

    @property
    def is_local(self) -> bool:
        """Whether it comes from this very process."""
        return self.message is not None


def deadline_in(seconds: float) -> int:
    """Return the deadline of a request whose requester waits for so long, as it travels: milliseconds since 1970."""
    return int((time.time() + seconds) * 1000)


def read_deadline(sent: object) -> float:
    """Return the deadline that came with a message in seconds since 1970; infinity without a valid one."""
    if not sent:
        return math.inf
    try:
        milliseconds = int(sent)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return math.inf
    return milliseconds / 1000 if milliseconds > 0 else math.inf


def publishing(messages: Sequence[Message], traceparents: Sequence[str] = ()) -> AbstractContextManager[Sequence[str]]:
    """Publish messages inside; returns the traceparent that each carries, empty for one that begins a trace.

    `traceparents` are of what caused them; without, the present work did.
    """
    causes = traceparents or [trace.current()] * len(messages)
    if not trace.is_recording():
        return nullcontext(causes)
    topics = ", ".join(dict.fromkeys(message_type(message) for message in messages))
    about: dict[str, str | int] = {"messaging.batch.message_count": len(messages)}
    return trace.spans(f"publish {topics}", trace.SpanKind.PRODUCER, causes, about)


class Consumer(ABC):
    """Takes messages from one or more queues, an earlier queue always before a later one.

    `ack`, `requeue` and `dead_letter` never raise because the broker is away: messages that they could not settle come
    again, like all that were handed out before a reconnect.
    """

    @abstractmethod
    def receive(self, max_messages: int, wait: float) -> list[Delivery]:
        """Return up to `max_messages`, all from the first queue that has any.

        Waits up to `wait` seconds for the first message, and returns an empty list if none came. While the broker is
        away it waits too: the backend reconnects with jittered backoff on its own.
        """

    @abstractmethod
    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that these messages are done. One from before a reconnect may come again all the same."""

    @abstractmethod
    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Give these messages back for another try; the delivery count of each goes up by one."""

    @abstractmethod
    def dead_letter(self, deliveries: Sequence[Delivery], reason: str) -> None:
        """Move these messages to the dead-letter queue."""

    @abstractmethod
    def was_cut_off(self) -> bool:
        """Whether it has lost the broker since it began: messages were handed out again for no fault of their own."""

    @abstractmethod
    def close(self) -> None:
        """Stop taking messages and give back the unacked ones."""


class Broker(ABC):
    """A connection to the broker, shared by all threads of a process."""

    @abstractmethod
    def publish_many(self, messages: Sequence[Message], traceparents: Sequence[str] = ()) -> None:
        """Publish in order and return when all are confirmed.

        `traceparents` has one for each message; without, all have that of the present work, or a new one.
        Raises `BrokerUnavailable` (some may have been published) or `Unroutable`: no queue takes a claim, or on
        RabbitMQ a fact, for which setup makes a durable queue.
        """

    def publish(self, message: Message) -> None:
        """Publish one message: see `publish_many`."""
        self.publish_many([message])

    @abstractmethod
    async def ask_many(
        self, messages: Sequence[Request[Reply]], timeout: float, ids: Sequence[str] = ()
    ) -> list[Reply]:
        """Publish all requests and return one reply for each, in order. It waits without a thread.

        `ids`: their correlation ids, for requests that are asked again; without, each gets a new one.
        Raises `RequestTimeout` after `timeout` seconds, `BrokerUnavailable`, `Unroutable`, or `RequestFailed` if a
        reply is a `Failure` or does not fit its request (`Request.check`).
        """

    async def ask(self, message: Request[Reply], timeout: float) -> Reply:
        """Publish one request and return its reply: see `ask_many`."""
        return (await self.ask_many([message], timeout))[0]

    def request_many(self, messages: Sequence[Request[Reply]], timeout: float) -> list[Reply]:
        """Do as `ask_many`, and hold the caller's thread until the replies are there."""
        return waiting.run(self.ask_many(messages, timeout))

    def request(self, message: Request[Reply], timeout: float) -> Reply:
        """Publish one request and return its reply: see `request_many`."""
        return self.request_many([message], timeout)[0]

    @abstractmethod
    def reply_many(self, replies: Sequence[tuple[ReplyAddress, Message]]) -> None:
        """Send replies and return when they are confirmed; a reply whose requester has gone is dropped."""

    @abstractmethod
    def consumer(self, queues: Sequence[Queue], prefetch: int = 1000) -> Consumer:
        """Start taking messages from these queues, in falling priority.

        Returns when they are consumed; if the broker is away, or a durable queue missing on RabbitMQ, after a few
        seconds, and consuming begins when it is there. The broker may hand over up to `prefetch` messages of each queue
        ahead of need.
        """

    @abstractmethod
    def trouble(self) -> str:
        """Return why the bus is of no use now, for people and /readyz; empty if all is well.

        It knows of a lost connection, a broker that takes no messages, a missing exchange or queue, a message that no
        queue took a moment ago, and a consumer that does not consume.
        """

    def is_connected(self) -> bool:
        """Whether the bus can be used now: there is no `trouble`."""
        return not self.trouble()

    @abstractmethod
    def close(self) -> None:
        """Close in order: consumers first, then the connection. Later calls raise `BrokerUnavailable`."""
