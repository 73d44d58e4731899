"""Reads the chain's history for charts: values over its last blocks, from a bounded number of index entries.

An entry counts transactions and work from the genesis block on, so the difference of two is exact for all blocks
between them. A chart has up to `PLACES` values, whatever the number of blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.explorer.chain.block_queries import rate_between
from services.explorer.chain.queries import ChainQueries
from services.explorer.pages.charts.svg import spread
from shared.chain.block_fees import median_feerate
from shared.chain.codec import BlockEntry, BlockFees
from shared.chain.view import Tip
from shared.durations import HOUR

PLACES = 144
TIME_PLACES = 48
FEE_BLOCKS = 1_008
"""Evenly spaced blocks whose fees are read at most."""
_HASH_RATE_PLACES = 12
"""Places in the chain that a hash rate looks back over: single blocks come too irregularly to tell."""


@dataclass(frozen=True, slots=True)
class BlockRange:
    """A run of blocks that is one value of a chart."""

    before: BlockEntry
    """The block below the first one."""
    last: BlockEntry
    fees: tuple[BlockFees | None, ...]
    """Of all its blocks, or of some that are evenly spaced; None for one without payments."""
    hash_rate: float | None
    """Hashes per second, over this range and those before it."""

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return self.last.height - self.before.height

    @property
    def transactions(self) -> int:
        """Number of transactions, coinbases among them."""
        return self.last.chain_tx_count - self.before.chain_tx_count

    @property
    def mean_fees(self) -> float:
        """Satoshis that a block paid."""
        return sum(fees.total for fees in self.fees if fees) / len(self.fees)

    @property
    def median_rate(self) -> float | None:
        """Feerate in the middle of the block in the middle; None where no one paid."""
        medians = sorted(median_feerate(fees.feerates) for fees in self.fees if fees)
        return medians[len(medians) // 2] if medians else None


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Blocks that came within some seconds."""

    start: float
    end: float
    """Seconds since 1970."""
    blocks: int

    @property
    def per_hour(self) -> float:
        """Blocks per hour."""
        return self.blocks * HOUR / (self.end - self.start)


@dataclass(frozen=True, slots=True)
class ChainHistory:
    """The last blocks of the best chain."""

    ranges: tuple[BlockRange, ...]
    """The oldest first; empty while there is only the genesis block."""
    spans: tuple[TimeSpan, ...]

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return sum(part.blocks for part in self.ranges)

    @property
    def has_all_fees(self) -> bool:
        """Whether the fees of each block were read."""
        return all(len(part.fees) == part.blocks for part in self.ranges)


class HistoryReader:
    """Reads the chain's history, once for each tip and length."""

    def __init__(self, chain: ChainQueries) -> None:
        self._chain = chain
        self._known: dict[int | None, tuple[bytes, ChainHistory]] = {}

    def read(self, blocks: int | None) -> ChainHistory:
        """Return the last `blocks` of the best chain, or all of it."""
        return self._chain.at_tip(lambda tip: self._read(tip, blocks))

    def _read(self, tip: Tip, blocks: int | None) -> ChainHistory:
        known_tip, known = self._known.get(blocks, (b"", ChainHistory((), ())))
        if known_tip == tip.hash:
            return known
        bounds = bounds_of(tip.height, blocks)
        entries = self._entries_at(bounds)
        history = ChainHistory(self._ranges(entries), self._spans(entries))
        if self._chain.tip().hash == tip.hash:
            self._known[blocks] = tip.hash, history
        return history

    def _ranges(self, entries: Sequence[BlockEntry]) -> tuple[BlockRange, ...]:
        each = FEE_BLOCKS // PLACES
        pairs = list(pairwise(entries))
        chosen = [spread(first.height + 1, last.height, each) for first, last in pairs]
        heights = [height for some in chosen for height in some]
        fees = iter(self._chain.blocks.fees_at(heights))
        found = []
        for index, ((before, last), some) in enumerate(zip(pairs, chosen, strict=True)):
            paid = tuple(next(fees) for _ in some)
            # The genesis block may be years older than the first one that was mined here: its time tells nothing.
            earliest = entries[max(1 if entries[0].height == 0 else 0, index + 1 - _HASH_RATE_PLACES)]
            rate = rate_between(earliest, last)
            found.append(BlockRange(before, last, paid, rate))
        return tuple(found)

    def _spans(self, entries: Sequence[BlockEntry]) -> tuple[TimeSpan, ...]:
        if len(entries) < 2:
            return ()
        first, last = entries[0], entries[-1]
        if first.height == 0:  # its time tells nothing: see above
            [first] = self._entries_at([1])
        start, end = first.header.time, max(first.header.time + 1, last.header.time)
        places = min(TIME_PLACES, end - start)  # block times are whole seconds
        edges = [start + (end - start) * index / places for index in range(places + 1)]
        inner = heights_at(edges[1:-1], first.height, last.height, self._times_at)
        heights = [first.height, *inner, last.height]
        return tuple(
            TimeSpan(edge, next_edge, height - lower)
            for (edge, next_edge), (lower, height) in zip(pairwise(edges), pairwise(heights), strict=True)
        )

    def _entries_at(self, heights: Sequence[int]) -> list[BlockEntry]:
        return self._chain.blocks.entries_at(heights)

    def _times_at(self, heights: Sequence[int]) -> list[int]:
        return [entry.header.time for entry in self._entries_at(heights)]


def bounds_of(tip: int, blocks: int | None) -> list[int]:
    """Return the heights between which ranges lie, the lowest first; the first one may be shorter than others."""
    count = tip if blocks is None else min(blocks, tip)
    step = max(1, -(-count // PLACES))
    return [tip - count, *reversed(range(tip, tip - count, -step))]


def heights_at(
    edges: Sequence[float], low: int, high: int, times_at: Callable[[Sequence[int]], list[int]]
) -> list[int]:
    """Return the height that the chain, which grew from `low` to `high`, had reached at each time.

    All times are looked for at once, by halving: one call of `times_at`, which gives the times of blocks, for each
    halving. Block times need not grow from one block to the next; where they do not, a block counts near its time.
    """
    lows, highs = [low] * len(edges), [high] * len(edges)
    while any(bottom < top for bottom, top in zip(lows, highs, strict=True)):
        middles = [(bottom + top + 1) // 2 for bottom, top in zip(lows, highs, strict=True)]
        for index, (middle, time) in enumerate(zip(middles, times_at(middles), strict=True)):
            if lows[index] == highs[index]:
                continue
            if time <= edges[index]:
                lows[index] = middle
            else:
                highs[index] = middle - 1
    # A later time never has a lower height, even where block times run backwards.
    return [max(lows[: index + 1]) for index in range(len(lows))]
