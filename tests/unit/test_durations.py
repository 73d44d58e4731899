"""Spans of time in words."""

from __future__ import annotations

import pytest

from shared.durations import duration, short_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (61, "1 minute 1 second"),
        (3600, "1 hour"),
        (90_000, "1 day 1 hour"),
        (86_401, "1 day"),
        (10 * 86_400 + 3 * 3600 + 59, "10 days 3 hours"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3_599, "59 min 59 s"), (90_000, "1 d 1 h"), (86_401, "1 d")],
)
def test_a_short_duration_has_its_two_largest_units(seconds, text):
    assert short_duration(seconds) == text
