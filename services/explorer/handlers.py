"""What the explorer hears: every fact, through a queue of its own process, so that live pages know when to look again.

Nothing of the chain is kept here: pages read committed state from Redis. The feed only remembers which facts came last.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.explorer.hub import EventHub
from shared import metrics
from shared.bus.events import BlockConnected, BlockDisconnected, Fact, Message, TxAccepted, TxRemoved
from shared.bus.topics import FACTS, Queue, transient_queue
from shared.bus.worker import Handler, Incoming

FEED_LENGTH = 50
FACTS_SEEN = metrics.counter("explorer_facts", "Facts heard from the broker, each once.", ("type",))
LAST_FACT = metrics.gauge("explorer_last_fact_seconds", "When the last fact was heard, in seconds since 1970.")


@dataclass(frozen=True, slots=True)
class FeedItem:
    """A fact, and when it was heard (seconds since 1970)."""

    fact: Fact
    heard: float


class Feed:
    """The last facts, newest last. Any thread may read it."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._items: deque[FeedItem] = deque(maxlen=FEED_LENGTH)
        self._changed = threading.Condition()
        self._closed = False

    def hear(self, fact: Fact) -> None:
        """Remember a fact; one that comes a second time changes nothing."""
        with self._changed:
            if any(item.fact == fact for item in self._items):
                return
            self._items.append(FeedItem(fact, self._clock()))
            self._changed.notify_all()
        FACTS_SEEN.labels(str(fact.topic)).inc()
        LAST_FACT.set_to_current_time()

    def last(self) -> list[FeedItem]:
        """Return what was heard, oldest first."""
        with self._changed:
            return list(self._items)

    @property
    def seq(self) -> int:
        """Number of the newest fact, 0 before the first."""
        items = self.last()
        return items[-1].fact.seq if items else 0

    def wait_for_news(self, seq: int, seconds: float) -> bool:
        """Wait until the newest fact is another than `seq`, or for so long; False once the feed is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self.seq != seq, seconds)
            return not self._closed

    def close(self) -> None:
        """Let go of all that wait: the service is about to stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def subscription() -> Queue:
    """Return the queue to listen on: it goes away with this process."""
    return transient_queue("explorer", *FACTS)


def handlers(feed: Feed, hub: EventHub) -> dict[type[Message], Handler[Any]]:
    """Return the subscription table."""

    def hear(batch: Sequence[Incoming[Any]]) -> list[None]:
        for incoming in batch:
            feed.hear(incoming.message)
        hub.wake()
        return [None] * len(batch)

    return dict.fromkeys((TxAccepted, TxRemoved, BlockConnected, BlockDisconnected), hear)
