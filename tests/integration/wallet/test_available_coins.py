"""Coins are remembered between the payments of a wallet, and never offered once they are spent or promised."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

import pytest

from services.wallet.coins import available
from services.wallet.coins.available import PaymentUnderWay
from services.wallet.coins.selection import SpendableCoin
from services.wallet.keys.accounts import WalletKey
from services.wallet.payments.payments import PATIENCE
from shared.bus.events import TxSubmitted
from shared.chain.view import Tip
from shared.primitives.transaction import Transaction
from shared.reasons import Reason
from tests.integration.wallet.conftest import COIN, PASSWORD, Stack
from tests.integration.wallet.test_api import verdict
from tests.integration.wallet.test_retries import submitted


@pytest.fixture
def reads(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of keys of each time that all coins of a wallet were read."""
    found: list[int] = []
    spendable = stack.wallets.ledger.spendable
    monkeypatch.setattr(stack.wallets.ledger, "spendable", lambda keys: found.append(len(keys)) or spendable(keys))
    return found


def send(stack: Stack, wallet: str, payee: str, amount: str = "1") -> str:
    answer = stack.post(f"/{wallet}/send", to=payee, amount=amount, password=PASSWORD)
    assert answer.status_code == 200, answer.json
    return str(answer.json["txid"])


def test_the_coins_of_a_wallet_are_read_once_until_the_tip_moves(stack: Stack, reads: list[int]) -> None:
    stack.fund("w", 3)
    payee = stack.create("p")
    for _ in range(3):
        send(stack, "w", payee)
    assert len(reads) == 1
    stack.mine()
    for _ in range(3):
        send(stack, "w", payee)
    assert len(reads) == 2
    assert stack.get("/p").json["unconfirmed"] == 3 * COIN


def test_change_is_spent_when_the_remembered_coins_do_not_suffice(stack: Stack, reads: list[int]) -> None:
    stack.fund("w", 1)
    payee = stack.create("p")
    for _ in range(3):
        send(stack, "w", payee)
    assert len(reads) == 3
    assert len(submitted(stack)) == 3
    assert stack.get("/p").json["unconfirmed"] == 3 * COIN


def test_a_remembered_coin_that_another_instance_has_spent_is_not_offered(stack: Stack, reads: list[int]) -> None:
    stack.fund("w", 4)
    payee = stack.create("p")
    send(stack, "w", payee)
    other = stack.new_instance()
    answer = other.post("/api/wallets/w/send", json={"to": payee, "amount": "1", "password": PASSWORD})
    assert answer.status_code == 200
    send(stack, "w", payee)
    assert len(submitted(stack)) == 3  # none was refused
    assert len(reads) == 2


def test_a_payment_whose_remembered_coins_were_the_last_ones_is_told_so_at_once(stack: Stack) -> None:
    stack.fund("w", 2)
    payee = stack.create("p")
    send(stack, "w", payee, "49.99")
    other = stack.new_instance()
    body = {"to": payee, "amount": "49.99", "password": PASSWORD}
    assert other.post("/api/wallets/w/send", json=body).status_code == 200
    began = time.monotonic()
    answer = stack.post("/w/send", to=payee, amount="40", password=PASSWORD)
    assert answer.json["code"] == "insufficient-funds"
    assert time.monotonic() - began < PATIENCE / 2
    assert len(submitted(stack)) == 2


def test_the_coins_of_a_refused_payment_are_offered_again(stack: Stack) -> None:
    stack.fund("w", 1)
    payee = stack.create("p")
    stack.broker.answers[TxSubmitted] = lambda message: verdict(message, Reason.MIN_RELAY_FEE_NOT_MET)
    assert stack.post("/w/send", to=payee, amount="1", password=PASSWORD).status_code == 422
    stack.broker.answers[TxSubmitted] = stack.submit
    send(stack, "w", payee)
    assert stack.payments._coins.oldest("w") is None


def test_an_address_that_is_paid_by_a_block_is_offered_after_it(stack: Stack, reads: list[int]) -> None:
    stack.fund("w", 2)
    stack.fund("rich", 1)
    send(stack, "w", stack.create("p"))
    fresh = stack.post("/w/addresses", password=PASSWORD).json["address"]
    send(stack, "rich", fresh, "49")
    stack.mine()
    reads.clear()
    send(stack, "w", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "140")
    assert len(reads) == 1


@pytest.mark.parametrize(("most", "remembered"), [(2, 1), (3, 2), (4, 2)])
def test_so_many_coins_are_remembered_in_all(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, most: int, remembered: int
) -> None:
    monkeypatch.setattr(available, "_MOST_COINS", most)
    payee = stack.create("p")
    stack.fund("w1", 2)
    stack.fund("w2", 2)
    for wallet in ("w1", "w2"):
        send(stack, wallet, payee)
    assert len(stack.payments._coins._remembered) == remembered
    for wallet in ("w1", "w2"):
        send(stack, wallet, payee)


def test_a_coin_that_a_payment_takes_while_a_fee_is_asked_for_is_not_remembered(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.fund("w", 2)
    payee = stack.create("p")
    spendable = stack.wallets.ledger.spendable

    def paying_meanwhile(keys: Sequence[WalletKey]) -> tuple[list[SpendableCoin], Tip]:
        monkeypatch.setattr(stack.wallets.ledger, "spendable", spendable)
        found = spendable(keys)
        taken.append(stack.payments._coins.payment("w"))
        stack.payments._coins.take("w", taken[0].__enter__(), found[0][:1], 0)
        return found

    taken: list[AbstractContextManager[PaymentUnderWay]] = []
    monkeypatch.setattr(stack.wallets.ledger, "spendable", paying_meanwhile)
    stack.payments.quote("w", stack.payments.order(payee, "1"))
    send(stack, "w", payee)
    (paid,) = submitted(stack)
    (txin,) = Transaction.parse(bytes.fromhex(paid[0])).inputs
    (payment,) = stack.payments._coins._under_way["w"].payments
    assert txin.prevout not in [coin.outpoint for coin in payment.coins]
    taken[0].__exit__(None, None, None)
