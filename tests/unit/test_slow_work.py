"""Slow calls: on threads of their own, a bounded number at a time, and none waits for long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from shared import waiting
from shared.slow_work import Overloaded, SlowWork

PATIENCE = 20.0
NAME: ContextVar[str] = ContextVar("NAME", default="")


def test_a_call_runs_on_a_thread_of_the_pool_in_the_callers_context() -> None:
    slow = SlowWork(1, "slow", PATIENCE)
    NAME.set("mine")
    assert waiting.run(slow.run(lambda: (threading.current_thread().name, NAME.get()))) == ("slow-0", "mine")


def test_its_exception_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        waiting.run(SlowWork(1, "slow", PATIENCE).run(lambda: 1 // 0))


def test_no_more_run_at_once_than_there_are_threads() -> None:
    slow = SlowWork(2, "slow", PATIENCE)
    running, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(PATIENCE)
        with lock:
            running -= 1

    with ThreadPoolExecutor(8) as callers:
        for done in [callers.submit(waiting.run, slow.run(call)) for _ in range(8)]:
            done.result(PATIENCE)
    assert most == 2


def test_a_call_that_cannot_begin_in_time_is_given_up_and_one_that_has_begun_is_not() -> None:
    slow = SlowWork(1, "slow", 0.1)
    begun, release = threading.Event(), threading.Event()

    def hold() -> str:
        begun.set()
        assert release.wait(PATIENCE)
        return "done"

    with ThreadPoolExecutor(1) as callers:
        first = callers.submit(waiting.run, slow.run(hold))
        assert begun.wait(PATIENCE)
        with pytest.raises(Overloaded):
            waiting.run(slow.run(lambda: None))
        release.set()
        assert first.result(PATIENCE) == "done"
    assert waiting.run(slow.run(lambda: "again")) == "again"


def test_a_caller_that_gives_up_leaves_the_queue() -> None:
    slow = SlowWork(1, "slow", PATIENCE)
    begun, release = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert release.wait(PATIENCE)

    first, second = slow.run(hold), slow.run(lambda: pytest.fail("nobody wants it any more"))
    held = first.send(None).future
    assert begun.wait(PATIENCE)
    given_up = second.send(None).future
    second.close()
    assert given_up.cancelled()
    first.close()
    release.set()
    held.result(PATIENCE)
