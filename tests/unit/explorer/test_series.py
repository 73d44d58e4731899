"""The spans into which charts divide the chain, and the values of each."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.explorer.pages.charts.series import PLACES, BlockRange, TimeSpan, bounds_of, heights_at
from shared.chain.codec import BlockEntry, BlockFees, BlockStatus
from shared.consensus.params import REGTEST


def entry(height, txs):
    header = REGTEST.genesis.header
    return BlockEntry(header, height, 2 * height, BlockStatus.CONNECTED, 1, 200, 800, txs, height)


@given(st.integers(0, 3_000_000), st.none() | st.integers(1, 5_000))
def test_pieces_cover_the_last_blocks_and_are_few(tip, blocks):
    bounds = bounds_of(tip, blocks)
    assert bounds[-1] == tip
    assert bounds[0] == tip - min(tip, tip if blocks is None else blocks)
    assert len(bounds) <= PLACES + 1
    steps = [high - low for low, high in pairwise(bounds)]
    assert len(set(steps[1:])) <= 1
    assert not steps or 0 < steps[0] <= steps[-1]


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=300), st.lists(st.integers(0, 1_000), max_size=20))
def test_heights_are_found_by_time(gaps, edges):
    times = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    edges = sorted(edges)
    rounds = []

    def times_at(heights):
        rounds.append(len(heights))
        return [times[height] for height in heights]

    found = heights_at(edges, 0, len(times) - 1, times_at)
    assert found == [max(0, bisect_right(times, edge) - 1) for edge in edges]
    assert len(rounds) <= len(times).bit_length()


def test_times_that_run_backwards_give_heights_that_do_not():
    times = [0, 50, 20, 60, 40, 90, 80, 100]
    found = heights_at([10, 30, 55, 85], 0, 7, lambda heights: [times[height] for height in heights])
    assert found == sorted(found)


def test_a_stretch_tells_means_and_the_middle_of_medians():
    low, high = (BlockFees(total, (rate,) * 7) for total, rate in ((300, 2.0), (600, 9.0)))
    stretch = BlockRange(entry(10, 100), entry(13, 112), (low, None, high), None)
    assert (stretch.blocks, stretch.transactions, stretch.mean_fees) == (3, 12, 300.0)
    assert stretch.median_rate == 9.0
    assert BlockRange(entry(1, 1), entry(2, 2), (None,), None).median_rate is None


def test_a_span_counts_by_the_hour():
    assert TimeSpan(0, 900, 3).per_hour == 12
