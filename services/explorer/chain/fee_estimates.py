"""Fee statistics of the pool: histograms, projected blocks, and estimates of the feerate for a target. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from typing import Protocol, TypeVar

from shared.chain.block_fees import RATES, median_feerate
from shared.consensus.limits import MAX_BLOCK_VSIZE
from shared.policy import MIN_RELAY_FEERATE


class Paying(Protocol):
    """The fee and size of an unconfirmed transaction."""

    @property
    def fee(self) -> int:
        """Satoshis."""

    @property
    def vsize(self) -> int:
        """Virtual bytes."""


P = TypeVar("P", bound="Paying")

TARGETS = (*range(1, 26), 144, 504, 1008)
"""Targets, in blocks to wait, that clients expect an estimate for."""
MIN_FEERATE = MIN_RELAY_FEERATE / 1000
"""Satoshis per virtual byte that suffice while blocks have room: the minimum relay feerate."""
_BIN_VSIZE = 50_000
_PROJECTED = 8
BAND_STARTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Feerates at which the bands of histograms, and the colours of feerates, begin."""


def feerate(entry: Paying) -> float:
    """Return satoshis per virtual byte."""
    return entry.fee / entry.vsize


Ranked = tuple[float, int, int]
"""A transaction as it is sorted: its negative feerate, its virtual bytes, its fee in satoshis."""


def ranked(entry: Paying) -> Ranked:
    """Return what the best payers are sorted first by."""
    return -feerate(entry), entry.vsize, entry.fee


class PoolFees:
    """The pool's transactions by falling feerate, numbered from 0, with the sums of their sizes and fees.

    A statistic finds its few places by bisection instead of going through the pool, whose fees change all the time.
    """

    def __init__(self, best_first: Sequence[Ranked]) -> None:
        self._negative_rates = [item[0] for item in best_first]
        self._vsizes = [0, *accumulate([item[1] for item in best_first])]
        """Virtual bytes of the transactions before each, and of all."""
        self._fees = [0, *accumulate([item[2] for item in best_first])]

    @classmethod
    def of(cls, entries: Iterable[Paying]) -> PoolFees:
        """Return the fees of transactions in any order."""
        return cls(sorted(map(ranked, entries)))

    def __len__(self) -> int:
        return len(self._negative_rates)

    def rate(self, place: int) -> float:
        """Return a transaction's feerate."""
        return -self._negative_rates[place]

    def vsize(self, start: int, end: int) -> int:
        """Return the virtual bytes of transactions from `start` to before `end`."""
        return self._vsizes[end] - self._vsizes[start]

    def fees(self, start: int, end: int) -> int:
        """Return the fees in satoshis of transactions from `start` to before `end`."""
        return self._fees[end] - self._fees[start]

    def past(self, vsize: int, start: int = 0) -> int | None:
        """Return the first transaction with which those from `start` on exceed `vsize` virtual bytes, if any does."""
        place = bisect_right(self._vsizes, self._vsizes[start] + vsize) - 1
        return place if place < len(self) else None

    def paying_at_least(self, rate: float) -> int:
        """Return how many transactions pay this feerate or more."""
        return bisect_right(self._negative_rates, -rate)

    def paying_more(self, rate: float) -> int:
        """Return how many transactions pay more than this feerate."""
        return bisect_left(self._negative_rates, -rate)

    def spread(self, start: int, end: int) -> tuple[float, ...]:
        """Return the feerates of transactions from `start` to before `end` as `shared.chain.block_fees.spread` does."""
        first, vsize, steps = self._vsizes[start], self.vsize(start, end), RATES - 1
        rates = []
        for step in range(steps, 0, -1):
            # The best payers come first here: the place is the last one that has less than the rest before it.
            rest = -(-vsize * step // steps)
            rates.append(self.rate(bisect_left(self._vsizes, first + rest, start, end) - 1))
        return (*rates, self.rate(start))


def itself(pool: PoolFees) -> PoolFees:
    """Return the pool's fees as they are, for what depends on more than them."""
    return pool


def fee_histogram(pool: PoolFees) -> list[tuple[float, int]]:
    """Return (feerate, virtual bytes) by falling feerate; a bin closes when it exceeds 50,000 vB."""
    histogram: list[tuple[float, int]] = []
    start = 0
    while start < len(pool):
        past = pool.past(_BIN_VSIZE, start)
        end = len(pool) if past is None else pool.paying_at_least(pool.rate(past))
        histogram.append((pool.rate(end - 1), pool.vsize(start, end)))
        start = end
    return histogram


@dataclass(frozen=True, slots=True)
class FeeBand:
    """The pool's transactions that pay from `low` up to less than `high` sat/vB (None: any more than `low`)."""

    low: int
    high: int | None
    count: int
    vsize: int


def fee_bands(pool: PoolFees) -> list[FeeBand]:
    """Return the pool by feerate, best payers first, without empty bands at either end."""
    bands: list[FeeBand] = []
    start = 0
    for low, high in zip(reversed(BAND_STARTS), (None, *reversed(BAND_STARTS[1:])), strict=True):
        end = pool.paying_at_least(low)
        bands.append(FeeBand(low, high, end - start, pool.vsize(start, end)))
        start = end
    used = [index for index, band in enumerate(bands) if band.count]
    return bands[used[0] : used[-1] + 1] if used else []


def fee_estimates(pool: PoolFees) -> dict[str, float]:
    """Return target → feerate for all of `TARGETS`: the feerate to be among the first target × 1,000,000 vB.

    It is `MIN_FEERATE` if the pool does not fill that many blocks. A longer wait never costs more.
    """
    estimates: dict[str, float] = {}
    for target in TARGETS:
        place = pool.past(target * MAX_BLOCK_VSIZE)
        rate = MIN_FEERATE if place is None else max(MIN_FEERATE, round(pool.rate(place), 3))
        estimates[str(target)] = rate
    return estimates


@dataclass(frozen=True, slots=True)
class ProjectedBlock:
    """A block of the pool's transactions with the highest feerates."""

    count: int
    vsize: int
    fees: int
    """Satoshis."""
    rates: tuple[float, ...]
    """Feerates from the lowest to the highest, at evenly spaced positions of its virtual size."""

    @property
    def median(self) -> float:
        """Feerate in the middle of its virtual size."""
        return median_feerate(self.rates)

    @property
    def fullness(self) -> float:
        """Part of a block that it fills, at most 1."""
        return min(1.0, self.vsize / MAX_BLOCK_VSIZE)

    @property
    def blocks(self) -> int:
        """Number of blocks that it takes: more than one if it has all the rest."""
        return ceil(self.vsize / MAX_BLOCK_VSIZE)


def projected_blocks(pool: PoolFees) -> list[ProjectedBlock]:
    """Return up to eight blocks by the transactions' own feerates, best payers first; the last has all the rest."""
    blocks: list[ProjectedBlock] = []
    start = 0
    while start < len(pool):
        past = pool.past(MAX_BLOCK_VSIZE, start) if len(blocks) < _PROJECTED - 1 else None
        end = len(pool) if past is None else max(past, start + 1)
        blocks.append(
            ProjectedBlock(end - start, pool.vsize(start, end), pool.fees(start, end), pool.spread(start, end))
        )
        start = end
    return blocks


def fill_blocks(pool: Iterable[tuple[bytes, P]]) -> list[list[tuple[bytes, P]]]:
    """Return the transactions of the pool, given with their txids, that each of these blocks would have, in order."""
    blocks: list[list[tuple[bytes, P]]] = []
    size = MAX_BLOCK_VSIZE
    for txid, entry in sorted(pool, key=lambda item: feerate(item[1]), reverse=True):
        if size + entry.vsize > MAX_BLOCK_VSIZE and len(blocks) < _PROJECTED:
            blocks.append([])
            size = 0
        blocks[-1].append((txid, entry))
        size += entry.vsize
    return blocks


def projected_place(pool: PoolFees, rate: float) -> int:
    """Return the first block, counted from the next as 1, that a feerate suffices for."""
    return pool.vsize(0, pool.paying_more(rate)) // MAX_BLOCK_VSIZE + 1


def recommended_fees(pool: PoolFees) -> dict[str, int]:
    """Return mempool.space's five feerates, in whole satoshis per virtual byte, never rising from one to the next."""
    return {name: ceil(rate) for name, rate in precise_fees(pool).items()}


def precise_fees(pool: PoolFees) -> dict[str, float]:
    """Return mempool.space's five feerates, not rounded up."""
    estimates = fee_estimates(pool)
    fastest, half_hour, hour = (estimates[target] for target in ("1", "3", "6"))
    minimum = MIN_FEERATE
    return {
        "fastestFee": fastest,
        "halfHourFee": half_hour,
        "hourFee": hour,
        "economyFee": min(hour, 2 * minimum),
        "minimumFee": minimum,
    }
