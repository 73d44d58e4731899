"""A clock that goes only when a test says so."""

from __future__ import annotations


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now
