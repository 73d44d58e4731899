"""Rules of a block that need coins: what it may claim, overwrite and spend, each to the last satoshi and block."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.consensus.limits import MAX_MONEY
from shared.consensus.params import REGTEST
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxOut
from shared.reasons import Reason
from tests.builders import coinbase, output_of, p2wpkh, pay, spend
from tests.unit.mempool.memory import ALICE, BOB, MINER, MemoryNode


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


def reason(node: MemoryNode, *txs: Transaction, **options) -> str:
    return node.accept_block(node.block(txs, **options)).reason


@pytest.mark.parametrize(("excess", "expected"), [(0, ""), (1, Reason.BAD_CB_AMOUNT), (-1, "")])
def test_a_coinbase_claims_subsidy_and_fees_in_any_outputs_and_no_more(
    node: MemoryNode, excess: int, expected: str
) -> None:
    txs = [pay(node.coin(), ALICE, 1_000_000, fee=fee) for fee in (300, 77)]
    whole = coinbase(1, p2wpkh(MINER), REGTEST.subsidy + 377 - 5_000 + excess, txs, b"two outputs")
    first = Transaction(whole.version, whole.inputs, (*whole.outputs, TxOut(5_000, p2wpkh(BOB))), whole.lock_time)
    assert reason(node, *txs, first=first) == expected


@pytest.mark.parametrize("vout", [0, 1])
def test_a_transaction_does_not_overwrite_one_with_unspent_outputs(vout: int) -> None:
    node = MemoryNode(replace(REGTEST, bip34_height=2))  # two coinbases, and so their descendants, may be equal
    tx = pay(node.coin(), ALICE, 1_000_000)
    old = OutPoint(tx.txid, vout)
    node.view.unspent[old] = Coin(tx.outputs[vout], 0, False)
    assert reason(node, tx, fees=1_000) == Reason.BAD_TXNS_BIP30
    del node.view.unspent[old]
    assert reason(node, tx, fees=1_000, tag=b"once more") == ""


def test_a_confirmed_transaction_is_refused_for_its_outputs_while_one_is_left(node: MemoryNode) -> None:
    tx = pay(node.coin(), ALICE, 1_000_000)
    assert reason(node, tx, fees=1_000) == ""
    assert reason(node, tx, fees=1_000) == Reason.BAD_TXNS_BIP30
    for vout, owner in enumerate((ALICE, MINER)):
        assert reason(node, spend([output_of(tx, vout, owner)], [TxOut(0, p2wpkh(BOB))]), tx) == Reason.BAD_TXNS_BIP30
        assert reason(node, spend([output_of(tx, vout, owner)], [TxOut(0, b"\x6a")])) == ""
    assert reason(node, tx, fees=1_000) == Reason.BAD_TXNS_INPUTS_MISSINGORSPENT


def test_the_fees_of_a_block_are_money_together(node: MemoryNode) -> None:
    free = [spend([node.coin(MAX_MONEY // 2 + extra)], [TxOut(0, p2wpkh(BOB))]) for extra in (0, 1)]
    assert reason(node, *free) == Reason.BAD_TXNS_ACCUMULATED_FEE_OUTOFRANGE
    free[1] = spend([node.coin(MAX_MONEY // 2)], [TxOut(0, p2wpkh(BOB))])
    assert reason(node, *free, tag=b"all the money there can be") == ""


@pytest.mark.parametrize(("age", "expected"), [(3, ""), (2, Reason.BAD_TXNS_PREMATURE_SPEND_OF_COINBASE)])
def test_a_coinbase_matures_after_as_many_blocks_as_the_chain_says(age: int, expected: str) -> None:
    node = MemoryNode(replace(REGTEST, coinbase_maturity=3))
    for _ in range(3):
        node.mine()
    coin = node.coin()
    node.view.unspent[coin.outpoint] = Coin(coin.output, 4 - age, True)
    assert reason(node, pay(coin, ALICE, 1_000), fees=1_000) == expected


@pytest.mark.parametrize(("csv_height", "expected"), [(4, Reason.BAD_TXNS_NONFINAL), (5, "")])
def test_relative_locks_hold_from_their_activation_on(csv_height: int, expected: str) -> None:
    node = MemoryNode(replace(REGTEST, csv_height=csv_height))
    for _ in range(3):
        node.mine()
    coin = node.coin()
    node.view.unspent[coin.outpoint] = Coin(coin.output, 3, False)
    locked = spend([coin], [TxOut(1_000, p2wpkh(BOB))], sequence=2)
    assert reason(node, locked) == expected


@pytest.mark.parametrize(("sequence", "expected"), [(1, ""), (2, Reason.BAD_TXNS_NONFINAL)])
def test_a_relative_lock_is_met_by_the_blocks_since_the_coin(node: MemoryNode, sequence: int, expected: str) -> None:
    for _ in range(3):
        node.mine()
    coin = node.coin()
    node.view.unspent[coin.outpoint] = Coin(coin.output, 3, False)
    assert reason(node, spend([coin], [TxOut(1_000, p2wpkh(BOB))], sequence=sequence)) == expected


@pytest.mark.parametrize(("sequence", "expected"), [(0, ""), (1, Reason.BAD_TXNS_NONFINAL)])
def test_a_coin_of_the_same_block_has_no_age(node: MemoryNode, sequence: int, expected: str) -> None:
    parent = pay(node.coin(), ALICE, 1_000_000)
    child = spend([output_of(parent, 0, ALICE)], [TxOut(1_000_000, p2wpkh(BOB))], sequence=sequence)
    assert reason(node, parent, child, fees=1_000) == expected


def test_what_a_block_makes_and_spends_leaves_nothing_and_comes_back_in_reverse(node: MemoryNode) -> None:
    before = dict(node.view.unspent)
    base = node.mine()
    after_base = dict(node.view.unspent)
    coin = node.coin(owner=ALICE)
    first = spend([coin], [TxOut(9_000_000, p2wpkh(ALICE)), TxOut(900_000, p2wpkh(BOB))])
    second = spend([output_of(first, 0, ALICE)], [TxOut(8_900_000, p2wpkh(ALICE))])
    node.mine([first, second], fees=200_000)
    assert OutPoint(first.txid, 0) not in node.view.unspent
    assert OutPoint(first.txid, 1) in node.view.unspent
    for block in node.branch(base, 2):
        assert node.accept_block(block).accepted
    gone = {outpoint for outpoint in node.view.unspent if outpoint.txid in (first.txid, second.txid)}
    assert gone == set()
    assert node.view.unspent[coin.outpoint] == Coin(coin.output, 0, False)
    assert before.items() <= after_base.items() <= node.view.unspent.items()
