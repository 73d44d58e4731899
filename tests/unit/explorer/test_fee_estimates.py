from itertools import accumulate, pairwise
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from services.explorer.chain import fee_estimates as module
from services.explorer.chain.fee_estimates import (
    BAND_STARTS,
    TARGETS,
    FeeBand,
    PoolFees,
    ProjectedBlock,
    fee_bands,
    fee_estimates,
    fee_histogram,
    feerate,
    fill_blocks,
    precise_fees,
    projected_blocks,
    projected_place,
    recommended_fees,
)
from shared.chain.block_fees import spread
from shared.chain.codec import PoolEntry


def entry(fee: int, vsize: int) -> PoolEntry:
    return PoolEntry(wtxid=bytes(32), fee=fee, vsize=vsize, weight=4 * vsize, sigop_cost=0, time=0, sequence=0)


entries = st.lists(st.builds(entry, st.integers(0, 10**9), st.integers(60, 100_000)), max_size=60)


def test_an_empty_pool_asks_for_the_least_feerate_at_every_target():
    estimates = fee_estimates(PoolFees.of([]))
    assert list(estimates) == [str(target) for target in (*range(1, 26), 144, 504, 1008)]
    assert set(estimates.values()) == {0.1}


def test_a_pool_of_less_than_a_block_asks_for_the_least_feerate():
    assert fee_estimates(PoolFees.of([entry(900_000, 1_000)]))["1"] == 0.1


def test_a_fuller_pool_asks_for_what_gets_into_the_next_blocks():
    pool = [entry(50 * 600_000, 600_000), entry(20 * 600_000, 600_000), entry(5 * 1_000_000, 1_000_000)]
    estimates = fee_estimates(PoolFees.of(pool))
    assert (estimates["1"], estimates["2"], estimates["3"]) == (20.0, 5.0, 0.1)


@given(entries)
def test_a_longer_wait_never_costs_more(pool):
    estimates = fee_estimates(PoolFees.of(pool))
    rates = [estimates[str(target)] for target in TARGETS]
    assert rates == sorted(rates, reverse=True)
    assert min(rates) >= 0.1


def test_a_bin_closes_once_it_is_past_fifty_thousand_virtual_bytes():
    pool = [entry(30 * 50_001, 50_001), entry(20 * 100, 100), entry(10 * 100, 100)]
    assert fee_histogram(PoolFees.of(pool)) == [(30.0, 50_001), (10.0, 200)]


@given(entries)
def test_the_histogram_counts_every_virtual_byte(pool):
    histogram = fee_histogram(PoolFees.of(pool))
    assert sum(size for _, size in histogram) == sum(item.vsize for item in pool)
    rates = [rate for rate, _ in histogram]
    assert rates == sorted(rates, reverse=True)


def test_bands_go_from_the_best_payers_down_and_leave_out_empty_ends():
    pool = [entry(100, 100), entry(199, 100), entry(1_000, 100)]
    assert fee_bands(PoolFees.of(pool)) == [
        FeeBand(10, 20, 1, 100),
        FeeBand(5, 10, 0, 0),
        FeeBand(2, 5, 0, 0),
        FeeBand(1, 2, 2, 200),
    ]


@given(entries)
def test_bands_count_every_transaction(pool):
    assert sum(band.count for band in fee_bands(PoolFees.of(pool))) == len(pool)


def test_projected_blocks_are_filled_by_the_best_payers():
    pool = [entry(rate * 400_000, 400_000) for rate in (1, 5, 2, 4, 3)]
    blocks = projected_blocks(PoolFees.of(pool))
    assert [(block.count, block.vsize, block.fees) for block in blocks] == [
        (2, 800_000, 9 * 400_000),
        (2, 800_000, 5 * 400_000),
        (1, 400_000, 400_000),
    ]
    assert blocks[0].rates == (4.0, 4.0, 4.0, 5.0, 5.0, 5.0, 5.0)


def test_the_median_of_a_projected_block_is_that_of_its_virtual_size():
    pool = [entry(9 * 1_000, 1_000)] * 5 + [entry(2 * 100_000, 100_000)]
    [block] = projected_blocks(PoolFees.of(pool))
    assert (block.median, block.rates[0], block.rates[-1]) == (2.0, 2.0, 9.0)


def test_the_eighth_projected_block_has_all_the_rest():
    blocks = projected_blocks(PoolFees.of([entry(900_000, 900_000)] * 10))
    assert [block.count for block in blocks] == [1] * 7 + [3]
    assert projected_blocks(PoolFees.of([])) == []


@given(entries)
def test_projected_blocks_have_every_transaction(pool):
    blocks = projected_blocks(PoolFees.of(pool))
    assert sum(block.count for block in blocks) == len(pool)
    assert sum(block.fees for block in blocks) == sum(item.fee for item in pool)
    assert all(block.rates == tuple(sorted(block.rates)) and len(block.rates) == 7 for block in blocks)


def test_recommended_fees_of_an_empty_pool():
    assert recommended_fees(PoolFees.of([])) == {
        "fastestFee": 1,
        "halfHourFee": 1,
        "hourFee": 1,
        "economyFee": 1,
        "minimumFee": 1,
    }


def test_recommended_fees_are_rounded_up():
    pool = [entry(int(rate * 600_000), 600_000) for rate in (50.5, 20, 15, 12, 9, 8.1, 7.5, 6, 5, 4.5, 4)]
    assert list(recommended_fees(PoolFees.of(pool)).values()) == [20, 9, 4, 1, 1]
    assert list(precise_fees(PoolFees.of(pool)).values()) == [20.0, 8.1, 4.0, 0.2, 0.1]


@given(entries)
def test_no_recommended_fee_is_below_the_next(pool):
    rates = list(recommended_fees(PoolFees.of(pool)).values())
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] >= 1


@given(entries, st.integers(1, 200_000))
def test_statistics_that_skip_through_the_pool_equal_the_ones_that_go_through_it(pool, block_size):
    fees = PoolFees.of(pool)
    best_first = sorted(pool, key=lambda item: (-feerate(item), item.vsize, item.fee))
    assert (len(fees), fees.vsize(0, len(fees))) == (len(pool), sum(item.vsize for item in pool))
    with patch.object(module, "MAX_BLOCK_VSIZE", block_size):
        blocks = [[item for _, item in block] for block in fill_blocks((b"", item) for item in best_first)]
        assert projected_blocks(fees) == [
            ProjectedBlock(
                len(block),
                sum(item.vsize for item in block),
                sum(item.fee for item in block),
                spread([(feerate(item), item.vsize) for item in block]),
            )
            for block in blocks
        ]
        estimates = fee_estimates(fees)
        for target in (1, 2, 5, 25):
            rates = [feerate(item) for item, depth in depths(best_first) if depth > target * block_size]
            assert estimates[str(target)] == (max(0.1, round(rates[0], 3)) if rates else 0.1)
        for item in pool[:5]:
            ahead = sum(other.vsize for other in pool if feerate(other) > feerate(item))
            assert projected_place(fees, feerate(item)) == ahead // block_size + 1
    bands = {band.low: (band.count, band.vsize) for band in fee_bands(fees)}
    for low, high in pairwise((*BAND_STARTS, float("inf"))):
        inside = [item.vsize for item in pool if low <= feerate(item) < high]
        assert bands.get(low, (0, 0)) == (len(inside), sum(inside))
    histogram, size, last = [], 0, 0.0
    for item in best_first:
        if size > 50_000 and feerate(item) != last:
            histogram.append((last, size))
            size = 0
        last = feerate(item)
        size += item.vsize
    assert fee_histogram(fees) == [*histogram, *([(last, size)] if size else [])]


def depths(best_first):
    """Return each transaction with the virtual bytes up to its end."""
    return zip(best_first, accumulate(item.vsize for item in best_first), strict=True)
