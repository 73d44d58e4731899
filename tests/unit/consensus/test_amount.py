"""Amounts as text."""

from __future__ import annotations

import pytest

from shared.consensus.amount import format_btc, format_money


@pytest.mark.parametrize(("sats", "text"), [(0, "0.00000000"), (-150_000_000, "-1.50000000"), (1, "0.00000001")])
def test_satoshis_are_written_with_eight_decimals(sats: int, text: str) -> None:
    assert format_btc(sats) == text


@pytest.mark.parametrize(
    ("satoshis", "shown"),
    [
        (0, "0.00"),
        (1, "0.00000001"),
        (1_000, "0.00001"),
        (100_000_000, "1.00"),
        (150_000_000, "1.50"),
        (-5, "-0.00000005"),
    ],
)
def test_amounts_are_shown_as_core_shows_them(satoshis: int, shown: str) -> None:
    assert format_money(satoshis) == shown
