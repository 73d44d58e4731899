"""Packages: the faults that a child's fee makes up for, the ones that it does not, and the stored transactions."""

from __future__ import annotations

import pytest
from msgspec import structs

from services.mempool.transactions.package import check_topology, check_well_formed
from shared import policy
from shared.bus.events import TxVerdicts
from shared.errors import ValidationError
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from tests.builders import Spendable, output_of, p2wpkh, pay, spend
from tests.unit.mempool.memory import ALICE, BOB, MemoryNode

FORGED = f"{Reason.MEMPOOL_SCRIPT_VERIFY_FLAG_FAILED} ({Reason.NULLFAIL})"


def child_of(*parents: Transaction, fee: int) -> Transaction:
    coins = [output_of(parent, 0, ALICE) for parent in parents]
    return spend(coins, [TxOut(sum(coin.output.value for coin in coins) - fee, p2wpkh(BOB))])


def forged(tx: Transaction) -> Transaction:
    """Return the transaction with a well-formed but wrong signature."""
    signature, public_key = tx.inputs[0].witness
    broken = signature[:-2] + bytes([signature[-2] ^ 1]) + signature[-1:]
    first = structs.replace(tx.inputs[0], witness=(broken, public_key))
    return Transaction(tx.version, (first, *tx.inputs[1:]), tx.outputs, tx.lock_time)


def submit_package(node: MemoryNode, *txs: Transaction, **options) -> TxVerdicts:
    return node.send(*txs, package=True, **options)


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


# ── signatures ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("parent_fee", [0, 1_000], ids=["judged with its child", "judged alone"])
@pytest.mark.parametrize("broken", ["parent", "child", "both"])
def test_a_bad_signature_anywhere_in_a_package_keeps_it_out(node: MemoryNode, parent_fee: int, broken: str) -> None:
    parent = pay(node.coin(), ALICE, 1_000_000, fee=parent_fee)
    child = child_of(parent, fee=2_000)
    parent = forged(parent) if broken != "child" else parent
    child = forged(child) if broken != "parent" else child
    before = node.state()
    reply = submit_package(node, parent, child)
    assert reply.package_error == Reason.TRANSACTION_FAILED
    by_itself = parent_fee and broken == "child"
    first_broken = 1 if broken == "child" else 0
    assert reply.verdicts[first_broken].reason == FORGED
    assert [verdict.accepted for verdict in reply.verdicts] == [bool(by_itself), False]
    if not by_itself:
        assert node.state() == before


def test_a_bad_signature_keeps_a_replacing_package_out(node: MemoryNode) -> None:
    coin = node.coin()
    old = pay(coin, BOB, 1_000_000, fee=500)
    assert node.send_one(old).accepted
    parent = pay(coin, ALICE, 1_000_000, fee=0)
    before = node.state()
    assert submit_package(node, forged(parent), child_of(parent, fee=5_000)).verdicts[0].reason == FORGED
    assert submit_package(node, parent, forged(child_of(parent, fee=5_000))).verdicts[1].reason == FORGED
    assert node.state() == before


@pytest.mark.parametrize("short", [0, 1])
def test_a_package_replaces_by_the_rules_for_packages(node: MemoryNode, short: int) -> None:
    coin = node.coin()
    old = pay(coin, BOB, 1_000_000, fee=20)
    assert node.send_one(old).accepted
    parent = pay(coin, ALICE, 1_000_000, fee=0)
    size = parent.vsize + child_of(parent, fee=1_000).vsize
    child = child_of(parent, fee=20 + policy.fee_for(size, policy.INCREMENTAL_RELAY_FEERATE) - short)
    before = node.state()
    reply = submit_package(node, parent, child)
    if short:
        assert reply.package_error.startswith(Reason.PACKAGE_RBF_FEES)
        assert node.state() == before
    else:
        assert reply.package_error == ""
        assert [item.tx for item in node.pool] == [parent, child]
        (replacement,) = node.deltas[-1].replacements
        assert (replacement.txid, [record.tx for record in replacement.direct]) == (parent.txid, [old])


# ── order ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_package_is_stored_parents_first_and_each_with_an_order_of_its_own(node: MemoryNode) -> None:
    parents = [pay(node.coin(), ALICE, 1_000_000, fee=0) for _ in range(3)]
    child = child_of(*parents, fee=5_000)
    first = node.next_sequence
    assert submit_package(node, *parents, child).package_error == ""
    (delta,) = node.deltas
    assert [record.tx for record in delta.pool_added] == [*parents, child]
    assert [record.entry.sequence for record in delta.pool_added] == [first, first + 1, first + 2, first + 3]
    assert [event.txid for event in delta.events] == [tx.txid_hex for tx in (*parents, child)]
    assert node.next_sequence == first + 4
    later = pay(node.coin(), ALICE, 1_000_000)
    assert node.send_one(later).accepted
    assert node.view.pool_in_order() == [tx.txid for tx in (*parents, child, later)]


def test_a_parent_that_came_in_alone_stays_before_its_child_in_the_stored_order(node: MemoryNode) -> None:
    poor, rich = pay(node.coin(), ALICE, 1_000_000, fee=0), pay(node.coin(), ALICE, 1_000_000, fee=2_000)
    child = child_of(poor, rich, fee=2_000)
    assert submit_package(node, poor, rich, child).package_error == ""
    assert node.view.pool_in_order() == [rich.txid, poor.txid, child.txid]
    sequences = [record.entry.sequence for record in node.view.pool.values()]
    assert len(set(sequences)) == 3


# ── what it pays ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("short", [0, 1])
def test_a_package_pays_the_relay_minimum_to_the_satoshi(node: MemoryNode, short: int) -> None:
    parent = pay(node.coin(), ALICE, 1_000_000, fee=0)
    size = parent.vsize + child_of(parent, fee=100).vsize
    child = child_of(parent, fee=policy.fee_for(size, policy.MIN_RELAY_FEERATE) - short)
    assert parent.vsize + child.vsize == size
    reply = submit_package(node, parent, child)
    assert [verdict.accepted for verdict in reply.verdicts] == [not short] * 2
    if short:
        assert [verdict.reason for verdict in reply.verdicts] == [Reason.MIN_RELAY_FEE_NOT_MET] * 2
        assert reply.verdicts[1].effective_includes == (parent.wtxid_hex, child.wtxid_hex)
        assert reply.verdicts[1].effective_feerate == policy.feerate(size * 100 // 1000, size)


def test_the_senders_limit_is_the_feerate_of_each_alone_and_exact(node: MemoryNode) -> None:
    parent = pay(node.coin(), ALICE, 1_000_000, fee=2_000)
    child = child_of(parent, fee=2_000)
    rate = policy.feerate(2_000, child.vsize)
    assert policy.feerate(2_000, parent.vsize) < rate
    reply = submit_package(node, parent, child, max_feerate=rate - 1, test_only=True)
    assert [verdict.reason for verdict in reply.verdicts] == ["", Reason.MAX_FEERATE_EXCEEDED]
    assert submit_package(node, parent, child, max_feerate=rate).package_error == ""


def test_a_child_that_fails_for_another_reason_than_its_fee_is_not_judged_with_its_parents(node: MemoryNode) -> None:
    parent = pay(node.coin(), ALICE, 1_000_000, fee=0)
    coin = output_of(parent, 0, ALICE)
    dust = spend([coin], [TxOut(1, p2wpkh(BOB))])
    reply = submit_package(node, parent, dust)
    assert [verdict.reason for verdict in reply.verdicts] == [Reason.MIN_RELAY_FEE_NOT_MET, Reason.DUST]
    assert reply.package_error == Reason.TRANSACTION_FAILED
    assert len(node.pool) == 0


def test_one_transaction_alone_is_not_judged_as_a_package(node: MemoryNode) -> None:
    poor = pay(node.coin(), ALICE, 1_000_000, fee=0)
    reply = submit_package(node, poor)
    assert (reply.verdicts[0].reason, reply.verdicts[0].effective_includes) == (Reason.MIN_RELAY_FEE_NOT_MET, ())
    assert reply.package_error == Reason.TRANSACTION_FAILED


# ── clusters and room ───────────────────────────────────────────────────────────────────────────────────────────────


def chain_of(node: MemoryNode, length: int) -> Spendable:
    """The end of a chain of unconfirmed transactions."""
    coin = node.coin(owner=ALICE)
    for _ in range(length):
        tx = spend([coin], [TxOut(coin.output.value - 200, p2wpkh(ALICE))])
        assert node.send_one(tx).accepted
        coin = output_of(tx, 0, ALICE)
    return coin


@pytest.mark.parametrize("over", [0, 1])
def test_a_package_that_replaces_nothing_keeps_to_the_limit_of_a_cluster(node: MemoryNode, over: int) -> None:
    coin = chain_of(node, policy.MAX_CLUSTER_COUNT - 2 + over)
    parent = spend([coin], [TxOut(coin.output.value, p2wpkh(ALICE))])
    before = node.state()
    reply = submit_package(node, parent, child_of(parent, fee=2_000))
    if over:
        assert reply.package_error == Reason.TOO_LARGE_CLUSTER
        assert not any(verdict.accepted for verdict in reply.verdicts)
        assert node.state() == before
    else:
        assert reply.package_error == ""
        assert len(node.pool) == policy.MAX_CLUSTER_COUNT


@pytest.mark.parametrize("over", [0, 1])
def test_a_package_needs_room_in_the_pool(node: MemoryNode, over: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = pay(node.coin(), ALICE, 1_000_000, fee=0)
    child = child_of(parent, fee=2_000)
    monkeypatch.setattr(policy, "MAX_POOL_VSIZE", parent.vsize + child.vsize - over)
    assert submit_package(node, parent, child).package_error == (Reason.MEMPOOL_FULL if over else "")
    assert len(node.pool) == (0 if over else 2)


# ── form ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def bare(number: int, prevouts: list[OutPoint], padding: int = 0) -> Transaction:
    output = TxOut(number, bytes(padding))
    return Transaction(2, tuple(TxIn(prevout, b"") for prevout in prevouts), (output,))


def family(parents: int, padding: int = 0) -> list[Transaction]:
    """Return `parents` transactions and a child of them all."""
    above = [bare(n, [OutPoint(bytes([n + 1]) * 32, 0)], padding) for n in range(parents)]
    return [*above, bare(99, [OutPoint(tx.txid, 0) for tx in above])]


def problem(txs: list[Transaction]) -> str:
    try:
        check_well_formed(txs)
        check_topology(txs)
    except ValidationError as error:
        return str(error.reason)
    return ""


def test_a_package_has_at_most_25_transactions() -> None:
    assert policy.MAX_PACKAGE_COUNT == 25
    assert problem(family(24)) == ""
    assert problem(family(25)) == Reason.PACKAGE_TOO_MANY_TRANSACTIONS


def test_a_package_weighs_at_most_404000() -> None:
    assert policy.MAX_PACKAGE_WEIGHT == 404_000
    spare = 404_000 - sum(tx.weight for tx in family(1, 90_000))
    assert spare % 4 == 0
    full = family(1, 90_000 + spare // 4)
    assert sum(tx.weight for tx in full) == 404_000
    assert problem(full) == ""
    assert problem(family(1, 90_000 + spare // 4 + 1)) == Reason.PACKAGE_TOO_LARGE


def test_a_single_transaction_may_weigh_what_a_package_may_not() -> None:
    assert problem([bare(1, [OutPoint(bytes(32), 0)], 101_000)]) == ""


def test_children_before_parents_duplicates_and_conflicts_are_told_apart() -> None:
    *parents, child = family(2)
    rival = bare(7, [parents[0].inputs[0].prevout])
    both = bare(8, [OutPoint(tx.txid, 0) for tx in (parents[0], rival)])
    assert problem([parents[0], child, parents[1]]) == Reason.PACKAGE_NOT_SORTED
    assert problem([*parents, parents[0], child]) == Reason.PACKAGE_CONTAINS_DUPLICATES
    assert problem([parents[0], rival, both]) == Reason.CONFLICT_IN_PACKAGE
    assert problem([bare(1, []), child]) == Reason.CONFLICT_IN_PACKAGE
    for parent in parents:
        assert problem([*parents, bare(9, [OutPoint(parent.txid, 0)])]) == Reason.PACKAGE_NOT_CHILD_WITH_PARENTS
    assert problem([*parents, child]) == ""
