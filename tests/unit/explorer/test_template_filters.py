"""Feerates, fees, sizes and ages as pages word them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import services.explorer
from services.explorer.pages.template_filters import fees_text, rate_class, rate_legend, rate_text, si


@pytest.mark.parametrize(
    ("rate", "colour"),
    [
        (None, "rate-none"),
        (0, "rate-0"),
        (0.99, "rate-0"),
        (1, "rate-1"),
        (4.99, "rate-2"),
        (5, "rate-3"),
        (1e6, "rate-10"),
    ],
)
def test_a_feerate_has_the_colour_of_its_band(rate, colour):
    assert rate_class(rate) == colour


def test_each_colour_is_in_the_legend_and_in_the_style_sheet():
    styles = (Path(services.explorer.__file__).parent / "static" / "strip.css").read_text()
    defined = re.findall(r"^\.(rate-\d+) \{", styles, re.MULTILINE)
    assert [colour for colour, _ in rate_legend()] == defined
    assert [label for _, label in rate_legend()][:3] == ["< 1", "1", "2"]
    assert rate_legend()[-1][1] == "1000+"


@pytest.mark.parametrize(("rate", "text"), [(0.1, "0.1"), (9.94, "9.9"), (10.4, "10"), (1234.5, "1\u2009234")])
def test_low_feerates_have_a_decimal(rate, text):
    assert rate_text(rate) == text


@pytest.mark.parametrize(
    ("sats", "text"), [(0, "0 sat"), (99_999, "99\u2009999 sat"), (100_000, "0.0010 BTC"), (5e8, "5.0000 BTC")]
)
def test_large_fees_are_in_btc(sats, text):
    assert fees_text(sats) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1 kB"),
        (1_280_000, "1.28 MB"),
        (12.34, "12.3 B"),
        (3e25, "30 YB"),
        (3e30, "3e+06 YB"),
    ],
)
def test_quantities_have_three_digits_and_a_prefix(value, text):
    assert si(value, "B") == text
