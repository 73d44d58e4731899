"""A fixed number of threads for calls that would block an event loop, and for the steps of coroutines that wait.

The threads are daemons: a call that outlasts an orderly stop does not keep the process alive, as one in
`concurrent.futures` would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from shared.errors import BrokerUnavailable
from shared.process.thread import ServiceThread
from shared.process.waiting import THREAD, WaitFor

T = TypeVar("T")

_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Threads:
    """Runs calls for coroutines; a call that finds every thread busy waits its turn."""

    def __init__(self, count: int, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._is_closed = False
        self._threads = [ServiceThread(self._work, f"{name}-{number}", self._over) for number in range(count)]
        for thread in self._threads:
            thread.start()

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` on a thread, in a copy of the context; return its result or raise its exception."""
        return await self._put(partial(copy_context().run, call))

    async def drive(
        self, coroutine: Coroutine[Any, None, T], stopping: asyncio.Future[None], *, starts_here: bool = False
    ) -> T:
        """Run a coroutine of shared/process/waiting.py to its end, each step on a thread; while it waits it holds none.

        With `starts_here` steps run on the event loop until it asks for a thread (`on_thread`): a step of microseconds
        costs less than its way to a thread and back. All steps share one copy of the context. A coroutine that still
        waits once `stopping` is done gets `BrokerUnavailable` instead of what it waits for.
        """
        context = copy_context()
        is_here = starts_here
        resume: Callable[[], WaitFor] = partial(coroutine.send, None)
        while True:
            if is_here:
                wait, result = context.run(_step, resume)
            else:
                wait, result = await self._put(partial(context.run, _step_on_thread, resume, coroutine))
            if wait is None:
                return result  # type: ignore[no-any-return]
            if wait is THREAD:
                is_here = False
                resume = partial(coroutine.send, None)
                continue
            try:
                await _until(wait, stopping)
            except asyncio.CancelledError:
                self._put(partial(context.run, coroutine.close))
                raise
            resume = partial(coroutine.send, None)
            if stopping.done() and not wait.future.done():
                resume = partial(coroutine.throw, BrokerUnavailable("this service is stopping"))

    def close(self) -> None:
        """Let each thread end after its present call, without waiting for it."""
        self._is_closed = True
        for _ in self._threads:
            self._jobs.put(None)

    def _over(self) -> bool:
        return self._is_closed

    def _put(self, call: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((loop, future, call))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, future, call = job
            if future.cancelled():
                continue
            try:
                answer, error = call(), None
            except Exception as raised:
                answer, error = None, raised
            _call_soon(loop, _settle, future, answer, error)
            del job, future, call, answer, error


def _step(resume: Callable[[], WaitFor]) -> tuple[WaitFor | None, Any]:
    """Return what a coroutine waits for next, or None and the result at its end."""
    try:
        return resume(), None
    except StopIteration as end:
        return None, end.value


def _step_on_thread(resume: Callable[[], WaitFor], coroutine: Coroutine[Any, None, Any]) -> tuple[WaitFor | None, Any]:
    wait, result = _step(resume)
    while wait is THREAD:
        wait, result = _step(partial(coroutine.send, None))
    return wait, result


async def _until(wait: WaitFor, stopping: asyncio.Future[None]) -> None:
    """Wait for the future as long as its coroutine wants to, but not beyond `stopping`."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def end(_: object = None) -> None:
        _settle(over, None, None)

    wait.future.add_done_callback(lambda _: _call_soon(loop, end))
    stopping.add_done_callback(end)
    timer = loop.call_later(wait.seconds, end)
    try:
        await over
    finally:
        timer.cancel()
        stopping.remove_done_callback(end)


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: Any) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(call, *args)


def _settle(future: asyncio.Future[Any], answer: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
