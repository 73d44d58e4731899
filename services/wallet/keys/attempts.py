"""Slows down whoever guesses passwords, and nobody else. Kept in memory, per process.

A client's wrong passwords within a window of time are counted, at all wallets together. The more there were, the later
comes the answer to the next one; a right password is answered at once. So nobody can lock an owner out.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

WINDOW = 60.0
"""Seconds for which a wrong password counts."""
FREE = 2
"""Wrong passwords of a client that are answered at once: anyone mistypes."""
LONGEST_DELAY = 10.0


class Attempts:
    """Counts the wrong passwords of each client."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, deque[tuple[float, str]]] = {}
        """Client → time and wallet of each wrong password."""
        self._lock = threading.Lock()

    def failed(self, client: str, wallet_id: str) -> float:
        """Count a wrong password; return the seconds by which its answer is to be held back."""
        with self._lock:
            failures = self._failures.setdefault(client, deque())
            failures.append((self._clock(), wallet_id))
            self._forget_old(failures)
            more = len(failures) - FREE
        return min(LONGEST_DELAY, 2.0 ** (more - 1)) if more > 0 else 0.0

    def succeeded(self, client: str, wallet_id: str) -> None:
        """Forget a client's wrong passwords for this wallet, whose owner it is."""
        with self._lock:
            kept = deque(failure for failure in self._failures.pop(client, ()) if failure[1] != wallet_id)
            if kept:
                self._failures[client] = kept

    def is_guessing(self, client: str) -> bool:
        """Whether the client has given more wrong passwords of late than anyone mistypes."""
        with self._lock:
            failures = self._failures.get(client, deque())
            self._forget_old(failures)
            return len(failures) > FREE

    def purge(self) -> None:
        """Forget the clients without a recent wrong password."""
        with self._lock:
            for client, failures in list(self._failures.items()):
                self._forget_old(failures)
                if not failures:
                    del self._failures[client]

    def _forget_old(self, failures: deque[tuple[float, str]]) -> None:
        while failures and failures[0][0] <= self._clock() - WINDOW:
            failures.popleft()
