"""Outages and errors are computed from the times in a ledger."""

from __future__ import annotations

import pytest

from tests.chaos.ledger import Answer, Claim, Entries, Struck
from tests.chaos.outages import QUIET_TIME, Outage, errors, outage, outages, rhythm


def answered(ended: float, status: str = "200", interface: str = "pay") -> Answer:
    return Answer(
        began=ended - 0.1, ended=ended, id=f"{ended}", interface=interface, status=status, acknowledged=status == "200"
    )


@pytest.mark.parametrize(
    ("acknowledged", "began", "ended", "expected"),
    [
        ([1.0, 2.0, 3.0, 9.0, 10.0], 4.0, 7.0, Outage(silence=5.0, after=2.0)),
        ([1.0, 2.0, 3.0, 4.0], 1.5, 1.5, Outage(silence=0.5, after=0.5)),
        ([1.0, 5.0, 5.5, 8.0], 2.0, 7.0, Outage(silence=3.0, after=1.0)),
        ([1.0, 5.0, 9.5], 2.0, 7.0, Outage(silence=4.5, after=2.5)),
        ([2.0, 7.0], 2.0, 7.0, Outage(silence=5.0, after=0.0)),
        ([1.0, 2.0], 3.0, 4.0, None),
        ([], 3.0, 4.0, None),
    ],
    ids=["silent", "at once", "answers during it", "slow after it", "at its ends", "never again", "never at all"],
)
def test_an_outage_lasts_until_the_next_acknowledged_request(
    acknowledged: list[float], began: float, ended: float, expected: Outage | None
) -> None:
    assert outage(acknowledged, began, ended) == expected


def test_outages_are_told_apart_by_fault_and_interface() -> None:
    entries = Entries(
        [
            Claim(0.0, "a", "pay"),
            Claim(0.0, "b", "mine", blocks=1),
            answered(1.0),
            answered(1.0, interface="mine"),
            answered(3.0, "503"),
            answered(6.0),
            Struck(began=2.0, ended=4.0, name="cut store"),
        ]
    )
    assert outages(entries) == {"cut store": {"mine": [None], "pay": [Outage(silence=4.0, after=2.0)]}}


def test_an_error_belongs_to_every_fault_that_its_interface_had_not_recovered_from() -> None:
    entries = Entries(
        [
            Claim(0.0, "a", "pay"),
            Claim(0.0, "b", "mine", blocks=1),
            answered(1.5, "503"),
            answered(3.0, "none"),
            answered(4.5, "500"),
            answered(5.0),
            answered(5.05, "none"),
            answered(6.0, "503"),
            answered(7.0, "504", interface="mine"),
            Struck(began=2.0, ended=4.0, name="cut store"),
            Struck(began=3.5, ended=3.5, name="kill wallet"),
        ]
    )
    assert errors(entries) == {
        ("cut store", "none"): {"pay": 2},
        ("cut store", "500"): {"pay": 1},
        ("cut store", "504"): {"mine": 1},
        ("kill wallet", "none"): {"pay": 1},
        ("kill wallet", "500"): {"pay": 1},
        ("kill wallet", "504"): {"mine": 1},
        (QUIET_TIME, "503"): {"pay": 2},
    }


def test_the_rhythm_is_the_median_gap() -> None:
    assert rhythm([1.0, 1.5, 2.0, 9.0]) == 0.5
    assert rhythm([1.0]) == 0.0
