"""A broker in memory: keeps the contract of the real ones without a server, with switches for tests."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

from shared import trace
from shared.bus import events
from shared.bus.broker import Broker, Consumer, Delivery, ReplyAddress
from shared.bus.events import Message, Reply, Request
from shared.bus.topics import CLAIMS, DURABLE_QUEUES, Queue
from shared.errors import BrokerUnavailable, RequestTimeout, Unroutable
from shared.process.waiting import WaitFor


class FakeBroker(Broker):
    """Keeps queues in memory. Durable queues exist from the start unless `durable_queues` says otherwise.

    A request is answered at once by the function in `answers` for its type, or waits, without a thread, for the future
    that the function returns; without a function it goes to its queue and waits for a consumer in another thread. Set
    `away` to make every call raise `BrokerUnavailable`.
    """

    def __init__(self, durable_queues: Sequence[Queue] = DURABLE_QUEUES) -> None:
        self.published: list[Message] = []
        self.traceparents: list[str] = []
        self.replies: list[tuple[ReplyAddress, Message]] = []
        self.answers: dict[type[Message], Callable[..., Message | Future[Message]]] = {}
        self.dead: list[tuple[Delivery, str]] = []
        self.away = False
        self.closed = False
        self.changed = threading.Condition(threading.RLock())
        self._queues: dict[str, tuple[Queue, deque[Delivery]]] = {q.name: (q, deque()) for q in durable_queues}
        self._numbers = itertools.count()

    def backlog(self, queue: Queue) -> list[Delivery]:
        """Messages that wait in a queue."""
        return list(self._queues[queue.name][1])

    def put(
        self,
        queue: Queue,
        message: Message | tuple[str, bytes],
        *,
        reply_address: ReplyAddress | None = None,
        delivery_count: int = 0,
        message_id: str | None = None,
        traceparent: str = "",
        deadline: float = math.inf,
    ) -> Delivery:
        """Put a message, or a (type, body) of any kind, straight into a queue."""
        if isinstance(message, Message):
            message = (events.message_type(message), events.encode(message))
        id_ = f"m{next(self._numbers)}"
        name = id_ if message_id is None else message_id
        traceparent = traceparent or trace.current() or trace.new()
        delivery = Delivery(queue.name, *message, name, delivery_count, reply_address, traceparent, id_, deadline)
        with self.changed:
            self._queues.setdefault(queue.name, (queue, deque()))[1].append(delivery)
            self.changed.notify_all()
        return delivery

    def publish_many(self, messages: Sequence[Message], traceparents: Sequence[str] = ()) -> None:
        self._publish(messages, [None for _ in messages], traceparents)

    def _publish(
        self, messages: Sequence[Message], addresses: Sequence[ReplyAddress | None], traceparents: Sequence[str] = ()
    ) -> None:
        self._check()
        traceparents = traceparents or [trace.current() or trace.new()] * len(messages)
        self.traceparents += traceparents
        for message, address, traceparent in zip(messages, addresses, traceparents, strict=True):
            self.published.append(message)
            takers = [queue for queue, _ in self._queues.values() if message.topic in queue.topics]
            if not takers and message.topic in CLAIMS:
                raise Unroutable(f"nobody takes {message.topic}")
            for queue in takers:
                self.put(queue, message, reply_address=address, traceparent=traceparent)

    async def ask_many(
        self, messages: Sequence[Request[Reply]], timeout: float, ids: Sequence[str] = ()
    ) -> list[Reply]:
        self._check()
        replies: dict[str, Message] = {}
        addresses = [ReplyAddress("fake", id_) for id_ in ids or [f"c{next(self._numbers)}" for _ in messages]]
        for message, address in zip(messages, addresses, strict=True):
            answer = self.answers.get(type(message))
            if answer is None:
                self._publish([message], [address])
            else:
                self.published.append(message)
                reply = answer(message)
                if isinstance(reply, Future):
                    if not await WaitFor(reply, timeout):
                        raise RequestTimeout("no answer")
                    reply = reply.result()
                replies[address.correlation_id] = reply
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                replies |= {address.correlation_id: reply for address, reply in self.replies if address in addresses}
                if len(replies) == len(messages):
                    break
                if not self.changed.wait(max(0.0, deadline - time.monotonic())):
                    raise RequestTimeout("no answer")
        return [
            message.check(replies[address.correlation_id]) for message, address in zip(messages, addresses, strict=True)
        ]

    def reply_many(self, replies: Sequence[tuple[ReplyAddress, Message]]) -> None:
        self._check()
        with self.changed:
            self.replies += replies
            self.changed.notify_all()

    def consumer(self, queues: Sequence[Queue], prefetch: int = 1000) -> FakeConsumer:
        for queue in queues:
            self._queues.setdefault(queue.name, (queue, deque()))
        return FakeConsumer(self, [self._queues[queue.name][1] for queue in queues])

    def trouble(self) -> str:
        return "the fake broker is away" if self.away or self.closed else ""

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def _check(self) -> None:
        if self.away or self.closed:
            raise BrokerUnavailable("the fake broker is away")


class FakeConsumer(Consumer):
    """Takes messages from the broker's queues; they are in `unacked` until they are acked, then in `acked`."""

    def __init__(self, broker: FakeBroker, queues: Sequence[deque[Delivery]]) -> None:
        self._broker = broker
        self._queues = queues
        self.unacked: dict[str, Delivery] = {}
        self.acked: list[Delivery] = []
        self.requeued: list[Delivery] = []
        self.cut_off = False
        self.closed = False

    def receive(self, max_messages: int, wait: float) -> list[Delivery]:
        deadline = time.monotonic() + wait
        with self._broker.changed:
            while not self.closed:
                if not self._broker.away:
                    for queue in self._queues:
                        if queue:
                            taken = [queue.popleft() for _ in range(min(max_messages, len(queue)))]
                            self.unacked |= {delivery.tag: delivery for delivery in taken}
                            return taken
                if not self._broker.changed.wait(max(0.0, deadline - time.monotonic())):
                    break
        return []

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            del self.unacked[delivery.tag]
            self.acked.append(delivery)

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        self.requeued += deliveries
        self._give_back(deliveries)

    def dead_letter(self, deliveries: Sequence[Delivery], reason: str) -> None:
        for delivery in deliveries:
            del self.unacked[delivery.tag]
            self._broker.dead.append((delivery, reason))

    def was_cut_off(self) -> bool:
        return self.cut_off

    def close(self) -> None:
        self._give_back(list(self.unacked.values()))
        with self._broker.changed:
            self.closed = True
            self._broker.changed.notify_all()

    def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        with self._broker.changed:
            for delivery in reversed(deliveries):
                del self.unacked[delivery.tag]
                queue = next(q for q in self._broker._queues.values() if q[0].name == delivery.queue)[1]
                queue.appendleft(replace(delivery, delivery_count=delivery.delivery_count + 1))
            self._broker.changed.notify_all()
