"""What a miner does with each topic. The table at the end is its whole subscription."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.miner.grind import Grinder
from shared.bus.events import BlockTemplate, Message
from shared.bus.worker import Handler, Incoming


def block_template(grinder: Grinder, batch: Sequence[Incoming[BlockTemplate]]) -> Sequence[None]:
    """Work on the newest template; those before it are stale already."""
    grinder.work_on(batch[-1].message)
    return [None for _ in batch]


def subscriptions(grinder: Grinder) -> Mapping[type[Message], Handler[Any]]:
    """Return the miner's subscription table."""
    return {BlockTemplate: lambda batch: block_template(grinder, batch)}
