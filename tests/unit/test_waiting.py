"""Coroutines that wait without a thread, as their drivers see them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import suppress

import pytest

from shared.process import waiting
from shared.process.waiting import THREAD, Turns, WaitFor, on_thread, pause


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


def test_a_coroutine_that_asks_for_a_thread_goes_on_at_once_where_it_has_one() -> None:
    async def blocking() -> str:
        await on_thread()
        return "done"

    assert waiting.run(blocking()) == "done"
    coroutine = blocking()
    assert coroutine.send(None) is THREAD
    coroutine.close()


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


def test_a_coroutine_that_takes_too_long_is_told_where_it_waits() -> None:
    turns = Turns()

    async def works() -> str:
        with await turns.take(1):
            try:
                await WaitFor(Future(), 20)
            except TimeoutError:
                return "told"
        return "not told"

    began = time.monotonic()
    assert waiting.run(works(), 0.05) == "told"
    assert time.monotonic() - began < 10
    waiting.run(turns.take(0))
    with pytest.raises(TimeoutError):
        waiting.run(pause(20), -1)


def test_a_coroutine_in_time_is_told_nothing() -> None:
    future: Future[int] = Future()
    threading.Timer(0.05, future.set_result, (3,)).start()
    assert waiting.run(doubled(future, 20), 20) == 6
    assert waiting.run(doubled(Future(), 0.05), 20) is None
    future = Future()
    future.set_result(4)
    assert waiting.run(doubled(future, 20), -1) == 8


def test_a_pause_takes_its_time() -> None:
    began = time.monotonic()
    waiting.run(pause(0.05))
    assert time.monotonic() - began >= 0.05


def test_turns_are_given_one_at_a_time_in_order() -> None:
    turns = Turns()
    first = waiting.run(turns.take(1))
    later = [turns.take(1) for _ in range(2)]
    waits = [coroutine.send(None) for coroutine in later]
    assert [wait.future.done() for wait in waits] == [False, False]
    with first:
        pass
    assert [wait.future.done() for wait in waits] == [True, False]
    with pytest.raises(StopIteration) as end:
        later[0].send(None)
    with suppress(ValueError), end.value.value:
        assert not waits[1].future.done()
        raise ValueError("a turn ends with an error, too")
    assert waits[1].future.done()


def test_a_turn_that_does_not_come_in_time_goes_to_the_next_one() -> None:
    turns = Turns()
    first = waiting.run(turns.take(1))
    with pytest.raises(TimeoutError):
        waiting.run(turns.take(0))
    with pytest.raises(TimeoutError):
        waiting.run(turns.take(0.01))
    with first:
        pass
    with waiting.run(turns.take(0)):
        pass


def test_a_turn_whose_coroutine_is_closed_is_passed_on() -> None:
    turns = Turns()
    first = waiting.run(turns.take(1))
    waiting_, late, last = (turns.take(1) for _ in range(3))
    for coroutine in (waiting_, late, last):
        coroutine.send(None)
    waiting_.close()
    with first:
        pass
    late.close()  # it had the turn, and did not know yet
    with pytest.raises(StopIteration) as end:
        last.send(None)
    with end.value.value:
        pass
    with waiting.run(turns.take(0)):
        pass


def test_threads_pass_one_at_a_time() -> None:
    turns, inside, most = Turns(), [], []

    def work() -> None:
        for _ in range(50):
            with waiting.run(turns.take(30)):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 200
    assert max(most) == 1
