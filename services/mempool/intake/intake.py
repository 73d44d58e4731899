"""The writer's consumer: takes claims of this process from memory and all others from the bus, blocks first.

Each queue has a lane: the claims of this process that wait, and a batch of the bus, which a thread takes ahead of need,
so that the writer never waits for the broker while there is work. A batch comes from one lane, and one side of it.

A claim of this process is tried once. If anything goes wrong with it, or the writer stops, loses its lease or waits for
the store, it is left to the bus, where the next writer finds it, a fault is counted, and an outage is an error at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial

from services.mempool.intake.local_calls import HERE, LocalCall, LocalCalls
from shared import trace
from shared.bus.broker import Broker, Consumer, Delivery, ReplyAddress
from shared.bus.events import Message, Reply, Request, message_type
from shared.bus.topics import Queue, Topic
from shared.process.thread import ServiceThread

MAX_WAITING = 10_000
"""Claims of this process that may wait in memory; more go over the bus."""
AHEAD = 256
"""Messages of a queue that are taken from the bus ahead of need."""
_LISTEN_SECONDS = 0.2
"""How long a thread waits for the bus before it looks whether the intake is closed."""


class _Lane:
    """What waits for the writer in one queue."""

    def __init__(self, queue: Queue, consumer: Consumer) -> None:
        self.queue = queue
        self.consumer = consumer
        self.local: deque[Delivery] = deque()
        self.from_bus: list[Delivery] = []
        self.has_room = threading.Event()
        """Whether more may be taken from the bus."""
        self.has_room.set()
        self._was_local = False

    def has_any(self) -> bool:
        return bool(self.local or self.from_bus)

    def take(self, count: int) -> list[Delivery]:
        """Take a batch from here or from the bus, in turn if both have some."""
        self._was_local = bool(self.local) and not (self._was_local and self.from_bus)
        if self._was_local:
            return [self.local.popleft() for _ in range(min(count, len(self.local)))]
        batch, self.from_bus = self.from_bus[:count], self.from_bus[count:]
        self.has_room.set()
        return batch


class Intake(Consumer):
    """Takes claims from `queues`, in falling priority, and from requesters in this process (`put`)."""

    def __init__(self, bus: Broker, queues: Sequence[Queue], prefetch: int) -> None:
        self._lanes = {queue.name: _Lane(queue, bus.consumer([queue], prefetch)) for queue in queues}
        self._by_topic: dict[Topic | None, _Lane] = {
            topic: lane for lane in self._lanes.values() for topic in lane.queue.topics
        }
        self._calls = LocalCalls()
        self._arrived = threading.Condition()
        self._is_open = False
        """Whether claims of this process may come: the writer is well, and about to take them."""
        self._closed = threading.Event()
        self._threads = [
            ServiceThread(partial(self._listen, lane), f"take-{name.rpartition('.')[2]}", self._closed.is_set)
            for name, lane in self._lanes.items()
        ]
        for thread in self._threads:
            thread.start()

    # ── requesters in this process ──────────────────────────────────────────────────────────────────────────────

    def put(self, requests: Sequence[Request[Reply]], timeout: float) -> LocalCall[Reply] | None:
        """Take requests whose requester waits for `timeout` seconds; None if they must go over the bus."""
        lanes = [self._by_topic.get(request.topic) for request in requests]
        with self._arrived:
            waiting = sum(len(lane.local) for lane in self._lanes.values())
            if not self._is_open or None in lanes or waiting + len(requests) > MAX_WAITING:
                return None
            call = self._calls.begin(requests)
            traceparent, deadline = trace.current() or trace.new(), time.time() + timeout
            for lane, request, id_ in zip(lanes, requests, call.ids, strict=True):
                if lane is not None:
                    lane.local.append(_delivery(lane.queue, request, id_, traceparent, deadline))
            self._arrived.notify()
        return call

    def answer(self, replies: Sequence[tuple[ReplyAddress, Message]]) -> None:
        """Give replies to requesters in this process."""
        self._calls.answer(replies)

    def forget(self, call: LocalCall[Reply]) -> None:
        """Stop waiting for the replies of a call."""
        self._calls.forget(call)

    def pause(self) -> None:
        """Leave the claims of this process to the bus, waiting and new ones, until the writer takes a batch again."""
        with self._arrived:
            self._is_open = False
            waiting = [delivery.message_id for lane in self._lanes.values() for delivery in lane.local]
            for lane in self._lanes.values():
                lane.local.clear()
        self._calls.leave(waiting)

    # ── the writer ──────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, max_messages: int, wait: float) -> list[Delivery]:
        """See `Consumer.receive`."""
        deadline = time.monotonic() + wait
        with self._arrived:
            self._is_open = not self._closed.is_set()
            while True:
                for lane in self._lanes.values():
                    if lane.has_any():
                        return lane.take(max_messages)
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self._closed.is_set():
                    return []
                self._arrived.wait(remaining)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.ack`."""
        for lane, of_bus in self._of_bus(deliveries):
            lane.consumer.ack(of_bus)

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.requeue`; a claim of this process is left to the bus."""
        for lane, of_bus in self._of_bus(deliveries):
            lane.consumer.requeue(of_bus)
        self._calls.leave(delivery.message_id for delivery in deliveries if delivery.is_local)

    def dead_letter(self, deliveries: Sequence[Delivery], reason: str) -> None:
        """See `Consumer.dead_letter`; a claim of this process is left to the bus, which judges it anew."""
        for lane, of_bus in self._of_bus(deliveries):
            lane.consumer.dead_letter(of_bus, reason)
        self._calls.leave(delivery.message_id for delivery in deliveries if delivery.is_local)

    def was_cut_off(self) -> bool:
        """See `Consumer.was_cut_off`."""
        return any(lane.consumer.was_cut_off() for lane in self._lanes.values())

    def close(self) -> None:
        """See `Consumer.close`. Claims of this process that are not answered are left to the bus."""
        with self._arrived:
            self._closed.set()
            for lane in self._lanes.values():
                lane.has_room.set()
        self.pause()
        for thread in self._threads:
            thread.join()
        for lane in self._lanes.values():
            lane.consumer.close()
        self._calls.leave_all()

    def _of_bus(self, deliveries: Sequence[Delivery]) -> list[tuple[_Lane, list[Delivery]]]:
        by_queue: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            if not delivery.is_local:
                by_queue.setdefault(delivery.queue, []).append(delivery)
        return [(self._lanes[name], of_bus) for name, of_bus in by_queue.items()]

    def _listen(self, lane: _Lane) -> None:
        """Take what comes over the bus for one queue, up to a batch ahead of the writer."""
        while not self._closed.is_set():
            taken = lane.consumer.receive(AHEAD - len(lane.from_bus), _LISTEN_SECONDS)
            if not taken:
                continue
            with self._arrived:
                lane.from_bus += taken
                if len(lane.from_bus) == AHEAD and not self._closed.is_set():
                    lane.has_room.clear()
                self._arrived.notify()
            lane.has_room.wait()


def _delivery(queue: Queue, request: Request[Reply], id_: str, traceparent: str, deadline: float) -> Delivery:
    return Delivery(
        queue=queue.name,
        type=message_type(request),
        body=b"",
        message_id=id_,
        delivery_count=0,
        reply_address=ReplyAddress(HERE, id_, traceparent),
        traceparent=traceparent,
        tag=None,
        deadline=deadline,
        message=request,
    )
