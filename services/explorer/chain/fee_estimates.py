"""Fee statistics of the pool: histograms, projected blocks, and estimates of the feerate for a target. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol, TypeVar

from shared.chain.block_fees import median_feerate, spread
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


def fee_histogram(entries: Iterable[Paying]) -> list[tuple[float, int]]:
    """Return (feerate, virtual bytes) by falling feerate; a bin closes when it exceeds 50,000 vB."""
    histogram: list[tuple[float, int]] = []
    size = 0
    last_rate = 0.0
    for entry in sorted(entries, key=feerate, reverse=True):
        rate = feerate(entry)
        if size > _BIN_VSIZE and rate != last_rate:
            histogram.append((last_rate, size))
            size = 0
        last_rate = rate
        size += entry.vsize
    if size:
        histogram.append((last_rate, size))
    return histogram


@dataclass(frozen=True, slots=True)
class FeeBand:
    """The pool's transactions that pay from `low` up to less than `high` sat/vB (None: any more than `low`)."""

    low: int
    high: int | None
    count: int
    vsize: int


def fee_bands(entries: Iterable[Paying]) -> list[FeeBand]:
    """Return the pool by feerate, best payers first, without empty bands at either end."""
    sizes: list[list[int]] = [[] for _ in BAND_STARTS]
    for entry in entries:
        sizes[bisect_right(BAND_STARTS, feerate(entry)) - 1].append(entry.vsize)
    ends = (*BAND_STARTS[1:], None)
    bands = [FeeBand(low, high, len(band), sum(band)) for low, high, band in zip(BAND_STARTS, ends, sizes, strict=True)]
    used = [index for index, band in enumerate(bands) if band.count]
    return bands[used[0] : used[-1] + 1][::-1] if used else []


def fee_estimates(entries: Iterable[Paying]) -> dict[str, float]:
    """Return target → feerate for all of `TARGETS`: the feerate to be among the first target × 1,000,000 vB.

    It is `MIN_FEERATE` if the pool does not fill that many blocks. A longer wait never costs more.
    """
    estimates: dict[str, float] = {}
    depth = 0
    targets = iter(TARGETS)
    target: int | None = next(targets)
    for entry in sorted(entries, key=feerate, reverse=True):
        depth += entry.vsize
        while target is not None and depth > target * MAX_BLOCK_VSIZE:
            estimates[str(target)] = max(MIN_FEERATE, round(feerate(entry), 3))
            target = next(targets, None)
        if target is None:
            break
    return {str(blocks): estimates.get(str(blocks), MIN_FEERATE) for blocks in TARGETS}


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


def projected_blocks(entries: Iterable[Paying]) -> list[ProjectedBlock]:
    """Return up to eight blocks by the transactions' own feerates, best payers first; the last has all the rest."""
    return [_project([entry for _, entry in block]) for block in fill_blocks((b"", entry) for entry in entries)]


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


def projected_place(entries: Iterable[Paying], rate: float) -> int:
    """Return the first block, counted from the next as 1, that a feerate suffices for."""
    return sum(entry.vsize for entry in entries if feerate(entry) > rate) // MAX_BLOCK_VSIZE + 1


def _project(entries: Sequence[Paying]) -> ProjectedBlock:
    vsize, fees = sum(entry.vsize for entry in entries), sum(entry.fee for entry in entries)
    rates = spread([(feerate(entry), entry.vsize) for entry in reversed(entries)])
    return ProjectedBlock(len(entries), vsize, fees, rates)


def recommended_fees(entries: Iterable[Paying]) -> dict[str, int]:
    """Return mempool.space's five feerates, in whole satoshis per virtual byte, never rising from one to the next."""
    return {name: ceil(rate) for name, rate in precise_fees(entries).items()}


def precise_fees(entries: Iterable[Paying]) -> dict[str, float]:
    """Return mempool.space's five feerates, not rounded up."""
    estimates = fee_estimates(entries)
    fastest, half_hour, hour = (estimates[target] for target in ("1", "3", "6"))
    minimum = MIN_FEERATE
    return {
        "fastestFee": fastest,
        "halfHourFee": half_hour,
        "hourFee": hour,
        "economyFee": min(hour, 2 * minimum),
        "minimumFee": minimum,
    }
