"""The loop that every consumer runs: take a batch, decode it, hand it to its handlers, reply, ack.

A failure has one of five outcomes, and a message is never lost:

| failure | outcome |
|---|---|
| the message does not decode, or has no handler | dead-lettered at once |
| nobody waits for the reply any more (`Message.expires`) | dropped, with a log line |
| store or broker away, or the chain moved on meanwhile | kept; tried again with jittered backoff until it works;
  a message that never was on the bus is given back at once, to go there |
| another writer took over, or the store is not ours | raised out of `run`: the caller closes the consumer |
| the handler failed in any other way | its batch again one by one; a message that fails alone is given back, and
  dead-lettered when it has failed `delivery_limit` times in this process |

A message that was handed out before is handled and acked alone, so that one that kills the process takes no others with
it. A message that has been handed out more often than the limit without even failing must be killing the process: the
first such message after a start is dead-lettered unhandled (the ones behind it may only have been waiting in the same
process). Once the consumer has lost the broker, counts say nothing about the messages, and none is judged by them: a
broker that crashes again and again counts each message that waits.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from shared import metrics, trace
from shared.bus import events
from shared.bus.broker import Broker, Consumer, Delivery, ReplyAddress
from shared.bus.events import Failure, Message
from shared.errors import BrokerUnavailable, CommitConflict, DecodeError, StoreError, StoreUnavailable
from shared.logs import with_fields
from shared.process.backoff import backoff
from shared.process.shutdown import ExitFlag

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)
T = TypeVar("T")


CLOCK_SKEW = 1.0
"""Seconds that the clocks of two hosts may be apart."""


@dataclass(frozen=True, slots=True)
class Incoming(Generic[M]):
    """A decoded message; `reply_address` is None unless somebody waits for an answer."""

    message: M
    message_id: str
    reply_address: ReplyAddress | None
    traceparent: str = ""
    """Of the request that caused the message."""
    deadline: float = math.inf
    """Time in seconds since 1970 until which its requester waits."""

    @property
    def is_late(self) -> bool:
        """Whether it is a request that nobody wants any more, as its requester has stopped waiting."""
        return _is_late(self.message, self.deadline)

    @property
    def seconds_left(self) -> float:
        """How long its requester goes on waiting; negative once it has stopped."""
        return self.deadline + CLOCK_SKEW - time.time()


def _is_late(message: Message, deadline: float) -> bool:
    return message.expires and time.time() > deadline + CLOCK_SKEW


Handler = Callable[[Sequence[Incoming[M]]], Sequence[Message | None]]
"""Handles messages of one type; returns one reply, or None, for each, in order."""


def each(function: Callable[[M], Message | None]) -> Handler[M]:
    """Return a handler that calls `function` for each message."""

    def handler(batch: Sequence[Incoming[M]]) -> list[Message | None]:
        replies = []
        for incoming in batch:
            with trace.within(incoming.traceparent):
                replies.append(function(incoming.message))
        return replies

    return handler


@dataclass(frozen=True, slots=True)
class _Item:
    delivery: Delivery
    message: Message


_Done = list[tuple[Delivery, Message | None]]

_TRY_AGAIN = (StoreUnavailable, BrokerUnavailable, CommitConflict)


class _Stopped(Exception):
    """The exit flag was set while a batch waited for the store or the broker: it stays unacked."""


@dataclass(slots=True)
class Suspects:
    """What the workers that share a queue in one process know about its messages that fail."""

    failures: Counter[str | bytes] = field(default_factory=Counter)
    """How often the messages that fail have failed."""
    killer_removed: bool = False
    """Whether a message was taken for one that kills the process."""


class Worker:
    """Runs one consumer in the calling thread. Workers of one process that share a queue share their `suspects` too.

    `recover` is called before a batch is tried again, to drop results computed on a state that may be gone. `on_idle`
    is called after every batch, and every `idle_wait` seconds while there is none. Both may raise the errors that a
    handler may raise.
    """

    def __init__(
        self,
        broker: Broker,
        consumer: Consumer,
        handlers: Mapping[type[Message], Handler[Any]],
        *,
        name: str,
        stop: ExitFlag,
        max_batch: int = 256,
        delivery_limit: int = 5,
        recover: Callable[[], None] | None = None,
        on_idle: Callable[[], None] | None = None,
        idle_wait: float = 0.05,
        suspects: Suspects | None = None,
    ) -> None:
        self._broker = broker
        self._consumer = consumer
        self._handlers = handlers
        self._name = name
        self._stop = stop
        self._max_batch = max_batch
        self._delivery_limit = delivery_limit
        self._recover = recover
        self._on_idle = on_idle
        self._idle_wait = idle_wait
        self._suspects = suspects or Suspects()

    def run(self) -> None:
        """Handle batches until the exit flag is set; the batch under way is finished first."""
        while not self._stop.is_set():
            self.run_once()

    def run_once(self) -> bool:
        """Handle one batch, if one comes within `idle_wait`; return whether there was one."""
        deliveries = self._consumer.receive(self._max_batch, self._idle_wait)
        try:
            if deliveries:
                self._process(deliveries)
            if self._on_idle is not None:
                self._patiently(self._on_idle)
        except _Stopped:
            log.info("stopped while waiting; messages are given back", extra=with_fields(worker=self._name))
        return bool(deliveries)

    def _process(self, deliveries: Sequence[Delivery]) -> None:
        done: _Done = []
        for items in _runs(self._decode(deliveries)):
            done += self._handle(items)
            if items[0].delivery.delivery_count:
                self._finish(done)
                done = []
        self._finish(done)

    def _decode(self, deliveries: Sequence[Delivery]) -> Iterator[_Item]:
        for delivery in deliveries:
            if delivery.delivery_count > self._delivery_limit and self._may_be_killer():
                self._suspects.killer_removed = True
                self._dead_letter(delivery, "handed out too often without an answer")
                continue
            try:
                message = delivery.message or events.decode(delivery.type, delivery.body)
            except DecodeError as error:
                self._dead_letter(delivery, str(error))
                continue
            if type(message) not in self._handlers:
                self._dead_letter(delivery, f"{self._name} has no handler for {delivery.type}")
                continue
            if type(message).needs_message_id and not delivery.message_id:
                self._dead_letter(delivery, "it has no message_id, which tells it apart if it comes twice")
                continue
            if _is_late(message, delivery.deadline):
                self._drop(delivery)
                continue
            yield _Item(delivery, message)

    def _may_be_killer(self) -> bool:
        return not (self._suspects.killer_removed or self._consumer.was_cut_off())

    def _handle(self, items: Sequence[_Item]) -> _Done:
        """Return the handled deliveries with their replies; the rest is given back or dead-lettered."""
        name = f"handle {items[0].delivery.type}"
        causes = [item.delivery.traceparent for item in items]
        about: dict[str, str | int] = {"messaging.batch.message_count": len(items)}
        with trace.spans(name, trace.SpanKind.CONSUMER, causes, about) as traceparents:
            incoming = [
                Incoming(
                    item.message,
                    item.delivery.message_id,
                    item.delivery.reply_address,
                    traceparent,
                    item.delivery.deadline,
                )
                for item, traceparent in zip(items, traceparents, strict=True)
            ]
            with trace.within(_common(traceparents)):
                return self._handle_within(items, incoming, about)

    def _handle_within(
        self, items: Sequence[_Item], incoming: Sequence[Incoming[Any]], about: dict[str, str | int]
    ) -> _Done:
        type_name = items[0].delivery.type
        handler = self._handlers[type(items[0].message)]
        started = time.perf_counter()
        is_local = items[0].delivery.is_local
        try:
            replies = handler(incoming) if is_local else self._patiently(lambda: handler(incoming))
            metrics.BUS_HANDLER_SECONDS.labels(type_name).observe(time.perf_counter() - started)
            return list(zip([item.delivery for item in items], replies, strict=True))
        except _TRY_AGAIN as error:  # a local message's, as `_patiently` raises none
            self._must_wait(error)
            self._consumer.requeue([item.delivery for item in items])
            items = []
        except (StoreError, _Stopped):
            raise
        except Exception as error:
            about["error.type"] = type(error).__name__
            log.exception("handler failed", extra=with_fields(worker=self._name, type=type_name, messages=len(items)))
        if self._recover is not None:
            self._patiently(self._recover)
        if len(items) == 1:
            self._give_up(items[0].delivery)
            return []
        return [done for item in items for done in self._handle([item])]

    def _patiently(self, action: Callable[[], T]) -> T:
        """Run `action`; while the store or the broker is away, wait, recover and try again. Raises `_Stopped`."""
        failures = 0
        while True:
            try:
                if failures and self._recover is not None:
                    self._recover()
                return action()
            except _TRY_AGAIN as error:
                if failures == 0:
                    self._must_wait(error)
                if self._stop.wait(backoff(failures, base=0.05)):
                    raise _Stopped from None
                failures += 1

    def _must_wait(self, error: Exception) -> None:
        log.warning("must wait", extra=with_fields(worker=self._name, error=error))
        metrics.BUS_STALLS.labels(self._name).inc()

    def _finish(self, done: _Done) -> None:
        """Send the replies, then ack."""
        if not done:
            return
        replies = [
            (delivery.reply_address, reply)
            for delivery, reply in done
            if reply is not None and delivery.reply_address is not None
        ]
        if replies:
            self._patiently(lambda: self._broker.reply_many(replies))
        self._consumer.ack([delivery for delivery, _ in done])
        for delivery, _ in done:
            self._suspects.failures.pop(_identity(delivery), None)
        for (queue, type_name), count in Counter((delivery.queue, delivery.type) for delivery, _ in done).items():
            metrics.BUS_HANDLED.labels(queue, type_name).inc(count)

    def _give_up(self, delivery: Delivery) -> None:
        """Give back a message whose handler failed, or dead-letter it after its last try."""
        self._suspects.failures[_identity(delivery)] += 1
        if self._suspects.failures[_identity(delivery)] >= self._delivery_limit:
            del self._suspects.failures[_identity(delivery)]
            self._dead_letter(delivery, "its handler keeps failing", answer="internal error")
            return
        with trace.within(delivery.traceparent):
            log.warning("gave a message back", extra=_about(delivery))
        metrics.BUS_REQUEUED.labels(delivery.queue).inc()
        self._consumer.requeue([delivery])

    def _drop(self, delivery: Delivery) -> None:
        """Forget a request whose requester has stopped waiting: it was told so, and has perhaps asked again."""
        late = round(time.time() - delivery.deadline, 1)
        log.warning("dropped a request that nobody waits for any more", extra=_about(delivery, seconds_late=str(late)))
        metrics.BUS_EXPIRED.labels(delivery.queue).inc()
        self._consumer.ack([delivery])

    def _dead_letter(self, delivery: Delivery, reason: str, answer: str = "") -> None:
        with trace.within(delivery.traceparent):
            log.error("dead-lettered a message", extra=_about(delivery, reason=reason))
        metrics.BUS_DEAD_LETTERED.labels(delivery.queue).inc()
        address = delivery.reply_address
        if address is not None:
            self._patiently(lambda: self._broker.reply_many([(address, Failure(error=answer or reason))]))
        self._consumer.dead_letter([delivery], reason)


def _runs(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    """Yield runs of the same type, in order; a message that was handed out before is a run of its own."""
    run: list[_Item] = []
    for item in items:
        again = item.delivery.delivery_count > 0
        if run and (again or run[-1].delivery.delivery_count or run[-1].delivery.type != item.delivery.type):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def _identity(delivery: Delivery) -> str | bytes:
    """Return what tells a message apart when it comes again."""
    return delivery.message_id or delivery.body


def _common(traceparents: Sequence[str]) -> str:
    """Return the traceparent of a run if all its messages have the same; else its handler names each in turn."""
    return traceparents[0] if len(set(traceparents)) == 1 else ""


def _about(delivery: Delivery, **more: str) -> dict[str, dict[str, Any]]:
    fields = with_fields(queue=delivery.queue, type=delivery.type, message_id=delivery.message_id)
    return {"fields": fields["fields"] | {"delivery_count": delivery.delivery_count} | more}
