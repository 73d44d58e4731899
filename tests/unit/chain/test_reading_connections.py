"""The connections that reads use: kept, given up, and replaced by the rules of the client."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.chain.store import ReadingConnections


class Connection:
    def __init__(self, retries: int) -> None:
        self.retry = Retry(NoBackoff(), retries)
        self.closed = False

    def disconnect(self) -> None:
        self.closed = True


class Pool:
    def __init__(self, retries: int = 1) -> None:
        self.made: list[Connection] = []
        self._retries = retries

    def make_connection(self) -> Connection:
        self.made.append(Connection(self._retries))
        return self.made[-1]


def failing(*errors: Exception) -> object:
    left = list(errors)

    def read(connection: Connection) -> Connection:
        assert not connection.closed
        if left:
            raise left.pop(0)
        return connection

    return read


def test_a_connection_is_used_again() -> None:
    pool = Pool()
    reading = ReadingConnections(pool)
    assert {reading.run(failing()) for _ in range(5)} == {pool.made[0]}
    assert len(pool.made) == 1


@pytest.mark.parametrize("error", [redis.ConnectionError("x"), redis.TimeoutError("x")])
@pytest.mark.parametrize("retries", [0, 1])
def test_a_server_that_is_away_is_asked_as_often_as_the_client_says(error: Exception, retries: int) -> None:
    pool = Pool(retries)
    reading = ReadingConnections(pool)
    with pytest.raises(type(error)):
        reading.run(failing(*[error] * (retries + 1)))
    assert [connection.closed for connection in pool.made] == [True] * (retries + 1)
    assert reading.run(failing(*[error] * retries)) is pool.made[-1]


def test_connections_that_were_closed_while_idle_do_not_count_as_tries() -> None:
    pool = Pool(0)
    reading = ReadingConnections(pool)
    together = threading.Barrier(3)

    def wait(connection: Connection) -> None:
        together.wait(20)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(reading.run, [wait] * 3))
    assert len(pool.made) == 3
    assert reading.run(failing(redis.ConnectionError("closed"))) is pool.made[3]
    assert [connection.closed for connection in pool.made] == [True, True, True, False]


def test_a_read_that_came_too_late_is_not_asked_for_again_where_the_client_does_not() -> None:
    pool = Pool(0)
    reading = ReadingConnections(pool)
    reading.run(failing())
    with pytest.raises(redis.TimeoutError):
        reading.run(failing(redis.TimeoutError("late")))
    assert pool.made[0].closed


def test_an_error_reply_leaves_the_connection_whole() -> None:
    pool = Pool()
    reading = ReadingConnections(pool)
    with pytest.raises(redis.ResponseError):
        reading.run(failing(redis.ResponseError("WRONGTYPE")))
    assert reading.run(failing()) is pool.made[0]


def test_an_interrupted_read_leaves_no_connection_with_a_reply_on_it() -> None:
    pool = Pool()
    reading = ReadingConnections(pool)

    def interrupt(connection: Connection) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reading.run(interrupt)
    assert pool.made[0].closed
    assert reading.run(failing()) is pool.made[1]


def test_no_two_threads_use_a_connection_at_a_time() -> None:
    pool = Pool()
    reading = ReadingConnections(pool)
    used: Counter[Connection] = Counter()
    most: list[int] = []

    def read(connection: Connection) -> None:
        used[connection] += 1
        most.append(used[connection])
        used[connection] -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(reading.run, [read] * 4_000))
    assert max(most) == 1
    assert len(pool.made) <= 8


def test_closing_closes_what_is_idle() -> None:
    pool = Pool()
    reading = ReadingConnections(pool)
    reading.run(failing())
    reading.close()
    assert pool.made[0].closed
    assert reading.run(failing()) is pool.made[1]
