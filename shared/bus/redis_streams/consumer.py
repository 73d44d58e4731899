"""The consuming half of the embedded bus: takes messages from streams, waits for new ones, settles them.

A message that was handed out stays in its stream, pending for its consumer, until it is acked (XACK and XDEL), so the
length of a stream is its backlog. A consumer writes a heartbeat every second; if it stops, the next heartbeat of any
other consumer returns its messages (`lua/reclaim.lua`). A consumer that lost its connection cannot know its last
messages, so it takes a new name and returns all messages of the old one.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from shared import metrics, trace
from shared.bus.broker import Consumer, Delivery, ReplyAddress, read_deadline
from shared.bus.redis_streams.client import GIVEN_BACK, GROUP, BusScripts, bus_errors
from shared.bus.topics import Queue, dead_letter_queue
from shared.errors import BrokerError
from shared.logs import with_fields
from shared.process.backoff import backoff

log = logging.getLogger(__name__)

Entry = tuple[bytes, dict[bytes, bytes]]
"""A stream entry: its id and fields."""

SIGN_OF_LIFE_MS = 4_000
"""After this long without a beat, a consumer counts as dead."""
TRANSIENT_LIFE_MS = 60_000
"""After this long without a beat, the queue of a process that died is removed with its messages."""
_LONGEST_BLOCK = 0.2
"""Seconds after which a waiting consumer looks for messages that another gave back."""
_DEAD_LETTERS = 10_000
"""A dead-letter stream keeps about this many, the newest."""
_HEX = frozenset("0123456789abcdef")


class StreamKeys:
    """Names of the bus's keys: everything starts with one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.signs_of_life = f"{prefix}:alive:"
        self.writable = f"{prefix}:writable"
        """Never written: the server's answer to a write without bytes tells whether it takes any."""

    def queue(self, name: str) -> str:
        """Stream of a queue's messages."""
        return f"{self._prefix}:queue:{name}"

    def dead_letters(self, service: str) -> str:
        """Stream of what a service cannot handle."""
        return f"{self._prefix}:{dead_letter_queue(service)}"

    def bindings(self, topic: str) -> str:
        """Set of the queues that want a topic's messages."""
        return f"{self._prefix}:topic:{topic}"

    def replies(self, client: str) -> str:
        """Stream of the replies to one client."""
        return f"{self._prefix}:replies:{client}"

    def is_reply_stream(self, key: str) -> bool:
        """Whether a reply may go to this key: a requester could name any."""
        client = key.removeprefix(self.replies(""))
        return key != client and len(client) == 32 and _HEX.issuperset(client)


class StreamConsumer(Consumer):
    """Takes messages from streams. `receive` belongs to one thread; the other methods may be called from any.

    No message is taken ahead of need: it becomes this consumer's when `receive` returns it.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: StreamKeys,
        queues: Sequence[Queue],
        on_close: Callable[[StreamConsumer], None],
    ) -> None:
        self._client = client
        self._scripts = BusScripts(client)
        self._keys = keys
        self._queues = {keys.queue(queue.name): queue for queue in queues}
        self._name = uuid.uuid4().hex
        self._old_name = ""
        """The consumer's former name, while messages may be pending for it."""
        self._on_close = on_close
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._out_of_touch = threading.Event()
        self._was_cut_off = False
        self._failures = 0
        self._retry_at = 0.0

    def declare(self) -> None:
        """Make sure that the queues exist, and show a sign of life. Raises `BrokerUnavailable`."""
        with self._lock, bus_errors():
            if self._closed.is_set():
                return
            for key, queue in self._queues.items():
                self._scripts.declare(
                    keys=[key, self._keys.signs_of_life + self._name, *map(self._keys.bindings, queue.topics)],
                    args=[GROUP, SIGN_OF_LIFE_MS, 0 if queue.durable else TRANSIENT_LIFE_MS],
                )

    def reclaim(self) -> None:
        """Give back the messages of dead consumers of the same queues. Raises `BrokerUnavailable`."""
        for key in (key for key, queue in self._queues.items() if queue.durable):
            with bus_errors():
                moved = self._scripts.reclaim(keys=[key], args=[GROUP, self._keys.signs_of_life, ""])
            if moved:
                fields = with_fields(queue=self._queues[key].name, messages=moved)
                log.warning("gave back the messages of a consumer that died", extra=fields)

    def receive(self, max_messages: int, wait: float) -> list[Delivery]:
        """See `Consumer.receive`. A message that was handed out before comes alone."""
        deadline = time.monotonic() + wait
        while not self._closed.is_set():
            remaining = deadline - time.monotonic()
            pause = min(remaining, self._retry_at - time.monotonic())
            if pause > 0:
                self._closed.wait(pause)
            elif deliveries := self._try_receive(max_messages, remaining):
                return deliveries
            if time.monotonic() >= deadline:
                break
        return []

    def _try_receive(self, max_messages: int, seconds: float) -> list[Delivery]:
        try:
            if self._out_of_touch.is_set():
                self._start_afresh()
            with bus_errors():
                deliveries = self._take(max_messages) or self._block(max_messages, seconds)
        except BrokerError as error:
            if self._failures == 0:
                self._lose_touch("receive", error)
            self._retry_at = time.monotonic() + backoff(self._failures, base=0.02, cap=1.0)
            self._failures += 1
            return []
        self._failures = 0
        return deliveries

    def _lose_touch(self, what: str, error: BrokerError) -> None:
        if not self._closed.is_set():
            log.warning("lost touch with Redis", extra=with_fields(while_trying_to=what, error=error))
            metrics.BUS_RECONNECTS.inc()
        self._was_cut_off = True
        self._out_of_touch.set()

    def _start_afresh(self) -> None:
        """Declare the queues again under a new name, and give back the messages of the old one."""
        if not self._old_name:
            self._old_name, self._name = self._name, uuid.uuid4().hex
        self.declare()
        self._give_back_all(self._old_name)
        self._old_name = ""
        self._out_of_touch.clear()

    def _give_back_all(self, name: str) -> None:
        """Give back all messages pending for this name, which is not used any more."""
        with bus_errors():
            self._client.delete(self._keys.signs_of_life + name)
            for key in self._queues:
                self._scripts.reclaim(keys=[key], args=[GROUP, self._keys.signs_of_life, name])

    def _take(self, max_messages: int) -> list[Delivery]:
        taken = self._scripts.take(keys=list(self._queues), args=[GROUP, self._name, max_messages])
        if not taken:
            return []
        place, count, entries = taken
        fields = [(id_, dict(zip(flat[::2], flat[1::2], strict=True))) for id_, flat in entries]
        return self._deliveries(list(self._queues)[place - 1], fields, count)

    def _block(self, max_messages: int, seconds: float) -> list[Delivery]:
        """Wait for new messages; if several queues have some, return the messages of lower queues for the next call."""
        if seconds <= 0:
            return []
        block_ms = max(1, int(min(seconds, _LONGEST_BLOCK) * 1000))
        streams: dict[Any, Any] = dict.fromkeys(self._queues, ">")
        found: Any = self._client.xreadgroup(GROUP, self._name, streams, count=max_messages, block=block_ms)
        if not found:
            return []
        entries = dict(found)
        first, *others = [key for key in self._queues if key.encode() in entries]
        for key in others:
            self._give_back(key, [id_ for id_, _ in entries[key.encode()]], delivery_count=0)
        return self._deliveries(first, entries[first.encode()], 0)

    def _deliveries(self, key: str, entries: Sequence[Entry], count: int) -> list[Delivery]:
        deliveries = []
        for id_, fields in entries:
            reply_to = self._requester(fields.get(b"r", b"").decode("utf-8", "replace"))
            correlation_id = fields.get(b"c", b"").decode()
            traceparent = trace.parse(fields.get(b"p", b"").decode("utf-8", "replace")) or trace.new()
            deliveries.append(
                Delivery(
                    queue=self._queues[key].name,
                    type=fields.get(b"t", b"").decode("utf-8", "replace"),
                    body=fields.get(b"b", b""),
                    message_id=fields.get(b"i", b"").decode("utf-8", "replace"),
                    delivery_count=count,
                    reply_address=ReplyAddress(reply_to, correlation_id, traceparent) if reply_to else None,
                    traceparent=traceparent,
                    tag=id_,
                    deadline=read_deadline(fields.get(b"d")),
                )
            )
        return deliveries

    def _requester(self, reply_to: str) -> str:
        """Return where the reply goes; nowhere if that is no stream of a requester's own."""
        if reply_to and not self._keys.is_reply_stream(reply_to):
            log.warning("a request gets no reply: its reply_to names no stream of a requester")
            return ""
        return reply_to

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.ack`."""
        with self._settling("ack"), self._client.pipeline(transaction=True) as pipe:
            self._remove(pipe, deliveries)
            pipe.execute()

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """See `Consumer.requeue`: any consumer of the queue may get them next."""
        with self._settling("requeue"):
            for key, ids in self._by_queue(deliveries).items():
                self._give_back(key, ids)

    def dead_letter(self, deliveries: Sequence[Delivery], reason: str) -> None:
        """See `Consumer.dead_letter`."""
        with self._settling("dead-letter"), self._client.pipeline(transaction=True) as pipe:
            for delivery in deliveries:
                fields: dict[Any, Any] = {"t": delivery.type, "i": delivery.message_id, "p": delivery.traceparent}
                fields |= {"b": delivery.body, "queue": delivery.queue, "reason": reason, "time": int(time.time())}
                service = self._queues[self._keys.queue(delivery.queue)].service
                pipe.xadd(self._keys.dead_letters(service), fields, maxlen=_DEAD_LETTERS)
            self._remove(pipe, deliveries)
            pipe.execute()

    @contextmanager
    def _settling(self, what: str) -> Iterator[None]:
        """Settle deliveries; if Redis is away, they stay unsettled and come again after the next `receive`."""
        try:
            with bus_errors():
                yield
        except BrokerError as error:
            self._lose_touch(what, error)

    def was_cut_off(self) -> bool:
        """See `Consumer.was_cut_off`."""
        return self._was_cut_off

    def close(self) -> None:
        """See `Consumer.close`. If Redis is away, another consumer gives the messages back when it can."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
        self._on_close(self)
        try:
            for name in filter(None, (self._old_name, self._name)):
                self._give_back_all(name)
            with bus_errors():
                for key in (key for key, queue in self._queues.items() if not queue.durable):
                    self._client.delete(key)
        except BrokerError as error:
            log.warning("closed a consumer without Redis", extra=with_fields(error=error))

    def _by_queue(self, deliveries: Sequence[Delivery]) -> dict[str, list[bytes]]:
        ids: dict[str, list[bytes]] = defaultdict(list)
        for delivery in deliveries:
            if isinstance(delivery.tag, bytes):
                ids[self._keys.queue(delivery.queue)].append(delivery.tag)
        return ids

    def _remove(self, pipe: redis.client.Pipeline, deliveries: Sequence[Delivery]) -> None:
        for key, ids in self._by_queue(deliveries).items():
            pipe.xack(key, GROUP, *ids)
            pipe.xdel(key, *ids)

    def _give_back(self, key: str, ids: list[Any], delivery_count: int | None = None) -> None:
        self._client.xclaim(key, GROUP, GIVEN_BACK, 0, ids, retrycount=delivery_count, justid=True)
