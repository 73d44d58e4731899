"""The embedded bus: RabbitMQ's queues and bindings on Redis Streams, for a stack without RabbitMQ.

Each queue is a stream with one consumer group; a topic's set of bindings names the queues that want its messages, and
one script appends a batch to all of them. Durable queues stay; a process's own queue expires soon after the process
has died. Replies go to a stream of the asking process. How durable "confirmed" is, is up to the server's settings
(`appendonly yes`, `appendfsync always`).

| key | type | content |
|---|---|---|
| `<prefix>:queue:<name>` | stream | messages: t type, i id, r reply_to, d deadline, and as in replies: c, p, v, b |
| `<prefix>:topic:<topic>` | set | keys of the queues bound to the topic |
| `<prefix>:replies:<client>` | stream | replies: t type, c correlation id, p traceparent, v schema version, b body |
| `<prefix>:alive:<consumer>` | string | a consumer's sign of life, expires |
| `<prefix>:dead.<service>` | stream | the newest dead letters: t, i, p, b, and queue, reason, time |
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shared import metrics, trace
from shared.bus import events
from shared.bus.broker import Broker, ReplyAddress, deadline_in, publishing
from shared.bus.events import SCHEMA_VERSION, Message, Reply, Request
from shared.bus.redis_streams.client import GROUP, BusScripts, bus_errors, open_client
from shared.bus.redis_streams.consumer import SIGN_OF_LIFE_MS, TRANSIENT_LIFE_MS, StreamConsumer, StreamKeys
from shared.bus.replies import ReplyBox
from shared.bus.topics import CLAIMS, Queue
from shared.errors import BrokerError, BrokerUnavailable, Unroutable
from shared.logs import with_fields
from shared.process.backoff import backoff
from shared.process.thread import ServiceThread

log = logging.getLogger(__name__)

_BEAT = 1.0
"""Seconds between signs of life."""
_CHUNK_MESSAGES = 256
_CHUNK_BYTES = 1 << 20
"""The most that one script call appends, so that it never stalls the server for long."""


class RedisStreamsBroker(Broker):
    """A broker on the Redis at `redis_url`; all its keys start with `prefix`. Connects when first used."""

    def __init__(self, redis_url: str, prefix: str = "warren-bus") -> None:
        self._client = open_client(redis_url)
        self._scripts = BusScripts(self._client)
        self._keys = StreamKeys(prefix)
        self._reply_key = self._keys.replies(uuid.uuid4().hex)
        self._box = ReplyBox()
        self._lock = threading.Lock()
        self._consumers: list[StreamConsumer] = []
        self._closed = threading.Event()
        self._opened = time.monotonic()
        self._beating: ServiceThread | None = None
        self._listening: ServiceThread | None = None

    # ── publishing ──────────────────────────────────────────────────────────────────────────────────────────────

    def publish_many(self, messages: Sequence[Message], traceparents: Sequence[str] = ()) -> None:
        """See `Broker.publish_many`."""
        self._publish(messages, traceparents, "", "", ["" for _ in messages])

    def _publish(
        self,
        messages: Sequence[Message],
        traceparents: Sequence[str],
        reply_to: str,
        deadline: int | str,
        correlation_ids: Sequence[str],
    ) -> None:
        self._check_open()
        with publishing(messages, traceparents) as sent:
            unrouted = self._append(messages, trace.filled(sent), reply_to, deadline, correlation_ids)
        if lost := unrouted.intersection(CLAIMS):
            raise Unroutable(f"nobody takes {', '.join(sorted(lost))}")

    def _append(
        self,
        messages: Sequence[Message],
        traceparents: Sequence[str],
        reply_to: str,
        deadline: int | str,
        correlation_ids: Sequence[str],
    ) -> set[str]:
        """Append messages to the queues of their topics; return the topics that no queue takes."""
        unrouted: set[str] = set()
        for chunk in _chunks(messages, traceparents, correlation_ids):
            topics = list(dict.fromkeys(entry[0] for entry in chunk))
            args: list[str | int | bytes] = [SCHEMA_VERSION, reply_to, deadline]
            for topic, traceparent, correlation_id, body in chunk:
                args += [topics.index(topic) + 1, topic, uuid.uuid4().hex, correlation_id, traceparent, body]
            with bus_errors():
                places = self._scripts.publish(keys=[self._keys.bindings(topic) for topic in topics], args=args)
            unrouted.update(chunk[place - 1][0] for place in places)
            for topic in topics:
                metrics.BUS_PUBLISHED.labels(topic).inc(sum(1 for entry in chunk if entry[0] == topic))
        return unrouted

    def reply_many(self, replies: Sequence[tuple[ReplyAddress, Message]]) -> None:
        """See `Broker.reply_many`: the reply stream of a requester that has gone does not exist."""
        self._check_open()
        with bus_errors(), self._client.pipeline(transaction=False) as pipe:
            for address, message in replies:
                fields: dict[Any, Any] = {"t": events.message_type(message), "b": events.encode(message)}
                fields |= {"c": address.correlation_id, "p": address.traceparent or trace.new(), "v": SCHEMA_VERSION}
                pipe.xadd(address.reply_to, fields, nomkstream=True)
            added = pipe.execute()
        for (_, message), entry_id in zip(replies, added, strict=True):
            if entry_id is None:
                about = with_fields(type=events.message_type(message))
                log.info("a reply came too late: the requester has gone", extra=about)

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────────

    async def ask_many(
        self, messages: Sequence[Request[Reply]], timeout: float, ids: Sequence[str] = ()
    ) -> list[Reply]:
        """See `Broker.ask_many`. Only the replies are waited for: publishing is a short call of Redis."""
        deadline = time.monotonic() + timeout
        self._check_open()
        self._start_listening()
        call, ids = self._box.expect(messages, ids)
        try:
            self._publish(messages, (), self._reply_key, deadline_in(timeout), ids)
        except BrokerError:
            self._box.forget(ids)
            raise
        return await self._box.replies(call, ids, deadline)

    def _start_listening(self) -> None:
        with self._lock:
            if self._listening is None:
                with bus_errors():
                    self._declare_reply_stream()
                self._listening = ServiceThread(self._listen, "bus-replies", self._closed.is_set)
                self._listening.start()

    def _declare_reply_stream(self) -> None:
        if not self._client.pexpire(self._reply_key, TRANSIENT_LIFE_MS):
            self._client.xgroup_create(self._reply_key, GROUP, id="0", mkstream=True)  # the way to make an empty stream
            self._client.pexpire(self._reply_key, TRANSIENT_LIFE_MS)

    def _listen(self) -> None:
        """Pass replies to the requests that wait for them, until the broker is closed."""
        last = b"0-0"
        refreshed = 0.0
        failures = 0
        while not self._closed.is_set():
            try:
                with bus_errors():
                    if time.monotonic() - refreshed > _BEAT:
                        self._declare_reply_stream()
                        refreshed = time.monotonic()
                    found: Any = self._client.xread({self._reply_key: last}, count=500, block=500)
                    for _, entries in found or ():
                        for _, fields in entries:
                            self._take_reply(fields)
                        last = entries[-1][0]
                        self._client.xdel(self._reply_key, *(id_ for id_, _ in entries))
                failures = 0
            except BrokerError as error:
                if failures == 0 and not self._closed.is_set():
                    log.warning("cannot receive replies, trying again", extra=with_fields(error=error))
                self._closed.wait(backoff(failures, cap=1.0))
                failures += 1

    def _take_reply(self, fields: Mapping[bytes, bytes]) -> None:
        correlation_id, type_name = (fields.get(name, b"").decode("utf-8", "replace") for name in (b"c", b"t"))
        self._box.put(correlation_id, type_name, fields.get(b"b", b""))

    # ── consuming ───────────────────────────────────────────────────────────────────────────────────────────────

    def consumer(self, queues: Sequence[Queue], prefetch: int = 1000) -> StreamConsumer:
        """See `Broker.consumer`. `prefetch` does not matter: nothing is taken ahead."""
        self._check_open()
        consumer = StreamConsumer(self._client, self._keys, queues, self._forget)
        try:
            consumer.declare()
        except BrokerUnavailable as error:
            log.warning("Redis is away; the queues are declared when it is back", extra=with_fields(error=error))
        with self._lock:
            self._consumers.append(consumer)
            if self._beating is None:
                self._beating = ServiceThread(self._beat, "bus-beat", self._closed.is_set)
                self._beating.start()
        return consumer

    def _forget(self, consumer: StreamConsumer) -> None:
        with self._lock:
            self._consumers.remove(consumer)

    def _beat(self) -> None:
        """Write the heartbeats of all consumers, and return the messages of dead ones to their queues.

        After an outage every consumer gets time for a heartbeat before any is taken for dead. A broker that has been
        open for longer than that, as a standby's, looks for dead consumers at once.
        """
        away_until = self._opened
        while not self._closed.is_set():
            with self._lock:
                consumers = list(self._consumers)
            try:
                for consumer in consumers:
                    consumer.declare()
                if time.monotonic() > away_until + SIGN_OF_LIFE_MS / 1000:
                    for consumer in consumers:
                        consumer.reclaim()
            except BrokerError as error:
                log.debug("no beat", extra=with_fields(error=error))
                away_until = time.monotonic()
            self._closed.wait(_BEAT)

    # ── state ───────────────────────────────────────────────────────────────────────────────────────────────────

    def trouble(self) -> str:
        """See `Broker.trouble`."""
        if self._closed.is_set():
            return "the bus is closed"
        try:
            with bus_errors():
                self._client.setrange(self._keys.writable, 0, "")  # changes nothing; refused where a message would be
        except BrokerError as error:
            return str(error)
        return ""

    def close(self) -> None:
        """See `Broker.close`."""
        if self._closed.is_set():
            return
        with self._lock:
            consumers = list(self._consumers)
        for consumer in consumers:
            consumer.close()
        self._closed.set()
        for thread in (self._beating, self._listening):
            if thread is not None:
                thread.join()
        self._box.fail_all("the bus is closed")
        try:
            with bus_errors():
                self._client.delete(self._reply_key)
        except BrokerError as error:
            log.debug("closed without Redis", extra=with_fields(error=error))
        self._client.close()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise BrokerUnavailable("the bus is closed")


def _chunks(
    messages: Sequence[Message], traceparents: Iterable[str], correlation_ids: Iterable[str]
) -> Iterator[list[tuple[str, str, str, bytes]]]:
    """Yield (topic, traceparent, correlation id, body) in chunks of bounded size."""
    chunk: list[tuple[str, str, str, bytes]] = []
    size = 0
    for message, traceparent, correlation_id in zip(messages, traceparents, correlation_ids, strict=True):
        body = events.encode(message)
        chunk.append((events.message_type(message), traceparent, correlation_id, body))
        size += len(body)
        if len(chunk) >= _CHUNK_MESSAGES or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
