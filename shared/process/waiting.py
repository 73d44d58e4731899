"""Waiting that holds no thread: a coroutine says which future it waits for, and its driver knows how to wait.

A function that waits for another service is an `async def`. The HTTP server drives it for a view: each step runs on a
thread, and between two steps only the event loop waits (shared/web/threads.py). `run` drives it on the caller's thread
from beginning to end, for consumers of the bus and for tests.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Coroutine, Generator, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WaitFor:
    """A coroutine's order to its driver: wait for this future, for so many seconds at most."""

    future: Future[Any]
    seconds: float

    def __await__(self) -> Generator[WaitFor, None, bool]:
        """Wait; return whether the future is done. Its result or exception is for the caller to take."""
        if not self.future.done() and self.seconds > 0:
            yield self
        return self.future.done()


THREAD = WaitFor(Future(), 0.0)
"""A coroutine's order to its driver: go on with me on a thread, where I may block."""
THREAD.future.set_result(None)


class on_thread:  # noqa: N801  (awaited like a function)
    """`await on_thread()`: from here on the coroutine may block, be it that its first steps ran on an event loop."""

    __slots__ = ()

    def __await__(self) -> Generator[WaitFor, None, None]:
        """Tell the driver."""
        yield THREAD


class Turns:
    """Lets coroutines pass one at a time, in the order in which they came. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: deque[Future[None]] = deque()
        self._is_taken = False

    async def take(self, patience: float) -> AbstractContextManager[None]:
        """Wait for a turn and return it, to be held by `with`; raises `TimeoutError` after `patience` seconds."""
        turn: Future[None] = Future()
        with self._lock:
            self._waiting.append(turn)
            if not self._is_taken:
                self._pass_on()
        is_ours = False
        try:
            is_ours = await WaitFor(turn, patience)
        finally:
            with self._lock:
                if not turn.done():
                    self._waiting.remove(turn)
                elif not is_ours:  # it came at the last moment
                    self._pass_on()
        if not is_ours:
            raise TimeoutError
        return self._held()

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._pass_on()

    def _pass_on(self) -> None:
        self._is_taken = bool(self._waiting)
        if self._waiting:
            self._waiting.popleft().set_result(None)


async def pause(seconds: float) -> None:
    """Do nothing for a while."""
    await WaitFor(Future(), seconds)


def run(coroutine: Coroutine[Any, None, T], seconds: float = math.inf) -> T:
    """Run a coroutine to its end on this thread, which waits as long as the coroutine does.

    A coroutine that still waits after `seconds` gets `TimeoutError` instead of what it waits for.
    """
    deadline = time.monotonic() + seconds
    resume = partial(coroutine.send, None)
    while True:
        try:
            wait = resume()
        except StopIteration as end:
            result: T = end.value
            return result
        left = max(0.0, deadline - time.monotonic())
        with suppress(TimeoutError, CancelledError):
            wait.future.exception(min(wait.seconds, left))
        resume = partial(coroutine.send, None)
        if left < wait.seconds and not wait.future.done():
            resume = partial(coroutine.throw, TimeoutError(f"not done within {seconds:.0f} s"))
