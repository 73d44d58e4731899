"""BTC amounts and fee rates as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wallet.errors import BadInput
from services.wallet.payments.amounts import format_feerate, parse_amount, parse_feerate
from shared.consensus.amount import format_btc


@pytest.mark.parametrize(
    ("text", "sats"),
    [
        ("50", 5_000_000_000),
        (50, 5_000_000_000),
        ("0.00000001", 1),
        (".5", 50_000_000),
        ("5.", 500_000_000),
        (" 1.5 ", 150_000_000),
        ("007", 700_000_000),
        ("0.1", 10_000_000),
        ("21000000", 2_100_000_000_000_000),
        (21_000_000, 2_100_000_000_000_000),
        ("21000000.00000000", 2_100_000_000_000_000),
        ("1".zfill(64), 100_000_000),
    ],
)
def test_an_amount_is_read_exactly(text: object, sats: int) -> None:
    assert parse_amount(text) == sats


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "amount-missing"),
        ("   ", "amount-missing"),
        (None, "amount-not-a-number"),
        ("abc", "amount-not-a-number"),
        ("1,5", "amount-not-a-number"),
        ("1 000", "amount-not-a-number"),
        ("1e3", "amount-not-a-number"),
        ("NaN", "amount-not-a-number"),
        ("inf", "amount-not-a-number"),
        ("0x10", "amount-not-a-number"),
        ("--1", "amount-not-a-number"),
        ("+1", "amount-not-a-number"),
        (".", "amount-not-a-number"),
        ("-", "amount-not-a-number"),
        ("١٢", "amount-not-a-number"),
        ("1" * 65, "amount-not-a-number"),
        (True, "amount-not-a-number"),
        ([1], "amount-not-a-number"),
        ({"a": 1}, "amount-not-a-number"),
        (0.1, "amount-not-exact"),
        (1e400, "amount-not-exact"),
        ("-1", "amount-negative"),
        ("-0.00000001", "amount-negative"),
        (-5, "amount-negative"),
        pytest.param(-(10**6000), "amount-negative", id="huge negative"),
        ("0", "amount-zero"),
        ("-0", "amount-zero"),
        ("0.00000000", "amount-zero"),
        (0, "amount-zero"),
        ("0.000000001", "amount-too-many-decimals"),
        ("1.000000000", "amount-too-many-decimals"),
        ("21000000.00000001", "amount-too-large"),
        ("99999999999999999999", "amount-too-large"),
        (21_000_001, "amount-too-large"),
        ("1".zfill(65), "amount-not-a-number"),
        pytest.param(10**6000, "amount-too-large", id="huge"),
    ],
)
def test_each_wrong_amount_has_its_own_code(value: object, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_amount(value)
    assert caught.value.code == code
    assert caught.value.field == "amount"


@given(st.integers(min_value=1, max_value=2_100_000_000_000_000))
def test_what_is_written_reads_back_the_same(sats: int) -> None:
    assert parse_amount(format_btc(sats)) == sats


@pytest.mark.parametrize(("value", "rate"), [("0.1", 100), ("2.5", 2_500), (7, 7_000), ("1000", 1_000_000)])
def test_a_fee_rate_is_read_in_satoshis_per_1000_vbytes(value: object, rate: int) -> None:
    assert parse_feerate(value) == rate
    assert parse_feerate(format_feerate(rate)) == rate


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("0.099", "feerate-too-small"),
        ("0", "feerate-zero"),
        ("-2", "feerate-negative"),
        ("1000.001", "feerate-too-large"),
        ("1.0001", "feerate-too-many-decimals"),
        (1.5, "feerate-not-exact"),
        ("fast", "feerate-not-a-number"),
    ],
)
def test_each_wrong_fee_rate_has_its_own_code(value: object, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_feerate(value)
    assert caught.value.code == code
