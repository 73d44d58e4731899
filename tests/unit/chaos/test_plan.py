"""A plan of faults is decided by its seed."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.chaos.faults import actions
from tests.chaos.plan import FIRST, KINDS, QUIET, lines, names, plan
from tests.chaos.stack.shapes import SHAPES

TEN_MINUTES = 600.0


@pytest.mark.parametrize("shape", KINDS)
def test_the_same_seed_gives_the_same_plan_and_another_seed_another_one(shape: str) -> None:
    assert plan(shape, 7, TEN_MINUTES) == plan(shape, 7, TEN_MINUTES)
    assert plan(shape, 7, TEN_MINUTES) != plan(shape, 8, TEN_MINUTES)


def test_a_longer_run_begins_as_a_shorter_one() -> None:
    short, long = plan("rabbitmq", 3, 120.0), plan("rabbitmq", 3, TEN_MINUTES)
    assert short
    assert long[: len(short)] == short


@pytest.mark.parametrize("shape", KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_faults_overlap_on_different_targets_only_and_leave_quiet_spells(shape: str, seed: int) -> None:
    faults = plan(shape, seed, TEN_MINUTES)
    assert all(fault.at >= FIRST and fault.ends + QUIET[0] <= TEN_MINUTES for fault in faults)
    for one, other in combinations(faults, 2):
        if one.kind.target == other.kind.target:
            assert one.ends + QUIET[0] <= other.at + 0.1
    ends = -QUIET[0]
    spells: list[int] = []
    for fault in faults:
        if fault.at >= ends + QUIET[0] - 0.1:
            spells.append(0)
        spells[-1] += 1
        ends = max(ends, fault.ends)
    assert set(spells) == {1, 2}, "a spell has one fault or two"


@pytest.mark.parametrize("shape", KINDS)
def test_every_kind_strikes_before_one_strikes_again(shape: str) -> None:
    struck = [fault.kind.name for fault in plan(shape, 5, TEN_MINUTES)][: len(KINDS[shape])]
    assert len(set(struck)) >= len(struck) - 1, "only a second fault of a spell may have to wait for its turn"
    assert {fault.kind.name for seed in range(5) for fault in plan(shape, seed, TEN_MINUTES)} == set(names(shape))


def test_a_run_that_is_too_short_has_no_faults() -> None:
    assert plan("embedded", 1, 10.0) == ()


def test_patterns_choose_the_faults() -> None:
    struck = {fault.kind.name for fault in plan("embedded", 1, TEN_MINUTES, ["kill *", "fill store"])}
    assert struck == {name for name in names("embedded") if name.startswith("kill ")} | {"fill store"}
    with pytest.raises(ValueError, match="no fault of embedded is called kill broker; there are kill writer"):
        plan("embedded", 1, TEN_MINUTES, ["kill broker"])


def test_a_plan_is_printed_with_its_times() -> None:
    first, second, *_ = plan("rabbitmq", 1, TEN_MINUTES)
    assert lines((first, second)) == [
        f"{fault.at:6.1f} s  {fault.kind.name} for {fault.seconds:.1f} s" for fault in (first, second)
    ]


@pytest.mark.parametrize("shape", KINDS)
def test_every_planned_fault_can_be_done_to_its_shape(shape: str) -> None:
    assert SHAPES.keys() == KINDS.keys()
    for kind in KINDS[shape]:
        assert kind.action in actions(kind.target), kind.name
