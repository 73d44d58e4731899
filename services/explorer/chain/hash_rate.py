"""How fast the chain moves: the difficulty period that the tip is in, and the hash rate that its work speaks of."""

from __future__ import annotations

from services.explorer.chain.queries import ChainQueries
from services.explorer.chain.retarget import Period
from shared.chain.codec import BlockEntry
from shared.consensus.pow import hash_rate

HASH_RATE_BLOCKS = 120
"""Blocks over which the hash rate is estimated (Core's getnetworkhashps)."""


def read_period(reads: ChainQueries, interval: int) -> Period:
    """Return the period of `interval` blocks that the tip is in; read within `at_tip`."""
    height = reads.tip().height
    start = height - height % interval
    before, first, tip = reads.entries_at([max(0, start - 1), start, height])
    return Period(tip.height, tip.header.time, first.header.time, first.header.bits, before.header.bits)


def rate_between(first: BlockEntry, last: BlockEntry) -> float | None:
    """Return hashes per second from one block to a later one; None where their times tell nothing."""
    return hash_rate(last.chain_work - first.chain_work, [first.header.time, last.header.time]) or None
