"""Tells when the mining mode wants a block. Requests come first: the writer asks here only if none is open.

- `auto` gathers: it waits until the pool has been quiet for a moment, or no longer than half a second, so that one
  payment is confirmed at once and a thousand make few blocks.
- An interval counts real seconds, from due time to due time and not from block to block, so that it is kept on average
  however long miners search. At most one missed block is made up for. After a start it goes on from the tip's time.
- `continuous` is an interval of no length; where the difficulty never rises, of one second.

Nothing of it is stored but the mode itself.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

from services.mempool.state import NodeState
from shared.consensus.params import ChainParams
from shared.mining_mode import MiningKind, MiningMode, MiningSetting

QUIET = 0.05
"""Seconds without a new transaction after which `auto` wants a block."""
GATHER = 0.5
"""Seconds after which `auto` wants a block though transactions keep coming."""
EASY_PACE = 1.0
"""Seconds from block to block of `continuous` on a chain whose difficulty is low for ever: miners would find hundreds
a second, and the chain's time would run ahead of the clock."""


class Schedule:
    """The due times of one writer. All times are monotonic seconds, as its caller passes them."""

    def __init__(self, node: NodeState, draw: Callable[[float, float], float] = random.uniform) -> None:
        self._node = node
        self._draw_between = draw
        self._setting: MiningSetting | None = None
        self._due = 0.0
        self._first: float | None = None
        """When `auto` saw the pool's first transaction since the last block; None while the pool is empty."""
        self._tip_hash = node.tree.tip.hash
        self._sequence = node.next_sequence
        self.id = ""
        """Names the present setting, as a mining request has an id; empty before the first look."""

    def is_due(self, now: float) -> bool:
        """Whether the mode wants a block."""
        if self._setting is not self._node.mining:
            self._begin(now)
        mode = self._node.mining.mode
        if mode.kind is MiningKind.MANUAL:
            return False
        return self._pool_is_due(now) if mode.kind is MiningKind.AUTO else now >= self._due

    def wants(self, schedule_id: str) -> bool:
        """Whether work that went out under this id is still for the present setting."""
        return schedule_id == self.id and self._setting is self._node.mining

    def done(self, now: float) -> None:
        """Go on to the next block: this one was found, or skipped because it would be empty."""
        if self._node.mining.mode.kind is MiningKind.AUTO:
            self._first, self._due = now, now + GATHER
        else:
            self._due = max(self._due + self._seconds(), now)

    def restart(self) -> None:
        """Begin anew after the node was loaded anew."""
        self._setting = None

    def _begin(self, now: float) -> None:
        """Take over the node's setting. An order counts from now; at a start the time since the tip counts as well."""
        waited = max(0, self._node.now() - self._node.tree.tip.header.time) if self._setting is None else 0
        self._setting = self._node.mining
        self.id = f"mode-{secrets.token_hex(8)}"
        self._first = None
        self._due = now + max(0.0, self._seconds() - waited)

    def _seconds(self) -> float:
        shortest, longest = interval_of(self._node.mining.mode, self._node.params)
        return self._draw_between(shortest, longest)

    def _pool_is_due(self, now: float) -> bool:
        node = self._node
        if not len(node.pool):
            self._first = None
            return False
        before, self._tip_hash = self._tip_hash, node.tree.tip.hash
        known, self._sequence = self._sequence, node.next_sequence
        if self._first is None or before != self._tip_hash:
            self._first, self._due = now, now + QUIET
        elif known != self._sequence and now < self._due:
            self._due = min(now + QUIET, self._first + GATHER)
        return now >= self._due


def interval_of(mode: MiningMode, params: ChainParams) -> tuple[float, float]:
    """Return the least and the most seconds from block to block."""
    is_easy = params.has_cheap_blocks and params.pow_no_retargeting
    if mode.kind is MiningKind.CONTINUOUS and is_easy:
        return EASY_PACE, EASY_PACE
    return mode.shortest, mode.longest
