"""Starts the threads of a service; a thread that ends unasked ends the process.

The process ends in order and with status 1, and its supervisor starts it again. A restart of the thread alone would
keep the memory that the fault left (locks held, half a batch taken), while a new process takes everything from Redis
and the broker, where whatever was acknowledged is safe. `shutdown.install` sets the hook that ends the process; without
it, Python prints the traceback.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class EndedUnasked(RuntimeError):
    """A thread returned while nobody had asked it to."""


class ServiceThread(threading.Thread):
    """A thread that runs `work` until its owner asks it to end, which `is_over` says; it keeps no process alive."""

    def __init__(self, work: Callable[[], None], name: str, is_over: Callable[[], bool]) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._is_over = is_over

    def run(self) -> None:
        """Do the work; `EndedUnasked` if it returns too soon."""
        self._work()
        if not self._is_over():
            raise EndedUnasked(f"the thread {self.name} has ended")
