"""The rules that need coins, each met exactly and missed by one, on coins in memory and with scripts taken as valid."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from shared.chain.connect_block import ConnectedBlock, connect_block, disconnect_block
from shared.chain.overlay import Overlay
from shared.consensus.limits import MAX_MONEY
from shared.consensus.params import REGTEST, ChainParams
from shared.consensus.subsidy import block_subsidy
from shared.errors import ValidationError
from shared.primitives.block import Block
from shared.primitives.coin import Coin
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script.flags import Flags
from tests.unit.chain.test_overlay import Committed

HEIGHT = 200
SUBSIDY = block_subsidy(HEIGHT, REGTEST)
ANYONE = b"\x51"
CHECKSIG = b"\xac"
"""Counts as one signature operation of an output, four times as much in a block."""


def coin(number: int, value: int, *, height: int = 1) -> tuple[OutPoint, Coin]:
    return OutPoint(bytes([number]) * 32, 0), Coin(TxOut(value, ANYONE), height, False)


def tx(spends: Sequence[OutPoint], *outputs: TxOut, sequence: int = 0xFFFFFFFF) -> Transaction:
    return Transaction(2, tuple(TxIn(prevout, b"", sequence) for prevout in spends), outputs, 0)


def block(*txs: Transaction, reward: int = SUBSIDY, script: bytes = ANYONE) -> Block:
    """Return a block with these transactions and an arbitrary header."""
    first = Transaction(2, (TxIn(NULL_OUTPOINT, b"\x02\xc8\x00", 0),), (TxOut(reward, script),), 0)
    return Block(REGTEST.genesis.header, (first, *txs))


class Verifier:
    """Accepts every script, and records the inputs that it was called for."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, list[TxOut]]] = []

    def verify(self, tx: Transaction, spent: list[TxOut], flags: Flags, reason: Reason) -> None:
        assert flags & Flags.WITNESS
        assert reason is Reason.BLOCK_SCRIPT_VERIFY_FLAG_FAILED
        self.asked.append((tx.txid, spent))


def connect(
    overlay: Overlay, one: Block, *, params: ChainParams = REGTEST, verifier: Verifier | None = None
) -> ConnectedBlock:
    return connect_block(
        overlay,
        one,
        HEIGHT,
        params,
        median_time_past=1_000,
        mtp_at=lambda height: 0,
        verifier=verifier or Verifier(),
    )


def refused(overlay: Overlay, one: Block, params: ChainParams = REGTEST) -> Reason:
    with pytest.raises(ValidationError) as caught:
        connect(overlay, one, params=params)
    return caught.value.reason


def test_what_payments_spent_and_paid_is_told_in_the_block_s_order() -> None:
    first, second = coin(1, 1_000), coin(2, 500)
    parent = tx([first[0], second[0]], TxOut(900, ANYONE))
    child = tx([OutPoint(parent.txid, 0)], TxOut(850, ANYONE))
    source, verifier = Committed(first, second), Verifier()
    overlay = Overlay(source)
    payments = connect(overlay, block(parent, child, reward=SUBSIDY + 650), verifier=verifier)
    created = Coin(TxOut(900, ANYONE), HEIGHT, False)
    assert payments == ConnectedBlock([[first[1], second[1]], [created]], [600, 50])
    assert verifier.asked == [
        (parent.txid, [first[1].output, second[1].output]),
        (child.txid, [created.output]),
    ]
    assert len(source.reads) == 1, "all coins are read in one go"


@pytest.mark.parametrize(("extra", "valid"), [(-1, True), (0, True), (1, False)])
def test_a_coinbase_takes_subsidy_and_fees_and_not_a_satoshi_more(extra: int, valid: bool) -> None:
    spent = coin(1, 1_000)
    one = block(tx([spent[0]], TxOut(400, ANYONE)), reward=SUBSIDY + 600 + extra)
    if valid:
        connect(Overlay(Committed(spent)), one)
    else:
        assert refused(Overlay(Committed(spent)), one) is Reason.BAD_CB_AMOUNT


@pytest.mark.parametrize(("count", "valid"), [(20_000, True), (20_001, False)])
def test_a_block_may_cost_80_000_signature_operations(count: int, valid: bool) -> None:
    one = block(script=CHECKSIG * count)
    if valid:
        connect(Overlay(Committed()), one)
    else:
        assert refused(Overlay(Committed()), one) is Reason.BAD_BLK_SIGOPS


def test_signature_operations_of_all_transactions_add_up() -> None:
    spent = coin(1, 1_000)
    payment = tx([spent[0]], TxOut(400, CHECKSIG * 10_000))
    connect(Overlay(Committed(spent)), block(payment, script=CHECKSIG * 10_000))
    assert refused(Overlay(Committed(spent)), block(payment, script=CHECKSIG * 10_001)) is Reason.BAD_BLK_SIGOPS


@pytest.mark.parametrize(("second_fee", "valid"), [(0, True), (1, False)])
def test_all_fees_together_are_an_amount_of_money(second_fee: int, valid: bool) -> None:
    most, some = coin(1, MAX_MONEY), coin(2, 1_000)
    one = block(tx([most[0]], TxOut(0, ANYONE)), tx([some[0]], TxOut(1_000 - second_fee, ANYONE)))
    if valid:
        connect(Overlay(Committed(most, some)), one)
    else:
        assert refused(Overlay(Committed(most, some)), one) is Reason.BAD_TXNS_ACCUMULATED_FEE_OUTOFRANGE


@pytest.mark.parametrize(("csv_height", "checked"), [(HEIGHT, True), (HEIGHT + 1, False)])
def test_sequence_locks_hold_from_the_height_on_that_the_chain_says(csv_height: int, checked: bool) -> None:
    params = dataclasses.replace(REGTEST, csv_height=csv_height)
    spent = coin(1, 1_000, height=HEIGHT - 5)
    one = block(tx([spent[0]], TxOut(400, ANYONE), sequence=6))  # spends a coin five blocks deep
    if checked:
        assert refused(Overlay(Committed(spent)), one, params) is Reason.BAD_TXNS_NONFINAL
        connect(Overlay(Committed(spent)), block(tx([spent[0]], TxOut(400, ANYONE), sequence=5)), params=params)
    else:
        connect(Overlay(Committed(spent)), one, params=params)


def test_a_transaction_whose_outputs_are_unspent_is_not_made_again_but_where_the_chain_has_it() -> None:
    one = block()
    there = (OutPoint(one.transactions[0].txid, 0), Coin(TxOut(1, ANYONE), 1, True))
    assert refused(Overlay(Committed(there)), one) is Reason.BAD_TXNS_BIP30
    connect(Overlay(Committed(there)), one, params=dataclasses.replace(REGTEST, bip30_exceptions=frozenset({one.hash})))


def test_coins_that_are_missing_or_spent_before_in_the_block_are_refused() -> None:
    spent = coin(1, 1_000)
    missing = tx([OutPoint(b"\x09" * 32, 0)], TxOut(1, ANYONE))
    assert refused(Overlay(Committed(spent)), block(missing)) is Reason.BAD_TXNS_INPUTS_MISSINGORSPENT
    twice = [tx([spent[0]], TxOut(1, ANYONE)), tx([spent[0]], TxOut(2, ANYONE))]
    assert refused(Overlay(Committed(spent)), block(*twice)) is Reason.BAD_TXNS_INPUTS_MISSINGORSPENT
    parent = tx([spent[0]], TxOut(500, ANYONE))
    child = tx([OutPoint(parent.txid, 0)], TxOut(1, ANYONE))
    assert refused(Overlay(Committed(spent)), block(child, parent)) is Reason.BAD_TXNS_INPUTS_MISSINGORSPENT


def test_a_block_that_is_taken_off_leaves_everything_as_it_was() -> None:
    spent = coin(1, 1_000)
    parent = tx([spent[0]], TxOut(900, ANYONE), TxOut(0, b"\x6a"))
    child = tx([OutPoint(parent.txid, 0)], TxOut(850, ANYONE))
    one = block(parent, child)
    overlay = Overlay(Committed(spent))
    payments = connect(overlay, one)
    disconnect_block(overlay, one, payments.spent)
    assert overlay.coin_changes() == {}
    created = {
        OutPoint(made.txid, 0): Coin(made.outputs[0], HEIGHT, made is one.transactions[0])
        for made in (one.transactions[0], child)
    }
    source = Committed(*created.items())
    overlay = Overlay(source)
    disconnect_block(overlay, one, payments.spent)
    assert overlay.coin_changes() == dict.fromkeys(created, None) | dict([spent])
    assert len(source.reads) == 1, "all coins are read in one go"


@pytest.mark.parametrize("count", [0, 2])
def test_undo_data_of_another_block_are_refused(count: int) -> None:
    spent = coin(1, 1_000)
    with pytest.raises(ValueError, match=f"of {count} transactions for a block of 2"):
        disconnect_block(Overlay(Committed()), block(tx([spent[0]], TxOut(1, ANYONE))), [[spent[1]]] * count)
