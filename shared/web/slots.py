"""Bounds how many requests hold a slot at a time, of all clients and of each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from shared.errors import WarrenError


class SlotsTaken(WarrenError):
    """No slot is free, or, if `is_share`, the client holds as many as one client may."""

    def __init__(self, *, is_share: bool) -> None:
        super().__init__("this client holds its share of the slots" if is_share else "every slot is taken")
        self.is_share = is_share


class Slots:
    """A number of slots, of which one client may hold a part. Safe to use from any thread."""

    def __init__(self, count: int, most_for_one: int) -> None:
        self._free = count
        self._most_for_one = most_for_one
        self._held: Counter[str] = Counter()
        """Slots that are held, by client; a client without any has no entry."""
        self._lock = threading.Lock()

    def take(self, client: str) -> AbstractContextManager[None]:
        """Take a slot and return it, to be held by `with`. Raises `SlotsTaken`."""
        with self._lock:
            if not self._free:
                raise SlotsTaken(is_share=False)
            if self._held[client] >= self._most_for_one:
                raise SlotsTaken(is_share=True)
            self._free -= 1
            self._held[client] += 1
        return self._one(client)

    @contextmanager
    def _one(self, client: str) -> Iterator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
                self._held[client] -= 1
                if not self._held[client]:
                    del self._held[client]
