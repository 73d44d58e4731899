"""Coroutines that wait without a thread, as their drivers see them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest

from shared import waiting
from shared.waiting import WaitFor, pause


async def doubled(future: Future[int], seconds: float) -> int | None:
    return 2 * future.result() if await WaitFor(future, seconds) else None


def test_a_future_that_is_done_is_not_waited_for() -> None:
    future: Future[int] = Future()
    future.set_result(21)
    with pytest.raises(StopIteration) as end:
        doubled(future, 1).send(None)
    assert end.value.value == 42


def test_a_coroutine_gives_its_driver_what_it_waits_for() -> None:
    future: Future[int] = Future()
    coroutine = doubled(future, 5)
    assert coroutine.send(None) == WaitFor(future, 5)
    future.set_result(4)
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    assert end.value.value == 8


def test_run_waits_for_the_future() -> None:
    future: Future[int] = Future()
    threading.Timer(0.05, future.set_result, (3,)).start()
    assert waiting.run(doubled(future, 20)) == 6


@pytest.mark.parametrize("seconds", [0.05, 0, -1])
def test_the_time_to_wait_ends(seconds: float) -> None:
    assert waiting.run(doubled(Future(), seconds)) is None


def test_an_exception_of_the_future_is_the_coroutines_to_take() -> None:
    future: Future[int] = Future()
    threading.Timer(0.05, future.set_exception, (KeyError("x"),)).start()
    with pytest.raises(KeyError):
        waiting.run(doubled(future, 20))


def test_a_future_that_was_cancelled_ends_the_wait() -> None:
    async def is_cancelled(future: Future[int]) -> bool:
        return await WaitFor(future, 20) and future.cancelled()

    future: Future[int] = Future()
    threading.Timer(0.05, future.cancel).start()
    assert waiting.run(is_cancelled(future))


def test_a_pause_takes_its_time() -> None:
    began = time.monotonic()
    waiting.run(pause(0.05))
    assert time.monotonic() - began >= 0.05
