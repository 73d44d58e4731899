"""Payments as they are built and signed, checked by the consensus code."""

from __future__ import annotations

import pytest

from services.wallet.coins.selection import SpendableCoin, select_coins
from services.wallet.keys.accounts import Account, Keychain
from services.wallet.payments.builder import build_payment, sign_payment
from shared.consensus.tx_check import check_transaction
from shared.crypto.bip32 import ExtendedKey
from shared.errors import ScriptError
from shared.primitives.transaction import OutPoint, Transaction, TxOut
from shared.script.flags import STANDARD
from shared.script.interpreter import verify_input
from tests.builders import key, p2wpkh

ROOT = ExtendedKey.from_seed(bytes(64)).derive("84h/1h/0h")
ACCOUNT = Account(ROOT.neuter())
PAYMENT = TxOut(120_000, p2wpkh(key("payee")))
CHANGE = ACCOUNT.key(Keychain.CHANGE, 7).script_pubkey
HEIGHT = 321


def coin_of(number: int, value: int) -> SpendableCoin:
    branch = Keychain(number % 2)
    output = TxOut(value, ACCOUNT.key(branch, number).script_pubkey)
    return SpendableCoin(OutPoint(bytes([number]) * 32, number), output, 100, branch, number)


def signed(count: int = 3, rate: int = 2_000) -> tuple[Transaction, list[SpendableCoin]]:
    coins = [coin_of(number, 50_000) for number in range(count)]
    selection = select_coins(coins, PAYMENT, CHANGE, rate)
    unsigned = build_payment(selection, PAYMENT, CHANGE, HEIGHT)
    return sign_payment(unsigned, selection.coins, private_key), list(selection.coins)


def private_key(coin: SpendableCoin):
    return ROOT.child(coin.branch).child(coin.index).private_key


def spent_outputs(tx: Transaction, coins: list[SpendableCoin]) -> list[TxOut]:
    by_outpoint = {coin.outpoint: coin.output for coin in coins}
    return [by_outpoint[txin.prevout] for txin in tx.inputs]


def test_every_input_of_a_payment_verifies() -> None:
    tx, coins = signed()
    assert len(tx.inputs) == 3
    check_transaction(tx)
    for index in range(3):
        verify_input(tx, index, spent_outputs(tx, coins), STANDARD)


def test_a_changed_payment_does_not_verify() -> None:
    tx, coins = signed()
    outputs = tuple(TxOut(output.value - 1, output.script_pubkey) for output in tx.outputs)
    changed = Transaction(tx.version, tx.inputs, outputs, tx.lock_time)
    with pytest.raises(ScriptError):
        verify_input(changed, 0, spent_outputs(tx, coins), STANDARD)


def test_a_payment_has_the_payee_and_the_change_and_pays_its_fee() -> None:
    tx, coins = signed(rate=2_000)
    assert PAYMENT in tx.outputs
    (change,) = [output for output in tx.outputs if output != PAYMENT]
    assert change.script_pubkey == CHANGE
    fee = sum(coin.value for coin in coins) - sum(output.value for output in tx.outputs)
    assert 2 * tx.vsize <= fee <= 2 * (tx.vsize + len(coins))  # a signature may come out a byte shorter


def test_a_payment_cannot_be_mined_below_the_tip_and_may_be_replaced() -> None:
    tx, _ = signed()
    assert tx.lock_time == HEIGHT
    assert {txin.sequence for txin in tx.inputs} == {0xFFFFFFFD}


def test_the_place_of_the_change_tells_nothing() -> None:
    places = {signed()[0].outputs.index(PAYMENT) for _ in range(64)}
    assert places == {0, 1}


def test_a_payment_without_change_has_one_output() -> None:
    coins = [coin_of(0, PAYMENT.value + 110)]
    selection = select_coins(coins, PAYMENT, CHANGE, 1_000)
    assert build_payment(selection, PAYMENT, CHANGE, HEIGHT).outputs == (PAYMENT,)
