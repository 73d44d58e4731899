"""Orderly shutdown: the first signal asks every loop to drain, the second ends the process at once."""

from __future__ import annotations

import _thread
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

_LONGEST_WAIT = 1.0
"""Seconds. Signal handlers run on the main thread, which stays asleep if the system delivers to another thread."""


class ExitFlag:
    """A flag that is set when the process should stop; every long loop polls it or waits on it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask every loop to stop."""
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
    """Let the first signal set `flag` and the second end the process at once. Main thread only."""
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
