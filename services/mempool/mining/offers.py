"""What miners are told: the template to search, whose turn it is, and that nobody wants a block any more.

One message goes out for each change, to every miner. What a miner reports tells whether it has missed a message (it
started late, or lost its connection): then the last one is published again.
"""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec

from services.mempool.mining.template import Template
from services.mempool.mining.workers import Workers
from shared.bus.broker import Broker
from shared.bus.events import WorkEnded
from shared.consensus.pow import block_work

REFRESH_SECONDS = 2.0
"""The least time between two templates on one tip: each goes to every miner."""
REPEAT_SECONDS = 240.0
"""Time after which a template is published again to miners, who drop work of which they hear no more."""


class Offers:
    """The template that miners have, or that they have none."""

    def __init__(self, broker: Broker, workers: Workers) -> None:
        self._broker = broker
        self._workers = workers
        self._published = -math.inf
        """Time (monotonic) at which it was told to miners last."""
        self.current: Template | None = None

    def take(self, built: Template) -> Template:
        """Make this the template to publish next; return it with the miners whose turn it is."""
        turn = self._workers.turn(block_work(built.message.bits))
        self.current = replace(built, message=msgspec.structs.replace(built.message, turn=turn))
        self._published = -math.inf
        return self.current

    def drop(self) -> None:
        """Forget the template, and what miners were told."""
        self.current = None
        self._published = -math.inf

    def may_change(self, now: float) -> bool:
        """Whether a better template on the same tip may follow now."""
        return now - self._published >= REFRESH_SECONDS

    def publish(self, now: float) -> None:
        """Tell miners of the template, unless they know it."""
        if self.current is not None and (now - self._published >= REPEAT_SECONDS or self._workers.has_missed()):
            self._broker.publish(self.current.message)
            self._told(self.current.message.id, now)

    def end(self, now: float) -> None:
        """Tell miners that nobody wants a block, unless they know it."""
        if self.current is not None:
            self.drop()
        if self._published == -math.inf or self._workers.has_missed():
            self._broker.publish(WorkEnded())
            self._told("", now)

    def solved(self, template: Template, miner: str) -> None:
        """Forget a template whose block was found, and note by whom: who let its turn pass has none for a while."""
        self.drop()
        self._workers.solved(miner, template.message.turn)

    def _told(self, template_id: str, now: float) -> None:
        self._published = now
        self._workers.told(template_id)
