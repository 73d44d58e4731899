"""Messages that services could not handle, for an operator: to look at, to give back to their queues, to remove.

A message is given back by publishing a copy to the queue that it came from, with its message id, and then removing it.
A crash in between leaves it dead-lettered as well, so that it comes twice when it is given back again: handlers bear
that, as they bear any message that comes twice. The sender's wait is over, so a copy asks for no reply.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a service could not handle."""

    service: str
    queue: str
    """The queue that it came from; empty if nobody knows."""
    topic: str
    message_id: str
    reason: str
    time: int
    """Seconds since 1970 at which it was dead-lettered; 0 if nobody knows."""
    traceparent: str
    body: bytes
    tag: Any = field(default=None, repr=False, compare=False)
    """The backend's own handle."""

    @property
    def id(self) -> str:
        """Twelve hex digits by which a person names it. The copies of a message that was dead-lettered twice differ."""
        parts = (self.queue, self.topic, self.message_id, self.reason, str(self.time))
        return hashlib.sha256("\0".join(parts).encode() + self.body).hexdigest()[:12]


Choice = Callable[[DeadLetter], bool]


class DeadLetters(ABC):
    """The dead-letter queues of all services. All methods raise `BrokerError`."""

    @abstractmethod
    def read(self) -> list[DeadLetter]:
        """Return all dead letters, of each service the oldest first, and leave them there."""

    @abstractmethod
    def replay(self, choice: Choice) -> tuple[list[DeadLetter], list[DeadLetter]]:
        """Give the chosen ones back to their queues; return them, and those that stay because their queue is gone."""

    @abstractmethod
    def purge(self, choice: Choice) -> list[DeadLetter]:
        """Remove the chosen ones for good, and return them."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""
