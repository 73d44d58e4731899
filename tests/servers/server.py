"""What every server of the tests is: its life, its port, and how long it may take to answer."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from deploy.processes import ports

PASSWORD = "not-a-secret-4711"  # in every AMQP URL, so that tests can look for it in logs
LOG_TAIL = 20_000
"""Characters of a server's log that a failed test shows: enough for all of a start."""


class NoServer(Exception):
    """Neither Docker nor an installed server; the message says what to install."""


class Server(ABC):
    """A server that can be started, crashed and started again with the same URL and data."""

    url: str

    @abstractmethod
    def start(self) -> None:
        """Start, and return when it answers."""

    @abstractmethod
    def kill(self) -> None:
        """Crash it: no clean shutdown."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it in order; `start` brings it back."""

    @abstractmethod
    def log(self) -> str:
        """Return the end of its own log."""

    @abstractmethod
    def close(self) -> None:
        """Stop it and remove everything it left."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that no other process of ours is given while this one lives."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports."""
    return list(ports.choose("127.0.0.1", {str(number): 0 for number in range(count)}).values())


def wait_for(answers: Callable[[str], bool], url: str, seconds: float, alive: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not answers(url):
        if not alive() or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise RuntimeError(f"a test server did not come up\n{tail}")
        time.sleep(0.05)
