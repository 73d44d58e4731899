"""One connection to RabbitMQ on a thread of its own, kept open: the ground that the `rabbit` backend stands on.

pika's connection belongs to the link's thread; everything else reaches it through `call`. So heartbeats go on while a
handler works for minutes. A lost connection is opened again with jittered backoff until the link is closed.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pika
import pika.exceptions
from pika.adapters.select_connection import IOLoop

from shared import metrics
from shared.logs import with_fields
from shared.process.backoff import backoff
from shared.process.thread import ServiceThread

log = logging.getLogger(__name__)


_RECONNECT_CAP = 2.0
"""Seconds between tries at most: less than a publisher waits, so that a broker that is back is found in time."""


class RabbitLink:
    """Keeps one connection open, to one of several hosts; if it is lost, or cannot be opened, the next one is tried.

    `on_up(connection)` and `on_down(reason)` are called on the link's thread, after `start`. The first host is a random
    one, so that the connections of many processes spread over all hosts.
    """

    def __init__(
        self, params: Sequence[Any], name: str, on_up: Callable[[Any], None], on_down: Callable[[str], None]
    ) -> None:
        self._hosts = itertools.cycle(random.sample(params, len(params)))
        self._params = next(self._hosts)
        self._on_up = on_up
        self._on_down = on_down
        self._loop = IOLoop()
        self._connection: Any = None
        self._failures = 0
        self._attempt: Any = None
        """The timer of the next attempt to connect."""
        self._closing = False
        self._abandoned = False
        """Closed while it opened: pika then fails on an assertion of its own, after it has closed the socket."""
        self._lock = threading.Lock()
        self._thread = ServiceThread(self._run, name, lambda: self._closing)

    def start(self) -> None:
        """Begin to connect: what `on_up` and `on_down` need is there, the caller's reference to this link included."""
        self._thread.start()

    def call(self, function: Callable[[], None]) -> bool:
        """Run `function` on the link's thread soon; return False if the link is closed."""
        with self._lock:
            if self._closing:
                return False
            self._loop.add_callback_threadsafe(lambda: self._guarded(function))
            return True

    def call_later(self, seconds: float, function: Callable[[], None]) -> None:
        """Run `function` after a while. Only from the link's own thread."""
        self._loop.call_later(seconds, lambda: self._guarded(function))

    def close(self) -> None:
        """Close the connection after everything that was called before, and end the thread."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._loop.add_callback_threadsafe(self._shut)
        self._thread.join()

    # ── on the link's thread ────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        self._connect()
        while True:
            try:
                self._loop.start()
                break
            except Exception as error:
                if self._abandoned:
                    break
                if isinstance(error, pika.exceptions.ConnectionWrongStateError) and self._is_well():
                    log.debug("a time limit of an attempt that is over", extra=with_fields(error=error))
                else:
                    log.exception("unexpected error on the connection's thread")
                    self._drop()
                if self._connection is None:
                    self._connect_in(_RECONNECT_CAP)  # pika forgets the timers that were due with one that failed
        self._loop.close()

    def _guarded(self, function: Callable[[], None]) -> None:
        """Call; finding the channel gone is no accident: the connection is going down, or is dropped here."""
        try:
            function()
        except pika.exceptions.AMQPError as error:
            log.debug("call on a broken connection", extra=with_fields(error=repr(error)))
            self._drop()

    def _is_well(self) -> bool:
        """Whether the connection is open, or is going to be opened again.

        pika leaves the timer of an attempt to connect behind, which fails if it fires after the attempt.
        """
        return self._connection is None or self._connection.is_open

    def _drop(self) -> None:
        if self._connection is not None and not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()

    def _connect(self) -> None:
        self._attempt = None
        if self._closing:
            return
        try:
            self._connection = pika.SelectConnection(
                self._params,
                on_open_callback=self._opened,
                on_open_error_callback=lambda _, error: self._lost(error),
                on_close_callback=lambda _, error: self._lost(error),
                custom_ioloop=self._loop,
            )
        except OSError as error:  # such as too many open files
            self._lost(error)

    def _opened(self, connection: Any) -> None:
        if self._closing:
            connection.close()
            return
        if self._failures:
            log.info("connected to RabbitMQ again")
        self._failures = 0
        self._on_up(connection)

    def _lost(self, error: BaseException) -> None:
        reason = f"RabbitMQ at {self._params.host}:{self._params.port}: {describe(error)}"
        self._connection = None
        self._on_down(reason)
        if self._closing:
            self._loop.stop()
            return
        if self._failures == 0:
            log.warning("lost the connection, trying again", extra=with_fields(error=reason))
            metrics.BUS_RECONNECTS.inc()
        self._params = next(self._hosts)
        self._connect_in(backoff(self._failures, cap=_RECONNECT_CAP))
        self._failures += 1

    def _connect_in(self, seconds: float) -> None:
        if self._attempt is not None:
            self._loop.remove_timeout(self._attempt)
        self._attempt = self._loop.call_later(seconds, self._connect)

    def _shut(self) -> None:
        """End the loop, at once if there is no connection, else when it is closed or has had its time."""
        if self._connection is None:
            self._loop.stop()
            return
        self._loop.call_later(5.0, self._loop.stop)
        self._abandoned = not self._connection.is_open
        self._drop()


def describe(error: BaseException) -> str:
    """Return the innermost cause of an error as one line: pika wraps it several times."""
    causes = [*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args]
    inner = [cause for cause in causes if isinstance(cause, BaseException)]
    if inner:
        return describe(inner[-1])
    if isinstance(error, (pika.exceptions.ConnectionClosed, pika.exceptions.ChannelClosed)):
        return f"{error.reply_code} {error.reply_text}"
    return str(error) or type(error).__name__
