"""Signals of the launcher: a request to stop, and a child's end, both wake it from its wait."""

from __future__ import annotations

import select
import signal
import socket
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Counts requests to stop: the first means in order, the second at once. Main thread only."""

    def __init__(self) -> None:
        self.stop_requests = 0
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def install(self) -> None:
        """Take the signals over; one that is ignored already (`nohup`) stays ignored."""
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._request_stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # only to wake up

    def wait(self, seconds: float) -> None:
        """Sleep up to `seconds`, less if a signal comes."""
        readable, _, _ = select.select([self._reader], [], [], seconds)
        if readable:
            self._reader.recv(4096)

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_requests += 1
