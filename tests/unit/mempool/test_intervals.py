"""Mining modes that go by time: intervals, and continuous mining."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from services.mempool.block_tree import BlockTree
from services.mempool.mining.offers import REFRESH_SECONDS
from services.mempool.mining.schedule import EASY_PACE, interval_of
from shared.consensus.params import MAINNET, REGTEST
from shared.mining_mode import parse_mode
from tests.unit.mempool.desk import Desk
from tests.unit.mempool.mode_steps import send, set_mode, start_with


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(monkeypatch)
    desk.tick()
    return desk


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_interval_gives_blocks_at_its_times_and_empty_ones_too(desk: Desk) -> None:
    set_mode(desk, "interval:10")
    heights = []
    for at in range(31):
        if desk.tick(at):
            assert desk.solve().accepted
            heights.append(at)
    assert heights == [10, 20, 30]


def test_an_interval_is_kept_on_average_though_blocks_are_found_late(desk: Desk) -> None:
    set_mode(desk, "interval:10")
    desk.tick(0)
    assert desk.tick(9.99) == []
    assert len(desk.tick(10)) == 1
    desk.tick(17)
    assert desk.solve().accepted
    assert desk.tick(19.9) == []
    assert len(desk.tick(20)) == 1


def test_at_most_one_missed_block_is_made_up_for(desk: Desk) -> None:
    set_mode(desk, "interval:10")
    desk.tick(0)
    desk.tick(10)
    desk.tick(500)
    assert desk.solve().accepted
    assert len(desk.tick(500.1)) == 1
    assert desk.solve().accepted
    assert desk.tick(509.9) == []
    assert len(desk.tick(510)) == 1


def test_random_intervals_lie_between_their_limits_and_differ(desk: Desk) -> None:
    set_mode(desk, "interval:5-15")
    found = [0.0]
    for step in range(4_000):
        if desk.tick(step / 10):
            assert desk.solve().accepted
            found.append(step / 10)
    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    assert len(gaps) > 20
    assert min(gaps) >= 4.9
    assert max(gaps) <= 15.1
    assert max(gaps) - min(gaps) > 3
    assert sum(gaps) / len(gaps) == pytest.approx(10, abs=2.5)


def test_an_interval_that_skips_empty_blocks_waits_for_its_next_time(desk: Desk) -> None:
    set_mode(desk, "interval:10,skip-empty")
    desk.tick(0)
    assert desk.tick(10) == []
    send(desk)
    assert desk.tick(19.9) == []
    (template,) = desk.tick(20)
    assert len(template.merkle_branch) == 1
    assert desk.solve().accepted
    assert desk.tick(30) == []


def test_an_interval_goes_on_from_the_tips_time_after_a_start(desk: Desk) -> None:
    desk.node.mine()
    start_with(desk, "interval:60")
    tip_time = desk.node.tree.tip.header.time
    desk.node.set_clock(tip_time + 45)
    assert desk.tick(0) == []
    assert desk.tick(14.9) == []
    assert len(desk.tick(15)) == 1


def test_an_interval_counts_real_seconds_though_an_operator_stopped_the_clock(desk: Desk) -> None:
    desk.node.mine()
    desk.node.set_clock(desk.node.tree.tip.header.time)
    start_with(desk, "interval:60")
    for number in range(1, 20):
        desk.tick(number * 60 - 60)
        assert desk.tick(number * 60 - 0.1) == []
        assert len(desk.tick(number * 60)) == 1
        assert desk.solve().accepted
    assert desk.node.tree.tip.header.time <= desk.node.now() + 5


@pytest.mark.parametrize(("lead", "wait"), [(-1_000_000, 60), (-1, 60), (0, 60), (59, 1), (60, 0), (1_000_000, 0)])
def test_a_start_waits_at_most_one_interval_whatever_the_clock_says(desk: Desk, lead: int, wait: int) -> None:
    desk.node.mine()
    desk.node.set_clock(desk.node.tree.tip.header.time + lead)
    start_with(desk, "interval:60")
    if wait:
        assert desk.tick(0) == []
        assert desk.tick(wait - 0.1) == []
    assert len(desk.tick(wait)) == 1
    desk.node.set_clock(desk.node.tree.tip.header.time + max(lead, 0))
    assert desk.solve().accepted
    assert desk.tick(wait + 59.9) == []
    assert len(desk.tick(wait + 60)) == 1


# ── continuous ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_continuous_mining_always_has_work_at_the_chains_difficulty(desk: Desk) -> None:
    desk.node.params = dataclasses.replace(REGTEST, pow_no_retargeting=False, pow_allow_min_difficulty=False)
    set_mode(desk, "continuous")
    for height in range(1, 6):
        (template,) = desk.tick(0)
        assert (template.height, template.bits) == (height, desk.node.tree.tip.header.bits)
        assert desk.solve().accepted


def test_continuous_mining_takes_in_what_enters_the_pool(desk: Desk) -> None:
    set_mode(desk, "continuous")
    desk.tick(0)
    (empty,) = desk.tick(EASY_PACE)
    send(desk)
    (filled,) = desk.tick(EASY_PACE + REFRESH_SECONDS)
    assert (len(empty.merkle_branch), len(filled.merkle_branch)) == (0, 1)


def test_a_chain_that_is_easy_for_ever_gets_a_block_a_second() -> None:
    continuous = parse_mode("continuous")
    assert interval_of(continuous, REGTEST) == (EASY_PACE, EASY_PACE) == (1, 1)
    assert interval_of(continuous, dataclasses.replace(REGTEST, pow_no_retargeting=False)) == (0, 0)
    assert interval_of(continuous, MAINNET) == (0, 0)
    assert interval_of(continuous, dataclasses.replace(MAINNET, pow_no_retargeting=True)) == (0, 0)
    assert interval_of(parse_mode("interval:0.2"), REGTEST) == (0.2, 0.2)


def test_a_template_follows_the_difficulty_that_falls_when_no_block_is_found(desk: Desk) -> None:
    """On a chain with minimum difficulty after a pause, a template keeps its bits only until then."""
    desk.node.params = params = dataclasses.replace(REGTEST, pow_no_retargeting=False)
    hard = 0x2000FFFF
    genesis = desk.node.tree.tip
    genesis = dataclasses.replace(genesis, header=dataclasses.replace(genesis.header, bits=hard))
    desk.node.tree = BlockTree([genesis], genesis.hash)
    pause = 2 * params.pow_spacing
    desk.node.set_clock(genesis.header.time + pause)
    desk.ask()
    (before,) = desk.tick(0)
    assert desk.tick(REFRESH_SECONDS) == []
    desk.node.set_clock(genesis.header.time + pause + 1)
    (after,) = desk.tick(2 * REFRESH_SECONDS)
    assert (before.bits, after.bits) == (hard, 0x207FFFFF)
