"""The connections for reads of Redis, with redis-py's rules and half of the cost of its pool.

A read on an event loop is done in a hurry: it gets its answer within milliseconds, or `NotAtOnce`, and is then done on
a thread, which waits and tries again as the client says.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import redis

from shared.errors import StoreError

T = TypeVar("T")

READS = frozenset(
    (
        *("EXISTS", "GET", "GETRANGE", "MGET"),
        *("HGET", "HGETALL", "HLEN", "HMGET", "HVALS"),
        *("SCARD", "SMEMBERS", "XRANGE", "ZCARD", "ZRANGE", "ZREVRANGE"),
    )
)
"""Commands that change nothing and do not wait: they may be sent again."""

HURRY_SECONDS = 0.005
"""Within which a read in a hurry is answered: all that the event loop serves waits for it."""
CALM_SECONDS = 0.25
"""After a read that was not, nobody hurries for so long: a server that stalls delays an event loop by 2 %."""
HURRIED_BYTES = 16 * 1024
"""The largest value that is read, and worked at, in a hurry."""

_AWAY = (redis.ConnectionError, redis.TimeoutError)
_is_hurried: ContextVar[bool] = ContextVar("hurried", default=False)


class NotAtOnce(StoreError):
    """A read in a hurry is not answered in time, or would not be."""


@contextmanager
def in_a_hurry() -> Iterator[None]:
    """Let the reads inside raise `NotAtOnce` rather than wait."""
    token = _is_hurried.set(True)
    try:
        yield
    finally:
        _is_hurried.reset(token)


def expect_bytes(count: int) -> None:
    """Raise `NotAtOnce` in a hurry if a value of so many bytes is too large for that."""
    if count > HURRIED_BYTES and _is_hurried.get():
        raise NotAtOnce("the value is large")


class ReadingConnections:
    """The connections of one client, each used by one thread at a time.

    A server that does not answer is asked as often as the client's `Retry` says. A connection that was closed while
    nobody used it, by a restart or a failover, does not count: the read gets a new one.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._idle: deque[Any] = deque()
        """Its `pop` and `append` are atomic, so it needs no lock."""
        self._calm_until = 0.0

    def run(self, send: Callable[[Any, bool], object], receive: Callable[[Any], T]) -> T:
        """Return the result of `receive` after `send`, which both get a connection and leave no reply unread.

        `send` is told whether it may look first if a connection that was long idle still works.
        """
        if _is_hurried.get():
            return self._run_at_once(send, receive)
        failures = 0
        while True:
            try:
                connection, was_idle = self._idle.pop(), True
            except IndexError:
                connection, was_idle = self._pool.make_connection(), False
            try:
                if not was_idle:
                    connection.connect()  # unlike a command, it asks the Sentinels where the primary is
                send(connection, True)
                return self._received(connection, receive)
            except _AWAY as error:
                connection.disconnect()
                self.close()  # the others lead to the same server, which has gone or hangs
                if was_idle and isinstance(error, redis.ConnectionError):
                    continue
                if failures == connection.retry.get_retries():
                    raise
                failures += 1

    def _run_at_once(self, send: Callable[[Any, bool], object], receive: Callable[[Any], T]) -> T:
        if time.monotonic() < self._calm_until:
            raise NotAtOnce("the server was slow just now")
        try:
            connection = self._idle.pop()
        except IndexError:
            raise NotAtOnce("no connection is there") from None
        try:
            send(connection, False)
            if connection.can_read(HURRY_SECONDS):
                return self._received(connection, receive)
        except _AWAY:
            connection.disconnect()
            raise NotAtOnce("the connection was closed") from None
        connection.disconnect()
        self._calm_until = time.monotonic() + CALM_SECONDS
        raise NotAtOnce("the server is slow")

    def _received(self, connection: Any, receive: Callable[[Any], T]) -> T:
        try:
            result = receive(connection)
        except redis.ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            connection.disconnect()
            raise
        self._idle.append(connection)
        return result

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:  # another thread took the last one
                return
