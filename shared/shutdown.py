"""Stopping in order: the first signal asks every loop to drain, the second ends the process at once."""

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
"""Seconds. Handlers of signals run on the main thread, which is not woken if the system gave the signal to another."""


class ExitFlag:
    """Set once, when the process should stop; every long loop polls it or waits on it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask every loop to stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether the process should stop."""
        return self._event.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep up to `seconds` (for ever if None), less if the flag is set meanwhile; return whether it is set."""
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        while not self._event.wait(min(_LONGEST_WAIT, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                break
        return self._event.is_set()


def on_request(stop: Callable[[int], None]) -> None:
    """Call `stop` with each signal that asks the process to end. Main thread only.

    What the parent left does not matter: a shell starts the background jobs of a script with SIGINT ignored, some
    programs start theirs with signals blocked. Only a SIGHUP that is ignored stays so, because that is what `nohup`
    does. A terminal that closes may send several: a SIGHUP never asks for more haste.
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
    """Let a signal set `flag`, and end the process at once the second time. Main thread only."""
    is_asked = False

    def stop(number: int) -> None:
        nonlocal is_asked
        if is_asked or flag.is_set():
            os._exit(128 + number)
        is_asked = True
        # Not on this thread: it may have been interrupted while it holds the flag's lock, and would wait for itself.
        # Nor by `threading`, which has locks of its own.
        _thread.start_new_thread(flag.set, ())

    on_request(stop)
