from dataclasses import replace

import pytest

from services.explorer.chain.retarget import Period, difficulty_adjustment
from shared.consensus.params import MAINNET, REGTEST

BITS = 0x1B0404CB
PERIOD = Period(height=2016 * 3 + 503, tip_time=503 * 500, start_time=0, bits=BITS, previous_bits=BITS)


def outlook(period=PERIOD, params=MAINNET, now=504 * 500.0):
    return difficulty_adjustment(period, params, now)


def test_blocks_that_come_quickly_raise_the_difficulty():
    found = outlook(replace(PERIOD, height=2016 * 3 + 504))
    assert found["progressPercent"] == 25.0
    assert found["difficultyChange"] == pytest.approx(20.0)
    assert (found["remainingBlocks"], found["nextRetargetHeight"]) == (1512, 2016 * 4)
    assert found["timeAvg"] == 500_000
    assert found["remainingTime"] == 1512 * 500_000
    assert found["estimatedRetargetDate"] == 252_000_000 + found["remainingTime"]
    assert found["expectedBlocks"] == 420.0


def test_blocks_that_come_slowly_lower_it_by_three_quarters_at_most():
    assert outlook(now=504 * 750.0)["difficultyChange"] == pytest.approx(-20, abs=0.3)
    assert outlook(now=1e9)["difficultyChange"] == -75.0
    assert outlook(now=1.0, period=replace(PERIOD, tip_time=1))["difficultyChange"] == 300.0


def test_a_period_that_has_just_begun_says_nothing_yet():
    found = outlook(replace(PERIOD, height=2016 * 3, tip_time=0), now=10.0)
    assert (found["progressPercent"], found["difficultyChange"], found["remainingBlocks"]) == (0.0, 0.0, 2016)
    assert found["timeAvg"] == 600_000


def test_the_last_adjustment_is_shown():
    assert outlook()["previousRetarget"] == 0.0
    doubled = replace(PERIOD, bits=0x1B020265, previous_bits=0x1B0404CB)
    assert outlook(doubled)["previousRetarget"] == pytest.approx(100, abs=0.1)


def test_regtest_never_adjusts():
    period = Period(height=2015, tip_time=1_000, start_time=0, bits=0x207FFFFF, previous_bits=0x207FFFFF)
    found = outlook(period, REGTEST, 2_000.0)
    assert (found["difficultyChange"], found["previousRetarget"], found["remainingBlocks"]) == (0.0, 0.0, 1)
    assert found["expectedBlocks"] == pytest.approx(1_000 / 600)
