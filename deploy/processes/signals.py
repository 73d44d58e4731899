"""Signals of the launcher: a request to stop or the end of a child wakes it from its wait."""

from __future__ import annotations

import select
import signal
import socket

from shared.process.shutdown import on_request


class Signals:
    """Counts requests to stop: the first means to stop in order, the second at once. Main thread only."""

    def __init__(self) -> None:
        self.stop_requests = 0
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def install(self) -> None:
        """Handle the signals, including those that the parent process ignored or blocked."""
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        on_request(self._request_stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # only to wake up
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def wait(self, seconds: float) -> None:
        """Sleep up to `seconds`, or until a signal arrives."""
        readable, _, _ = select.select([self._reader], [], [], seconds)
        if readable:
            self._reader.recv(4096)

    def _request_stop(self, _number: int) -> None:
        self.stop_requests += 1
