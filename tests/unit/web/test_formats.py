import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.formats import age, btc, btc_parts, counted, thousands, utc_iso, utc_text


@pytest.mark.parametrize(
    ("sats", "text"),
    [
        (0, "0.00000000"),
        (1, "0.00000001"),
        (50_0000_0000, "50.00000000"),
        (-12_345, "−0.00012345"),
        (21_000_000_0000_0000, "21\u2009000\u2009000.00000000"),
    ],
)
def test_amounts_have_eight_decimals_and_thin_spaces(sats, text):
    assert btc(sats) == text


def test_a_gain_has_a_plus_only_where_asked_for():
    assert btc(1, sign=True) == "+0.00000001"
    assert btc(0, sign=True) == "0.00000000"
    assert btc(1) == "0.00000001"


@pytest.mark.parametrize(
    ("sats", "strong", "faint"),
    [(0, "0", ".00000000"), (50_0000_0000, "50", ".00000000"), (1_5000_0000, "1.5", "0000000"), (7, "0.00000007", "")],
)
def test_trailing_zeros_are_told_apart(sats, strong, faint):
    parts = btc_parts(sats)
    assert (parts.strong, parts.faint) == (strong, faint)


@given(st.integers(-(10**17), 10**17))
def test_the_text_of_an_amount_is_exact(sats):
    digits = btc(sats).replace("\u2009", "").replace(".", "").replace("−", "-")
    assert int(digits) == sats


def test_times_are_utc():
    assert utc_iso(1_296_688_602) == "2011-02-02T23:16:42Z"
    assert utc_text(0xFFFFFFFF) == "2106-02-07 06:28:15"


def test_numbers_are_grouped_by_thin_spaces():
    assert thousands(1_234_567) == "1\u2009234\u2009567"
    assert thousands(999) == "999"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "just now"),
        (4.9, "just now"),
        (5, "5 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (7_200, "2 h ago"),
        (2e6, "23 d ago"),
        (5e8, "15 y ago"),
    ],
)
def test_ages_are_in_their_largest_unit(seconds, text):
    assert age(seconds) == text


def test_a_noun_has_an_s_unless_there_is_one():
    assert [counted(number, "block") for number in (0, 1, 1_000)] == ["0 blocks", "1 block", "1\u2009000 blocks"]
