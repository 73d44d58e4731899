"""Relays committed events from the outbox to the broker, in order, at least once.

The commit script appends events to the stream `events`; this thread of the writer publishes them with confirms and
records its position. After a crash some events are published again; `seq` makes that harmless. Where commits wait for
replicas, events wait for them too: nobody hears of a commit that is lost with the primary.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from shared.bus.broker import Broker
from shared.chain.codec import decode_event, decode_traceparent
from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient
from shared.errors import BrokerError, StoreUnavailable
from shared.process.backoff import backoff
from shared.process.shutdown import ExitFlag
from shared.process.thread import ServiceThread

log = logging.getLogger(__name__)

BATCH = 500
KEEP_EVENTS = 10_000
"""Number of published events to keep in the stream, for listeners that resume."""
_BLOCK_MILLISECONDS = 500
GATHER_SECONDS = 0.05
"""After each batch more events gather for so long: a batch costs broker and listeners about as much as one event."""
STALE_SECONDS = 10.0
"""Seconds after which an event that is still not published is trouble."""


class Outbox:
    """Publishes events until the exit flag is set."""

    def __init__(self, client: StoreClient, keys: Keys, broker: Broker, stop: ExitFlag) -> None:
        self._redis: Any = client
        self._keys = keys
        self._broker = broker
        self._stop = stop
        self._thread = ServiceThread(self._run, "outbox", stop.is_set)
        self._waiting_since: float | None = None
        """Time (monotonic) since which an event has waited, or it is not known whether one does."""
        self._why = ""

    def start(self) -> None:
        """Start relaying."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the thread has seen the stop flag."""
        self._thread.join()

    def waiting(self) -> float:
        """Return the seconds for which events have waited to be published; 0 if none do."""
        since = self._waiting_since
        return 0.0 if since is None or self._stop.is_set() else time.monotonic() - since

    def trouble(self) -> str:
        """Return why facts are not published any more, for /readyz; empty if they are."""
        waiting = self.waiting()
        if waiting < STALE_SECONDS:
            return ""
        return f"facts have waited {waiting:.0f} s to be published: {self._why or 'the broker does not confirm'}"

    def relay(self, block_ms: int | None = None) -> int:
        """Publish up to one batch of waiting events; return their number."""
        position = int(self._redis.get(self._keys.relayed) or 0)
        replies = self._redis.xread({self._keys.events: f"{position}-0"}, count=BATCH, block=block_ms)
        if not replies:
            return 0
        self._wait_begins()
        entries = self._confirmed(position) if self._redis.replicas else replies[0][1]
        messages, traceparents = [], []
        for entry_id, fields in entries:
            position = int(entry_id.split(b"-")[0])
            messages.append(decode_event(position, fields))
            traceparents.append(decode_traceparent(fields))
        if not messages:
            return 0
        self._broker.publish_many(messages, traceparents)
        pipe = self._redis.pipeline()
        pipe.set(self._keys.relayed, position)
        if position > KEEP_EVENTS:
            pipe.xtrim(self._keys.events, minid=f"{position - KEEP_EVENTS}-0", approximate=True)
        pipe.execute()
        return len(messages)

    def _confirmed(self, position: int) -> list[Any]:
        """Return the events after a position, now that enough replicas have them.

        They are read with a write, by the connection that then waits: what it read before may be of a lost primary.
        """
        pipe = self._redis.change()
        pipe.set(self._keys.relayed, position)
        pipe.xrange(self._keys.events, min=f"({position}-0", count=BATCH)
        entries: list[Any] = pipe.execute()[1]
        return entries

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                published = self.relay(_BLOCK_MILLISECONDS)
                if published < BATCH:
                    self._waiting_since = None
                self._why = ""
                failures = 0
                if 0 < published < BATCH:
                    self._stop.wait(GATHER_SECONDS)
            except (BrokerError, StoreUnavailable) as error:
                self._wait_begins()
                self._why = str(error)
                failures += 1
                log.warning("outbox waits: %s", error)
                self._stop.wait(backoff(failures))

    def _wait_begins(self) -> None:
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
