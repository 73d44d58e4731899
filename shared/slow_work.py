"""Calls that take a core for long, such as scrypt, on a few threads of their own: they never hold the HTTP threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from shared.durations import HOUR
from shared.errors import WarrenError
from shared.service_thread import ServiceThread
from shared.waiting import WaitFor

T = TypeVar("T")


class Overloaded(WarrenError):
    """So many slow calls wait that one more would not begin in time."""


class SlowWork:
    """Runs slow calls on `threads` threads; a call that has not begun after `patience` seconds is given up."""

    def __init__(self, threads: int, name: str, patience: float) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._patience = patience
        for number in range(threads):
            ServiceThread(self._work, f"{name}-{number}", lambda: False).start()

    async def run(self, call: Callable[[], T]) -> T:
        """Return the call's result, or raise its exception; raises `Overloaded`."""
        future: Future[T] = Future()
        self._calls.put((future, partial(copy_context().run, call)))
        try:
            if not await WaitFor(future, self._patience) and future.cancel():
                raise Overloaded("too much slow work is under way, try again later")
            await WaitFor(future, HOUR)
        finally:
            future.cancel()  # a caller that gives up leaves its place in the queue
        return future.result()

    def _work(self) -> None:
        while True:
            future, call = self._calls.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except Exception as error:
                future.set_exception(error)
            del future, call
