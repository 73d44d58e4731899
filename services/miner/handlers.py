"""The miner's subscription: templates, on a queue of its own, so that every miner gets every template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.miner.grind import Grinder
from services.miner.job import Job
from shared.bus.events import BlockTemplate, Message, WorkEnded
from shared.bus.topics import WORK, Queue, transient_queue
from shared.bus.worker import Handler, Incoming


def queue(user: str) -> Queue:
    """Return a queue of this process's own; RabbitMQ lets a user have none but those that begin with its name."""
    return transient_queue(user, *WORK)


def handlers(grinder: Grinder, heard: Callable[[], None]) -> Mapping[type[Message], Handler[Any]]:
    """Return the subscription table; `heard` is called after each template."""

    def take_newest(batch: Sequence[Incoming[BlockTemplate]]) -> list[None]:
        grinder.offer(Job.from_template(batch[-1].message, batch[-1].traceparent))
        heard()
        return [None] * len(batch)

    def end(batch: Sequence[Incoming[WorkEnded]]) -> list[None]:
        grinder.end_work()
        return [None] * len(batch)

    return {BlockTemplate: take_newest, WorkEnded: end}
