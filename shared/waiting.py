"""Waiting that holds no thread: a coroutine says which future it waits for, and its driver knows how to wait.

A function that waits for another service is an `async def`. The HTTP server drives it for a view: each step runs on a
thread, and between two steps only the event loop waits (shared/web/threads.py). `run` drives it on the caller's thread
from beginning to end, for consumers of the bus and for tests.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WaitFor:
    """What a coroutine gives its driver: the future that it waits for, and for how many seconds at most."""

    future: Future[Any]
    seconds: float

    def __await__(self) -> Generator[WaitFor, None, bool]:
        """Wait; return whether the future is done. Its result or exception is for the caller to take."""
        if not self.future.done() and self.seconds > 0:
            yield self
        return self.future.done()


async def pause(seconds: float) -> None:
    """Do nothing for a while."""
    await WaitFor(Future(), seconds)


def run(coroutine: Coroutine[Any, None, T]) -> T:
    """Run a coroutine to its end on this thread, which waits as long as the coroutine does."""
    while True:
        try:
            wait = coroutine.send(None)
        except StopIteration as end:
            result: T = end.value
            return result
        with suppress(TimeoutError, CancelledError):
            wait.future.exception(wait.seconds)
