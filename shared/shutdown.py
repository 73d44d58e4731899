"""Stopping in order: the first signal asks every loop to drain, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType


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
        return self._event.wait(seconds)


def install(flag: ExitFlag) -> None:
    """Let SIGTERM and SIGINT set `flag`, and end the process at once the second time. Main thread only."""

    def stop(number: int, frame: FrameType | None) -> None:
        if flag.is_set():
            os._exit(128 + number)
        flag.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
