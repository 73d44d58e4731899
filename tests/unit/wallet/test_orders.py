"""Orders: a payment as asked for, before any coin is looked at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from services.wallet.errors import BadInput
from services.wallet.payments.payments import Payments
from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.policy import WALLET_FEERATE
from shared.primitives.transaction import TxOut
from tests.builders import key, p2wpkh

ALICE = p2wpkh(key("alice"))
ADDRESS = encode_address(ALICE, REGTEST.address)
DATA = b"\x6a\x01x"
"""A script without an address that is never dust: OP_RETURN."""
MAX_MONEY = 2_100_000_000_000_000


@pytest.fixture
def payments() -> Payments:
    wallets: Any = SimpleNamespace(params=REGTEST, ledger=None)
    broker: Any = None
    return Payments(wallets, broker)


@pytest.mark.parametrize("sats", [1, MAX_MONEY])
def test_a_script_is_paid_any_amount_of_money(payments: Payments, sats: int) -> None:
    order = payments.order_for_script(DATA, sats)
    assert order.output == TxOut(sats, DATA)
    assert order.feerate == WALLET_FEERATE == 1_000


@pytest.mark.parametrize("sats", [-1, 0, MAX_MONEY + 1])
def test_a_script_is_paid_nothing_else(payments: Payments, sats: int) -> None:
    with pytest.raises(BadInput) as caught:
        payments.order_for_script(DATA, sats)
    assert (caught.value.field, caught.value.code) == ("amount", "amount-out-of-range")


def test_a_payee_is_named_by_address_or_else_by_script(payments: Payments) -> None:
    assert payments.order_for_script(ALICE, 1_000).payee.address == ADDRESS
    assert payments.order_for_script(DATA, 1_000).payee.address == DATA.hex()


def test_a_payee_is_paid_dust_by_no_order(payments: Payments) -> None:
    assert payments.order_for_script(ALICE, 294).amount == 294
    assert payments.order(ADDRESS, "0.00000294").amount == 294
    for order in (lambda: payments.order_for_script(ALICE, 293), lambda: payments.order(ADDRESS, "0.00000293")):
        with pytest.raises(BadInput) as caught:
            order()
        assert caught.value.code == "amount-dust"


@pytest.mark.parametrize("feerate", [None, ""])
def test_the_fee_rate_is_the_least_unless_given(payments: Payments, feerate: str | None) -> None:
    assert payments.order(ADDRESS, "1", feerate).feerate == 1_000
    assert payments.order(ADDRESS, "1", "2.5").feerate == 2_500


@pytest.mark.parametrize("amount", [None, "", "0.5"])
def test_a_payment_link_says_how_much(payments: Payments, amount: str | None) -> None:
    assert payments.order(f"bitcoin:{ADDRESS}?amount=0.5", amount).amount == 50_000_000


def test_a_payment_link_and_a_payer_who_disagree_are_refused(payments: Payments) -> None:
    with pytest.raises(BadInput) as caught:
        payments.order(f"bitcoin:{ADDRESS}?amount=0.5", "0.6")
    assert caught.value.code == "amount-differs"


def test_without_an_amount_in_the_link_the_payer_gives_one(payments: Payments) -> None:
    assert payments.order(f"bitcoin:{ADDRESS}", "0.6").amount == 60_000_000
    with pytest.raises(BadInput) as caught:
        payments.order(f"bitcoin:{ADDRESS}", "")
    assert caught.value.code == "amount-missing"
