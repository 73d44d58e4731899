"""Messages to publish after a batch, each with the traceparent of the submission that caused it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared import trace
from shared.bus.events import Message

M = TypeVar("M", bound=Message)


@dataclass(slots=True)
class Announcements(Generic[M]):
    """A list of messages, and beside it the list of their traceparents."""

    messages: list[M] = field(default_factory=list)
    traceparents: list[str] = field(default_factory=list)

    def add(self, message: M) -> None:
        """Add a message that the present work has caused."""
        self.messages.append(message)
        self.traceparents.append(trace.current())
