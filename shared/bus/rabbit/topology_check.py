"""Looks every second whether the exchanges and durable queues are there, on a channel of its own of a link.

RabbitMQ tells a publisher that an exchange is gone by closing its channel, and that a queue is gone only by the
messages that it returns. This check notices both before a message does. It also binds the queue for replies again: the
binding goes with its exchange, and does not come back with it. And it counts the messages that wait in the queues which
this process consumes, so that a consumer that gets none of them is noticed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from shared.bus.rabbit.link import RabbitLink, describe
from shared.bus.rabbit.topology import EXCHANGES, QUEUES

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks."""
_PATIENCE = 5.0
"""Seconds that a look may take; longer than `PERIOD`."""


class TopologyCheck:
    """The check of one link; all methods but `count` belong to its thread, the public attributes may be read by any."""

    def __init__(self) -> None:
        self.trouble = ""
        """What is missing; empty if nothing is."""
        self.waiting: Mapping[str, int] = {}
        """Messages that wait in the counted queues, by the last look; empty without one that has ended."""
        self._counted: frozenset[str] = frozenset()
        self._link: RabbitLink
        self._connection: Any = None
        self._channel: Any = None
        self._bound = ("", "")
        self._looks = 0

    def start(self, link: RabbitLink, connection: Any) -> None:
        """Look now, and every second while the connection is open."""
        self._link, self._connection = link, connection
        connection.channel(on_open_callback=self._opened)

    def stop(self) -> None:
        """Stop looking: the connection is lost."""
        self._connection = self._channel = None
        self.waiting = {}

    def count(self, queue: str) -> None:
        """Count the messages that wait in a durable queue from now on."""
        self._counted |= {queue}

    def keep_bound(self, queue: str, exchange: str) -> None:
        """Keep a queue of this connection bound to an exchange, by its own name; none if empty."""
        self._bound = (queue, exchange)

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._closed)
        self._look(channel)

    def _look(self, channel: Any) -> None:
        if channel is not self._channel:
            return
        self._looks += 1
        look = self._looks
        self._link.call_later(_PATIENCE, lambda: self._replace_if_stuck(channel, look))
        waiting: dict[str, int] = {}

        def counted(frame: Any) -> None:
            waiting[frame.method.queue] = frame.method.message_count

        for queue in QUEUES:
            channel.queue_declare(queue.name, passive=True, callback=counted if queue.name in self._counted else None)
        if self._bound[0]:
            channel.queue_bind(self._bound[0], self._bound[1], self._bound[0])
        *others, last = EXCHANGES
        for exchange in others:
            channel.exchange_declare(exchange, passive=True)
        channel.exchange_declare(last, passive=True, callback=lambda _: self._all_there(channel, waiting))

    def _all_there(self, channel: Any, waiting: Mapping[str, int]) -> None:
        if channel is self._channel:
            self.trouble = ""
            self.waiting = waiting
            self._link.call_later(PERIOD, lambda: self._look(channel))

    def _replace_if_stuck(self, channel: Any, look: int) -> None:
        """Look on another channel if this look has not ended: it may wait for a leader that was paused or cut off."""
        connection = self._connection
        if channel is not self._channel or look != self._looks or connection is None:
            return
        log.warning("RabbitMQ does not say which queues there are, asking on another channel")
        self._channel = None
        self.waiting = {}
        if channel.is_open:
            channel.close()  # as soon as it answers
        self._reopen(connection)

    def _closed(self, channel: Any, error: BaseException) -> None:
        """Something is missing; look again on another channel."""
        connection = self._connection
        if channel is not self._channel or connection is None or not connection.is_open:
            return
        self._channel = None
        self.waiting = {}
        self.trouble = describe(error)
        self._link.call_later(PERIOD, lambda: self._reopen(connection))

    def _reopen(self, connection: Any) -> None:
        if connection is self._connection and connection.is_open:
            connection.channel(on_open_callback=self._opened)
