"""Acceptance of a single transaction: each limit met exactly, and missed by one."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec import structs

from services.mempool.pool.acceptance import Origin
from shared import policy
from shared.consensus.params import REGTEST
from shared.crypto.hashes import sha256
from shared.errors import ValidationError
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script.opcodes import OP_CHECKMULTISIG
from shared.script.script import push_data, push_number
from shared.script.standard import P2A_SCRIPT
from tests.builders import Spendable, output_of, p2wpkh, pay, spend
from tests.unit.mempool.memory import ALICE, BOB, MINER, MemoryNode

MULTISIG = push_number(1) + push_data(b"\x02" + bytes(32)) * 3 + push_number(3) + bytes([OP_CHECKMULTISIG])


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


def verdict(node: MemoryNode, tx: Transaction, **options) -> str:
    """The reason of a trial, empty if the transaction would be accepted."""
    before = node.state()
    reply = node.send_one(tx, test_only=True, **options)
    assert node.state() == before
    assert reply.accepted is not bool(reply.reason)
    return reply.reason


def to_bob(coin: Spendable, fee: int = 1_000, **options) -> Transaction:
    return spend([coin], [TxOut(coin.output.value - fee, p2wpkh(BOB))], **options)


# ── fees ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_relay_minimum_is_met_to_the_satoshi(node: MemoryNode) -> None:
    coin = node.coin()
    minimum = policy.fee_for(to_bob(coin).vsize, policy.MIN_RELAY_FEERATE)
    assert verdict(node, to_bob(coin, minimum)) == ""
    assert verdict(node, to_bob(coin, minimum - 1)) == Reason.MIN_RELAY_FEE_NOT_MET


def test_a_priority_counts_for_the_minimum_and_not_for_the_senders_limit(node: MemoryNode) -> None:
    free = to_bob(node.coin(), 0)
    minimum = policy.fee_for(free.vsize, policy.MIN_RELAY_FEERATE)
    node.prioritise(free.txid, minimum - 1)
    assert verdict(node, free) == Reason.MIN_RELAY_FEE_NOT_MET
    node.prioritise(free.txid, minimum)
    assert verdict(node, free, max_feerate=1) == ""
    paid = to_bob(node.coin(), minimum)
    node.prioritise(paid.txid, -1)
    assert verdict(node, paid) == Reason.MIN_RELAY_FEE_NOT_MET
    record = node.acceptor().accept(free, 1).record
    assert record.entry.fee == 0, "what is stored is what it pays"


def test_the_senders_limit_is_kept_to_the_satoshi(node: MemoryNode) -> None:
    coin = node.coin()
    most = policy.fee_for(to_bob(coin).vsize, 5_000)
    assert verdict(node, to_bob(coin, most), max_feerate=5_000) == ""
    assert verdict(node, to_bob(coin, most + 1), max_feerate=5_000) == Reason.MAX_FEE_EXCEEDED


# ── signature operations ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_transaction_costs_at_most_16000_signature_operations(node: MemoryNode) -> None:
    outputs = [TxOut(10_000, MULTISIG)] * 200  # 20 each, four times
    anchor = node.coin_to(P2A_SCRIPT)
    full = Transaction(2, (TxIn(anchor, b"", 0),), (*outputs, TxOut(7_000_000, p2wpkh(BOB))))
    record = node.acceptor().accept(full, 1).record
    assert record.entry.sigop_cost == 16_000
    assert record.entry.vsize == 16_000 * 20 // 4, "they make it larger than it is"
    assert verdict(node, full) == ""
    over = spend([node.coin()], [*outputs, TxOut(7_000_000, p2wpkh(BOB))])
    assert verdict(node, over) == Reason.BAD_TXNS_TOO_MANY_SIGOPS


def test_a_block_had_more_signature_operations_than_the_pool_takes(node: MemoryNode) -> None:
    over = spend([node.coin()], [*[TxOut(10_000, MULTISIG)] * 200, TxOut(7_000_000, p2wpkh(BOB))])
    record = node.acceptor().accept(over, 1, Origin.BLOCK).record
    assert record.entry.sigop_cost == 16_001


# ── locks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lock_by_height_ends_below_the_next_block(node: MemoryNode) -> None:
    for _ in range(3):
        node.mine()
    coin = node.coin()
    assert verdict(node, to_bob(coin, lock_time=3)) == ""
    assert verdict(node, to_bob(coin, lock_time=4)) == Reason.NON_FINAL
    assert verdict(node, to_bob(coin, lock_time=4, sequence=0xFFFFFFFF)) == ""


def test_a_lock_by_time_ends_below_the_median_time_past(node: MemoryNode) -> None:
    for _ in range(3):
        node.mine()
    median = node.tree.median_time_past(node.tree.tip)
    coin = node.coin()
    assert verdict(node, to_bob(coin, lock_time=median - 1)) == ""
    assert verdict(node, to_bob(coin, lock_time=median)) == Reason.NON_FINAL


def test_a_relative_lock_counts_from_the_coins_block(node: MemoryNode) -> None:
    for _ in range(5):
        node.mine()
    coin = node.coin()
    node.view.unspent[coin.outpoint] = Coin(coin.output, 2, False)
    assert verdict(node, to_bob(coin, sequence=4)) == ""
    assert verdict(node, to_bob(coin, sequence=5)) == Reason.NON_BIP68_FINAL
    assert verdict(node, to_bob(coin, sequence=5, version=1)) == ""


def test_an_unconfirmed_coin_is_as_old_as_the_next_block(node: MemoryNode) -> None:
    parent = pay(node.coin(), ALICE, 1_000_000)
    assert node.send_one(parent).accepted
    coin = output_of(parent, 0, ALICE)
    assert verdict(node, to_bob(coin, sequence=0)) == ""
    assert verdict(node, to_bob(coin, sequence=1)) == Reason.NON_BIP68_FINAL


def test_a_coinbase_matures_for_the_next_block() -> None:
    node = MemoryNode(dataclasses.replace(REGTEST, coinbase_maturity=3))
    for _ in range(3):
        node.mine()
    coin = node.coin()
    node.view.unspent[coin.outpoint] = Coin(coin.output, 1, True)
    assert verdict(node, to_bob(coin)) == ""
    node.view.unspent[coin.outpoint] = Coin(coin.output, 2, True)
    assert verdict(node, to_bob(coin)) == Reason.BAD_TXNS_PREMATURE_SPEND_OF_COINBASE


# ── coins ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["pool", "package"])
def test_an_output_that_its_parent_does_not_have_is_missing(node: MemoryNode, where: str) -> None:
    parent = to_bob(node.coin())
    last = output_of(parent, 0, BOB)
    beyond = dataclasses.replace(last, outpoint=OutPoint(parent.txid, 1))
    if where == "pool":
        assert node.send_one(parent).accepted
        assert verdict(node, to_bob(last)) == ""
        assert verdict(node, to_bob(beyond)) == Reason.BAD_TXNS_INPUTS_MISSINGORSPENT
    else:
        acceptor, siblings = node.acceptor(), {parent.txid: parent}
        assert acceptor.examine(to_bob(last), 1, Origin.PACKAGE, siblings).record.entry.fee == 1_000
        with pytest.raises(ValidationError, match=Reason.BAD_TXNS_INPUTS_MISSINGORSPENT):
            acceptor.examine(to_bob(beyond), 1, Origin.PACKAGE, siblings)


@pytest.mark.parametrize("left", [0, 1])
def test_a_transaction_is_known_while_any_output_of_it_is_unspent(node: MemoryNode, left: int) -> None:
    tx = pay(node.coin(), ALICE, 1_000_000)
    node.mine([tx], fees=1_000)
    assert verdict(node, tx) == Reason.TXN_ALREADY_KNOWN
    node.mine([to_bob(output_of(tx, 1 - left, MINER if left == 0 else ALICE))], fees=1_000)
    assert verdict(node, tx) == Reason.TXN_ALREADY_KNOWN
    node.mine([to_bob(output_of(tx, left, ALICE if left == 0 else MINER))], fees=1_000)
    assert verdict(node, tx) == Reason.BAD_TXNS_INPUTS_MISSINGORSPENT


def test_the_same_transaction_and_one_with_another_witness_are_told_apart(node: MemoryNode) -> None:
    tx = to_bob(node.coin())
    assert node.send_one(tx).accepted
    first = structs.replace(tx.inputs[0], witness=(b"other",))
    other = Transaction(tx.version, (first,), tx.outputs, tx.lock_time)
    assert verdict(node, tx) == Reason.TXN_ALREADY_IN_MEMPOOL
    assert verdict(node, other) == Reason.TXN_SAME_NONWITNESS_DATA_IN_MEMPOOL


def test_every_script_is_noted_once(node: MemoryNode) -> None:
    coins = [node.coin(), node.coin()]
    outputs = [TxOut(1_000_000, p2wpkh(BOB)), TxOut(1_000_000, p2wpkh(MINER)), TxOut(1_000_000, p2wpkh(BOB))]
    record = node.acceptor().accept(spend(coins, outputs), 1).record
    assert record.script_hashes == (sha256(p2wpkh(MINER)), sha256(p2wpkh(BOB)))


# ── place ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("over", [0, 1])
def test_the_pool_holds_what_it_may_and_no_more(node: MemoryNode, over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = to_bob(node.coin()), to_bob(node.coin())
    assert node.send_one(first).accepted
    monkeypatch.setattr(policy, "MAX_POOL_VSIZE", first.vsize + second.vsize - over)
    assert verdict(node, second) == (Reason.MEMPOOL_FULL if over else "")


def test_a_replacement_takes_the_room_of_all_that_leave_for_it(
    node: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    coin = node.coin(owner=ALICE)
    old = spend([coin], [TxOut(coin.output.value - 1_000, p2wpkh(ALICE))])
    child = to_bob(output_of(old, 0, ALICE))
    for tx in (old, child):
        assert node.send_one(tx).accepted
    new = spend([coin], [TxOut(1_000_000, p2wpkh(BOB))] * 3)
    monkeypatch.setattr(policy, "MAX_POOL_VSIZE", new.vsize)
    assert new.vsize < node.pool.vsize
    assert verdict(node, new) == ""
    monkeypatch.setattr(policy, "MAX_POOL_VSIZE", new.vsize - 1)
    assert verdict(node, new) == Reason.MEMPOOL_FULL


@pytest.mark.parametrize("over", [0, 1])
def test_a_cluster_weighs_at_most_404000(node: MemoryNode, over: int) -> None:
    parent = spend([node.coin()], [TxOut(5_000_000, p2wpkh(ALICE)), TxOut(0, b"\x6a" + push_data(bytes(60_000)))])
    assert node.send_one(parent).accepted
    coin = output_of(parent, 0, ALICE)

    def child(padding: int) -> Transaction:
        return spend([coin], [TxOut(4_000_000, p2wpkh(BOB)), TxOut(0, b"\x6a" + push_data(bytes(padding)))])

    spare = policy.MAX_CLUSTER_VSIZE * 4 - parent.weight - child(30_000).weight
    assert spare > 0
    full = child(30_000 + spare // 4)
    assert 0 <= policy.MAX_CLUSTER_VSIZE * 4 - parent.weight - full.weight < 4
    assert verdict(node, full) == ""
    assert verdict(node, child(30_000 + spare // 4 + 1)) == Reason.TOO_LARGE_CLUSTER


def test_two_clusters_that_a_transaction_joins_count_as_one(node: MemoryNode, monkeypatch: pytest.MonkeyPatch) -> None:
    parents = [pay(node.coin(), ALICE, 1_000_000) for _ in range(2)]
    for parent in parents:
        assert node.send_one(parent).accepted
    both = spend([output_of(parent, 0, ALICE) for parent in parents], [TxOut(1_000_000, p2wpkh(BOB))])
    monkeypatch.setattr(policy, "MAX_CLUSTER_COUNT", 3)
    assert verdict(node, both) == ""
    monkeypatch.setattr(policy, "MAX_CLUSTER_COUNT", 2)
    assert verdict(node, both) == Reason.TOO_LARGE_CLUSTER


# ── replacing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_keeps_what_is_there_replaces_nothing(node: MemoryNode) -> None:
    coin = node.coin()
    old, new = to_bob(coin), to_bob(coin, 9_000)
    assert node.send_one(old).accepted
    assert verdict(node, new, may_replace=False) == Reason.BIP125_REPLACEMENT_DISALLOWED
    assert verdict(node, new) == ""
    trial = node.send(to_bob(node.coin()), new, test_only=True)
    assert [reply.reason for reply in trial.verdicts] == ["", Reason.BIP125_REPLACEMENT_DISALLOWED]
    with pytest.raises(ValidationError, match=Reason.BIP125_REPLACEMENT_DISALLOWED):
        node.acceptor().accept(new, 1, Origin.BLOCK)
    assert [reply.accepted for reply in node.send(to_bob(node.coin()), new).verdicts] == [True, True]
    assert old.txid not in node.pool


def test_a_replacement_may_not_spend_what_it_replaces(node: MemoryNode) -> None:
    coin, other = node.coin(owner=ALICE), node.coin()
    old = spend([coin], [TxOut(9_000_000, p2wpkh(ALICE)), TxOut(500_000, p2wpkh(ALICE))])
    child = spend([output_of(old, 0, ALICE)], [TxOut(8_900_000, p2wpkh(ALICE))])
    for tx in (old, child):
        assert node.send_one(tx).accepted
    for inside in (output_of(old, 1, ALICE), output_of(child, 0, ALICE)):
        worth = coin.output.value + inside.output.value
        tx = spend([coin, inside], [TxOut(worth - 2_000_000, p2wpkh(BOB))])
        assert verdict(node, tx) == Reason.BAD_TXNS_SPENDS_CONFLICTING_TX
    beside = spend([coin, other], [TxOut(15_000_000, p2wpkh(BOB))])
    assert verdict(node, beside) == ""


# ── order of checks: cheap before costly ────────────────────────────────────────────────────────────────────────────


def test_the_first_rule_that_is_broken_is_told(node: MemoryNode) -> None:
    coin = node.coin()
    thief = dataclasses.replace(coin, owner=BOB)
    assert verdict(node, to_bob(thief, 0)) == Reason.MIN_RELAY_FEE_NOT_MET
    assert verdict(node, to_bob(thief, 0, lock_time=900)) == Reason.NON_FINAL
    assert verdict(node, to_bob(thief, 0, lock_time=900, version=9)) == Reason.VERSION
    assert verdict(node, spend([thief], [], version=9)) == Reason.BAD_TXNS_VOUT_EMPTY
    assert verdict(node, to_bob(thief)).startswith(Reason.MEMPOOL_SCRIPT_VERIFY_FLAG_FAILED)
    assert verdict(node, to_bob(thief, 100_000), max_feerate=1_000) == Reason.MAX_FEE_EXCEEDED


def test_what_was_in_a_block_is_checked_by_consensus_and_its_scripts(node: MemoryNode) -> None:
    thief = dataclasses.replace(node.coin(), owner=BOB)
    acceptor = node.acceptor()
    for tx, reason in (
        (to_bob(thief), Reason.MEMPOOL_SCRIPT_VERIFY_FLAG_FAILED),
        (to_bob(node.coin(), lock_time=900), Reason.NON_FINAL),
        (to_bob(node.coin(), sequence=9), Reason.NON_BIP68_FINAL),
        (to_bob(node.coin(), -1), Reason.BAD_TXNS_IN_BELOWOUT),
        (node.mine().transactions[0], Reason.COINBASE),
    ):
        with pytest.raises(ValidationError) as caught:
            acceptor.accept(tx, 1, Origin.BLOCK)
        assert caught.value.reason is reason
