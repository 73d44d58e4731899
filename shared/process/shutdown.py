"""Orderly shutdown: the first signal asks every loop to drain, the second ends the process at once.

A thread that dies of an exception asks for the same shutdown, with the exit status 1.
"""

from __future__ import annotations

import _thread
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)

_LAST_SECONDS = 15.0
"""Seconds in which a process whose thread died may end in order: less than its supervisor gives it."""
_LONGEST_WAIT = 1.0
"""Seconds. Signal handlers run on the main thread, which stays asleep if the system delivers to another thread."""


class ExitFlag:
    """A flag that is set when the process should stop; every long loop polls it or waits on it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.status = 0
        """The exit status of the process: 1 if a fault has set the flag."""

    def set(self) -> None:
        """Ask every loop to stop."""
        self._event.set()

    def fail(self) -> None:
        """Ask every loop to stop because of a fault."""
        self.status = 1
        self._event.set()

    def is_set(self) -> bool:
        """Whether the process should stop."""
        return self._event.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep up to `seconds` (for ever if None) or until the flag is set; return whether it is set."""
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        while not self._event.wait(min(_LONGEST_WAIT, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                break
        return self._event.is_set()


def on_request(stop: Callable[[int], None]) -> None:
    """Call `stop` with each signal that asks the process to end. Main thread only.

    Overrides the signal state inherited from the parent: a shell starts the background jobs of a script with SIGINT
    ignored, and some programs start theirs with signals blocked. Only an ignored SIGHUP stays ignored, for `nohup`. A
    closing terminal may send SIGHUP several times: a later SIGHUP does not hurry the shutdown.
    """
    is_asked = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal is_asked
        if number == signal.SIGHUP and is_asked:
            return
        is_asked = True
        stop(number)

    numbers = {signal.SIGINT, signal.SIGTERM}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.add(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def install(flag: ExitFlag) -> None:
    """Let the first signal set `flag`, and the second end the process at once; a dead thread sets it too.

    Main thread only.
    """
    is_asked = False

    def stop(number: int) -> None:
        nonlocal is_asked
        if is_asked or flag.is_set():
            os._exit(128 + number)
        is_asked = True
        # Set on another thread: this one may have been interrupted while it holds the flag's lock, and would wait for
        # itself. `threading.Thread` takes locks too, so this uses `_thread`.
        _thread.start_new_thread(flag.set, ())

    on_request(stop)
    threading.excepthook = lambda dead: _thread_died(dead, flag)


def _thread_died(dead: threading.ExceptHookArgs, flag: ExitFlag) -> None:
    """End the process in order, or after a while without it: what the thread held may keep others from ending."""
    name = dead.thread.name if dead.thread is not None else "unknown"
    error = dead.exc_value or dead.exc_type()
    try:
        log.critical("the thread %s has died, the service ends", name, exc_info=error)
    finally:
        _thread.start_new_thread(_end_at_last, ())
        flag.fail()


def _end_at_last() -> None:
    time.sleep(_LAST_SECONDS)
    log.critical("the service does not end in order, and is ended")
    os._exit(1)
