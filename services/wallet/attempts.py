"""Limits the number of wrong passwords for a wallet in a window of time. Kept in memory, per process."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from services.wallet.errors import TooManyAttempts


class Attempts:
    """Counts wrong passwords per wallet in a sliding window."""

    def __init__(self, limit: int = 5, window: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._window = window
        self._clock = clock
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def check(self, wallet_id: str) -> None:
        """Raise `TooManyAttempts`, with the seconds to wait, if this wallet has reached the limit."""
        with self._lock:
            failures = self._recent(wallet_id)
            if len(failures) >= self._limit:
                raise TooManyAttempts(max(1, math.ceil(failures[0] + self._window - self._clock())))

    def failed(self, wallet_id: str) -> None:
        """Count a wrong password."""
        with self._lock:
            self._failures.setdefault(wallet_id, deque()).append(self._clock())

    def succeeded(self, wallet_id: str) -> None:
        """Forget this wallet's wrong passwords, after its owner gave the right one."""
        with self._lock:
            self._failures.pop(wallet_id, None)

    def purge(self) -> None:
        """Forget the wallets without a recent wrong password."""
        with self._lock:
            for wallet_id in list(self._failures):
                if not self._recent(wallet_id):
                    del self._failures[wallet_id]

    def _recent(self, wallet_id: str) -> deque[float]:
        failures = self._failures.get(wallet_id, deque())
        while failures and failures[0] <= self._clock() - self._window:
            failures.popleft()
        return failures
