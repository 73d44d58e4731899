"""The chain of examples/race.toml: its blocks come at their spacing, and its difficulty follows the miners."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from shared.consensus.chain_file import load
from shared.consensus.params import ChainParams
from shared.consensus.pow import block_work, difficulty, next_bits
from shared.primitives.block import BlockHeader

RACE = Path(__file__).parents[3] / "examples" / "race.toml"
WORKER = 1_500_000
"""Hashes per second of one miner."""
PERIODS = 60


@pytest.fixture(scope="module")
def params() -> ChainParams:
    return load(str(RACE))


class Branch(list[BlockHeader]):
    """Headers from the genesis block on."""

    def header_at(self, height: int) -> BlockHeader:
        return self[height]


def race(params: ChainParams, rates: list[int]) -> tuple[list[int], list[float]]:
    """Mine with these hashes per second, `PERIODS` periods each; return the times and difficulties of all blocks."""
    luck = random.Random("a race")
    branch = Branch([params.genesis.header])
    clock = float(params.genesis.header.time)
    for rate in rates:
        for _ in range(PERIODS * params.retarget_interval):
            tip = branch[-1]
            bits = next_bits(branch, len(branch), int(clock), params)
            clock += luck.expovariate(rate / block_work(bits))
            branch.append(replace(tip, time=int(clock), bits=bits))
    return [header.time for header in branch], [difficulty(header.bits) for header in branch]


def test_the_spacing_stays_and_the_difficulty_follows_the_number_of_miners(params: ChainParams) -> None:
    rates = [WORKER, 2 * WORKER, 4 * WORKER]
    times, difficulties = race(params, rates)
    each = PERIODS * params.retarget_interval
    # A period is timed from its first block to its last: 19 spacings are aimed at for 20 blocks.
    aim = params.pow_timespan / (params.retarget_interval - 1)
    expected = []
    for number in range(len(rates)):
        first, last = number * each + each // 6, (number + 1) * each
        assert (times[last] - times[first]) / (last - first) == pytest.approx(aim, rel=0.1)
        expected.append(sum(difficulties[first:last]) / (last - first))
    assert expected[1] / expected[0] == pytest.approx(2, rel=0.1)
    assert expected[2] / expected[1] == pytest.approx(2, rel=0.1)


def test_one_miner_begins_at_once_and_is_slowed_down(params: ChainParams) -> None:
    _, difficulties = race(params, [WORKER])
    assert difficulties[1] == difficulty(params.genesis.header.bits)
    assert block_work(params.genesis.header.bits) / WORKER < params.pow_spacing
    assert difficulties[100] > difficulties[1]


def test_its_blocks_cost_work_so_nobody_mines_any_at_the_start(params: ChainParams) -> None:
    assert (params.name, params.retarget_interval, params.has_cheap_blocks) == ("race", 20, False)
    assert not params.pow_no_retargeting
    assert params.address.hrp == "bcrt"
