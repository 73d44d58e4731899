"""The geometry of a transaction's picture."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.explorer.pages.transaction.tx_flow_diagram import (
    MOST_ENDS,
    ROW,
    THIN,
    TRUNK,
    WIDTH,
    Band,
    Bundle,
    End,
    bundle,
    draw,
    shares,
)

VALUES = st.lists(st.integers(0, 21_000_000 * 10**8), min_size=1, max_size=MOST_ENDS)


def ends(*values):
    return [End("coin", value, str(value), str(value)) for value in values]


def numbers(band: Band) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", band.path)]


def edge(band: Band) -> tuple[float, float]:
    """Top and bottom at the side of the picture."""
    found = numbers(band)
    return found[1], found[-1]


def trunk(band: Band) -> tuple[float, float]:
    """Top and bottom in the middle."""
    found = numbers(band)
    return found[7], found[8]


def test_a_band_is_as_wide_as_its_amount():
    flow = draw(ends(100), ends(75, 20, 5))
    for place in (edge, trunk):
        sizes = [bottom - top for top, bottom in map(place, flow.outputs)]
        assert sizes == pytest.approx([0.75 * TRUNK, 0.2 * TRUNK, 0.05 * TRUNK], abs=0.02)
    top, bottom = edge(flow.inputs[0])
    assert bottom - top == TRUNK


def test_a_fee_beside_a_fortune_can_still_be_seen():
    flow = draw(ends(10**15), ends(10**15 - 1, 1))
    top, bottom = edge(flow.outputs[1])
    assert bottom - top == pytest.approx(THIN, abs=0.01)
    top, bottom = trunk(flow.outputs[1])
    assert bottom - top == pytest.approx(0, abs=0.01)


def test_inputs_come_from_the_left_and_outputs_go_to_the_right():
    flow = draw(ends(1), ends(1))
    assert flow.inputs[0].path.startswith("M0,")
    assert flow.outputs[0].path.startswith(f"M{WIDTH},")
    assert numbers(flow.inputs[0])[6] >= WIDTH / 2 >= numbers(flow.outputs[0])[6]


@given(VALUES, VALUES)
def test_bands_never_overlap_and_stay_inside(inputs, outputs):
    flow = draw(ends(*inputs), ends(*outputs))
    for bands in (flow.inputs, flow.outputs):
        for place in (edge, trunk):
            spots = [place(band) for band in bands]
            assert all(top <= bottom for top, bottom in spots)
            assert all(above[1] <= below[0] + 0.02 for above, below in pairwise(spots))
            assert spots[0][0] >= -0.5
            assert spots[-1][1] <= flow.height + 0.5


@given(VALUES, VALUES)
def test_labels_have_room(inputs, outputs):
    flow = draw(ends(*inputs), ends(*outputs))
    for bands in (flow.inputs, flow.outputs):
        assert all(below.y - above.y >= ROW - 0.2 for above, below in pairwise(bands))
        assert all(edge(band)[0] - 0.1 <= band.y <= edge(band)[1] + 0.1 for band in bands)


@given(VALUES)
def test_both_sides_of_the_trunk_are_the_whole_amount(values):
    flow = draw(ends(*values), ends(sum(values)))
    assert trunk(flow.inputs[0])[0] == pytest.approx(trunk(flow.outputs[0])[0], abs=0.02)
    assert trunk(flow.inputs[-1])[1] == pytest.approx(trunk(flow.outputs[0])[1], abs=0.02)


@pytest.mark.parametrize("values", [[0, 0], [5, None], [None, None]])
def test_where_amounts_say_nothing_all_bands_are_the_same(values):
    assert shares(values) == [0.5, 0.5]


def test_a_few_ends_are_all_drawn():
    assert bundle([1] * MOST_ENDS) == Bundle(MOST_ENDS, 0, 0)


def test_many_ends_are_bundled():
    assert bundle(list(range(52))) == Bundle(MOST_ENDS - 1, 41, sum(range(11, 52)))


def test_what_a_bundle_is_worth_is_not_known_if_one_of_it_is_not():
    assert bundle([1] * 20 + [None]).value is None
