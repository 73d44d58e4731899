"""Charts drawn from values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.explorer.pages.charts.svg import (
    HEIGHT,
    WIDTH,
    ChartKind,
    Scale,
    Value,
    area_path,
    fit_scale,
    line_path,
    make_chart,
    spread,
    step_path,
    tick_labels,
)

NUMBERS = st.lists(st.floats(0, 1e18) | st.floats(1e-12, 1), min_size=1, max_size=50)


@given(NUMBERS, st.booleans())
def test_a_scale_holds_every_value_in_few_round_steps(numbers, from_zero):
    scale = fit_scale(numbers, from_zero)
    slack = 1e-6 * scale.high
    assert scale.low <= min(numbers) + slack
    assert scale.high >= max(numbers) - slack
    assert 1 <= scale.count <= 5
    assert all(-0.01 <= scale.y(number) <= HEIGHT + 0.01 for number in numbers)


def test_a_scale_without_values_or_with_one_alone_still_has_room():
    assert fit_scale([]) == Scale(0, 0.25, 4)
    assert fit_scale([0.0, 0.0]).high == 1
    assert fit_scale([0.0, 5e-324]).high == 1
    assert fit_scale([7.0], from_zero=False).high > 7


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        ([3.0, 2.0, 1.0, 0.0], ["3", "2", "1", "0"]),
        ([1.0, 0.5, 0.0], ["1.0", "0.5", "0.0"]),
        ([7_500.0, 5_000.0, 0.0], ["7500", "5000", "0"]),
        ([15_000.0, 10_000.0, 0.0], ["15k", "10k", "0"]),
        ([2.5e6, 0.0], ["2.5M", "0.0"]),
        ([4e-10, 2e-10, 0.0], ["4e-10", "2e-10", "0"]),
    ],
)
def test_tick_labels_are_short_and_alike(ticks, labels):
    assert tick_labels(ticks) == labels


def test_paths_are_interrupted_at_gaps():
    scale = Scale(0, 1, 4)
    numbers = [4.0, 0.0, None, 2.0]
    assert line_path(numbers, scale) == "M0 0L125 0L375 240L500 240 M750 120L875 120L1000 120"
    assert step_path(numbers, scale) == "M0 0H250 L250 240H500 M750 120H1000"
    assert area_path([None, 2.0], scale) == "M500 120L750 120L1000 120L1000 240L500 240Z"
    assert line_path([], scale) == ""


@given(st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=200))
def test_bars_stand_on_the_ground_in_their_own_places(numbers):
    values = [Value(f"Block {index}", number, "") for index, number in enumerate(numbers)]
    chart = make_chart("a", "A", "b", "", ChartKind.BARS, values, [])
    assert len(chart.bars) == sum(number is not None for number in numbers)
    for bar in chart.bars:
        assert bar.y + bar.height == pytest.approx(HEIGHT, abs=0.02)
        assert bar.x >= 0
        assert bar.x + bar.width <= WIDTH + 0.01
    assert chart.line == chart.area == ""


def test_a_chart_has_what_its_kind_needs():
    values = [Value("Block 1", 1.0, "one"), Value("Block 2", 3.0, "three")]
    area = make_chart("a", "A", "b", "", ChartKind.AREA, values, ["1", "2"])
    assert area.area.endswith("Z")
    assert area.line
    assert not area.bars
    steps = make_chart("a", "A", "b", "", ChartKind.STEPS, values, ["1", "2"])
    assert "H" in steps.line
    assert not steps.area
    assert len(area.ticks) == len(area.grid)
    assert area.grid[0] == 0
    assert area.grid[-1] == HEIGHT


@given(st.integers(0, 1000), st.integers(0, 100_000), st.integers(2, 20))
def test_spread_numbers_rise_from_end_to_end(first, length, count):
    found = spread(first, first + length, count)
    assert (found[0], found[-1]) == (first, first + length)
    assert len(found) == min(count, length + 1)
    assert found == sorted(set(found))
