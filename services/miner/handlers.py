"""The miner's subscription: block templates, on a queue of its own, so that every miner gets every template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.miner.grind import Grinder
from services.miner.job import Job
from shared.bus.events import BlockTemplate, Message
from shared.bus.topics import Queue, Topic, transient_queue
from shared.bus.worker import Handler, Incoming


def queue() -> Queue:
    """Return a queue of this process's own."""
    return transient_queue("miner", Topic.BLOCK_TEMPLATE)


def handlers(grinder: Grinder) -> Mapping[type[Message], Handler[Any]]:
    """Return the subscription table."""

    def take_newest(batch: Sequence[Incoming[BlockTemplate]]) -> list[None]:
        grinder.offer(Job.from_template(batch[-1].message, batch[-1].traceparent))
        return [None] * len(batch)

    return {BlockTemplate: take_newest}
