"""The connections that reads use: kept, given up, and replaced by the rules of the client."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.chain import reads
from shared.chain.reads import NotAtOnce, ReadingConnections, expect_bytes, in_a_hurry

T = TypeVar("T")


class Connection:
    def __init__(self, retries: int) -> None:
        self.retry = Retry(NoBackoff(), retries)
        self.connects = 0
        self.closed = False

    def connect(self) -> None:
        self.connects += 1

    def disconnect(self) -> None:
        self.closed = True


class Pool:
    def __init__(self, retries: int = 1) -> None:
        self.made: list[Connection] = []
        self._retries = retries

    def make_connection(self) -> Connection:
        self.made.append(Connection(self._retries))
        return self.made[-1]


def run(reading: ReadingConnections, receive: Callable[[Connection], T]) -> T:
    return reading.run(lambda connection, check_health: None, receive)


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
    assert {run(reading, failing()) for _ in range(5)} == {pool.made[0]}
    assert [connection.connects for connection in pool.made] == [1], "by itself it would not ask the Sentinels where"


@pytest.mark.parametrize("error", [redis.ConnectionError("x"), redis.TimeoutError("x")])
@pytest.mark.parametrize("retries", [0, 1])
def test_a_server_that_is_away_is_asked_as_often_as_the_client_says(error: Exception, retries: int) -> None:
    pool = Pool(retries)
    reading = ReadingConnections(pool)
    with pytest.raises(type(error)):
        run(reading, failing(*[error] * (retries + 1)))
    assert [connection.closed for connection in pool.made] == [True] * (retries + 1)
    assert run(reading, failing(*[error] * retries)) is pool.made[-1]


def leave_idle(reading: ReadingConnections, count: int) -> None:
    together = threading.Barrier(count)

    def wait(connection: Connection) -> None:
        together.wait(20)

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(partial(run, reading), [wait] * count))


def test_connections_that_were_closed_while_idle_do_not_count_as_tries() -> None:
    pool = Pool(0)
    reading = ReadingConnections(pool)
    leave_idle(reading, 3)
    assert run(reading, failing(redis.ConnectionError("closed"))) is pool.made[3]
    assert [connection.closed for connection in pool.made] == [True, True, True, False]


def test_a_server_that_hangs_is_waited_for_once_and_not_by_each_idle_connection() -> None:
    pool = Pool(0)
    reading = ReadingConnections(pool)
    leave_idle(reading, 3)
    with pytest.raises(redis.TimeoutError):
        run(reading, failing(redis.TimeoutError("no answer")))
    assert run(reading, failing()) is pool.made[3]
    assert [connection.closed for connection in pool.made] == [True, True, True, False]


def test_a_read_that_came_too_late_is_not_asked_for_again_where_the_client_does_not() -> None:
    pool = Pool(0)
    reading = ReadingConnections(pool)
    run(reading, failing())
    with pytest.raises(redis.TimeoutError):
        run(reading, failing(redis.TimeoutError("late")))
    assert pool.made[0].closed


def test_an_error_reply_leaves_the_connection_whole() -> None:
    pool = Pool()
    reading = ReadingConnections(pool)
    with pytest.raises(redis.ResponseError):
        run(reading, failing(redis.ResponseError("WRONGTYPE")))
    assert run(reading, failing()) is pool.made[0]


def test_an_interrupted_read_leaves_no_connection_with_a_reply_on_it() -> None:
    pool = Pool()
    reading = ReadingConnections(pool)

    def interrupt(connection: Connection) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(reading, interrupt)
    assert pool.made[0].closed
    assert run(reading, failing()) is pool.made[1]


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
        list(threads.map(partial(run, reading), [read] * 4_000))
    assert max(most) == 1
    assert len(pool.made) <= 8


def test_closing_closes_what_is_idle() -> None:
    pool = Pool()
    reading = ReadingConnections(pool)
    run(reading, failing())
    reading.close()
    assert pool.made[0].closed
    assert run(reading, failing()) is pool.made[1]


class Slow(Connection):
    """A connection whose server answers, or not."""

    def __init__(self, retries: int, answers: bool) -> None:
        super().__init__(retries)
        self.answers = answers
        self.asked_for: list[float] = []

    def can_read(self, timeout: float) -> bool:
        self.asked_for.append(timeout)
        return self.answers


class SlowPool(Pool):
    answers = True

    def make_connection(self) -> Connection:
        self.made.append(Slow(1, self.answers))
        return self.made[-1]


def test_a_read_in_a_hurry_uses_a_connection_that_is_there_and_makes_none() -> None:
    pool = SlowPool()
    reading = ReadingConnections(pool)
    with in_a_hurry(), pytest.raises(NotAtOnce):
        run(reading, failing())
    assert pool.made == []
    run(reading, failing())
    with in_a_hurry():
        assert run(reading, failing()) is pool.made[0]
    assert pool.made[0].asked_for == [reads.HURRY_SECONDS] == [0.005]


def test_after_a_read_that_was_too_slow_nobody_hurries_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(reads.time, "monotonic", lambda: now[0])
    pool = SlowPool()
    pool.answers = False
    reading = ReadingConnections(pool)
    run(reading, failing())
    with in_a_hurry(), pytest.raises(NotAtOnce, match="is slow"):
        run(reading, failing())
    assert pool.made[0].closed, "its answer may still come"
    assert run(reading, failing()) is pool.made[1]
    now[0] += reads.CALM_SECONDS - 0.01
    with in_a_hurry(), pytest.raises(NotAtOnce, match="just now"):
        run(reading, failing())
    now[0] += 0.02
    pool.made[1].answers = True
    with in_a_hurry():
        assert run(reading, failing()) is pool.made[1]


@pytest.mark.parametrize("error", [redis.ConnectionError("closed"), redis.TimeoutError("late")])
def test_a_read_in_a_hurry_is_not_tried_again(error: Exception) -> None:
    pool = SlowPool()
    reading = ReadingConnections(pool)
    run(reading, failing())
    with in_a_hurry(), pytest.raises(NotAtOnce):
        run(reading, failing(error))
    assert pool.made[0].closed
    assert run(reading, failing()) is pool.made[1]


def test_an_error_reply_in_a_hurry_is_an_error_reply() -> None:
    pool = SlowPool()
    reading = ReadingConnections(pool)
    run(reading, failing())
    with in_a_hurry(), pytest.raises(redis.ResponseError):
        run(reading, failing(redis.ResponseError("WRONGTYPE")))
    with in_a_hurry():
        assert run(reading, failing()) is pool.made[0]


def test_large_values_are_too_much_in_a_hurry_only() -> None:
    expect_bytes(reads.HURRIED_BYTES + 1)
    with in_a_hurry():
        expect_bytes(reads.HURRIED_BYTES)
        with pytest.raises(NotAtOnce):
            expect_bytes(reads.HURRIED_BYTES + 1)
    expect_bytes(reads.HURRIED_BYTES + 1)
