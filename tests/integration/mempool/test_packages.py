"""Packages: a child pays for its parents; all in one commit, or with Core's reason why not."""

from __future__ import annotations

import dataclasses

import pytest

from services.mempool.transactions.submit import submit
from shared.bus.events import TxSubmitted, TxVerdicts
from shared.primitives.transaction import Transaction, TxIn, TxOut
from shared.reasons import Reason
from tests.builders import Spendable, key, output_of, p2wpkh, pay, spend
from tests.integration.mempool.conftest import Chain

ALICE, BOB = key("alice"), key("bob")


def package(chain: Chain, *txs: Transaction, max_feerate: int | None = None, test_only: bool = False) -> TxVerdicts:
    message = TxSubmitted(
        txs=tuple(tx.serialize().hex() for tx in txs), package=True, max_feerate=max_feerate, test_only=test_only
    )
    replies, _ = submit(chain.node, [message])
    return replies[0]


def child_of(parents: list[Transaction], fee: int) -> Transaction:
    coins = [output_of(parent, 0, ALICE) for parent in parents]
    total = sum(coin.output.value for coin in coins)
    return spend(coins, [TxOut(total - fee, p2wpkh(BOB))])


@pytest.fixture
def coins(chain: Chain) -> list[Spendable]:
    return chain.mature_coins(3)


def test_a_child_pays_for_a_parent_that_pays_nothing(chain: Chain, coins: list[Spendable]) -> None:
    parent = pay(coins[0], ALICE, 1_000_000, fee=0)
    child = child_of([parent], 1_000)
    assert chain.submit(parent)[0].reason == Reason.MIN_RELAY_FEE_NOT_MET
    before = chain.view.tip().seq
    reply = package(chain, parent, child)
    assert reply.package_error == ""
    assert [verdict.accepted for verdict in reply.verdicts] == [True, True]
    rate = 1_000 * 1_000 // (parent.vsize + child.vsize)
    for verdict in reply.verdicts:
        assert verdict.effective_feerate == rate
        assert verdict.effective_includes == (parent.wtxid_hex, child.wtxid_hex)
    assert set(chain.view.pool.txids()) == {parent.txid, child.txid}
    assert chain.view.tip().seq - before == 2
    chain.node = chain.new_writer()
    assert chain.node.pool.ancestors([child.txid]).keys() == {parent.txid, child.txid}


def test_parents_that_pay_for_themselves_are_judged_alone(chain: Chain, coins: list[Spendable]) -> None:
    poor, rich = pay(coins[0], ALICE, 1_000_000, fee=0), pay(coins[1], ALICE, 1_000_000, fee=2_000)
    child = child_of([poor, rich], 1_000)
    reply = package(chain, poor, rich, child)
    assert [verdict.accepted for verdict in reply.verdicts] == [True, True, True]
    assert [verdict.effective_includes for verdict in reply.verdicts] == [
        (poor.wtxid_hex, child.wtxid_hex),
        (rich.wtxid_hex,),
        (poor.wtxid_hex, child.wtxid_hex),
    ]


def test_a_package_that_pays_too_little_leaves_only_what_pays_for_itself(chain: Chain, coins: list[Spendable]) -> None:
    poor, rich = pay(coins[0], ALICE, 1_000_000, fee=0), pay(coins[1], ALICE, 1_000_000, fee=2_000)
    reply = package(chain, poor, rich, child_of([poor, rich], 5))
    assert reply.package_error == Reason.TRANSACTION_FAILED
    assert [verdict.accepted for verdict in reply.verdicts] == [False, True, False]
    assert [verdict.reason for verdict in reply.verdicts] == [
        Reason.MIN_RELAY_FEE_NOT_MET,
        "",
        Reason.MIN_RELAY_FEE_NOT_MET,
    ]
    assert chain.view.pool.txids() == [rich.txid]
    assert {item.tx.txid for item in chain.node.pool} == {rich.txid}


def test_a_broken_script_takes_the_package_down(chain: Chain, coins: list[Spendable]) -> None:
    parent = pay(coins[0], ALICE, 1_000_000, fee=0)
    child = spend([dataclasses.replace(output_of(parent, 0, ALICE), owner=BOB)], [parent.outputs[1]])
    reply = package(chain, parent, child)
    assert reply.package_error == Reason.TRANSACTION_FAILED
    assert not any(verdict.accepted for verdict in reply.verdicts)
    assert chain.view.pool.txids() == []
    assert len(chain.node.pool) == 0


def test_what_is_in_the_pool_already_counts_as_taken(chain: Chain, coins: list[Spendable]) -> None:
    parent = pay(coins[0], ALICE, 1_000_000)
    chain.submit(parent)
    child = child_of([parent], 1_000)
    inputs = (TxIn(parent.inputs[0].prevout, b"", parent.inputs[0].sequence, (b"other",)),)
    other = Transaction(parent.version, inputs, parent.outputs, parent.lock_time)
    reply = package(chain, other, child)
    assert (reply.package_error, reply.verdicts[0].other_wtxid) == ("", parent.wtxid_hex)
    again = package(chain, parent, child)
    assert [verdict.effective_feerate for verdict in again.verdicts] == [None, None]
    assert all(verdict.accepted and not verdict.other_wtxid for verdict in again.verdicts)


def test_the_senders_limit_holds_in_a_package(chain: Chain, coins: list[Spendable]) -> None:
    parent = pay(coins[0], ALICE, 1_000_000, fee=0)
    reply = package(chain, parent, child_of([parent], 100_000), max_feerate=10_000)
    assert reply.package_error == Reason.TRANSACTION_FAILED
    assert reply.verdicts[1].reason == Reason.MAX_FEERATE_EXCEEDED
    assert chain.view.pool.txids() == []


def test_a_trial_changes_nothing(chain: Chain, coins: list[Spendable]) -> None:
    parent = pay(coins[0], ALICE, 1_000_000, fee=0)
    before = chain.dump()
    assert all(v.accepted for v in package(chain, parent, child_of([parent], 1_000), test_only=True).verdicts)
    assert chain.dump() == before
    assert len(chain.node.pool) == 0


def test_malformed_packages_are_refused_with_cores_reasons(chain: Chain, coins: list[Spendable]) -> None:
    parents = [pay(coin, ALICE, 1_000_000) for coin in coins[:2]]
    rival = pay(coins[0], BOB, 2_000_000)
    child = child_of(parents, 1_000)
    before = chain.dump()
    for txs, reason in (
        ((child, *parents), Reason.PACKAGE_NOT_SORTED),
        ((parents[0], parents[0], child), Reason.PACKAGE_CONTAINS_DUPLICATES),
        ((parents[0], rival), Reason.CONFLICT_IN_PACKAGE),
        (tuple(parents), Reason.PACKAGE_NOT_CHILD_WITH_PARENTS),
        ((parents[0],) * 26, Reason.PACKAGE_TOO_MANY_TRANSACTIONS),
    ):
        reply = package(chain, *txs)
        assert reply.package_error == reason
        assert not any(verdict.accepted for verdict in reply.verdicts)
    assert chain.dump() == before


def test_the_next_writer_has_a_package_in_the_order_it_came_in(chain: Chain, coins: list[Spendable]) -> None:
    parents = [pay(coin, ALICE, 1_000_000, fee=0) for coin in coins]
    child = child_of(parents, 2_000)
    assert package(chain, *parents, child).package_error == ""
    order = [item.tx for item in chain.node.pool]
    assert order == [*parents, child]
    chain.node = chain.new_writer()
    assert [item.tx for item in chain.node.pool] == order
    later = pay(output_of(child, 0, BOB), ALICE, 500_000)
    assert chain.submit(later)[0].accepted
    chain.node = chain.new_writer()
    assert [item.tx for item in chain.node.pool] == [*order, later]


def test_a_package_with_a_bad_signature_leaves_redis_as_it_was(chain: Chain, coins: list[Spendable]) -> None:
    parent = pay(coins[0], ALICE, 1_000_000, fee=0)
    thief = dataclasses.replace(output_of(parent, 0, ALICE), owner=BOB)
    child = spend([thief], [TxOut(990_000, p2wpkh(BOB))])
    before = chain.dump()
    reply = package(chain, parent, child)
    assert reply.verdicts[1].reason.startswith(Reason.MEMPOOL_SCRIPT_VERIFY_FLAG_FAILED)
    assert chain.dump() == before
    assert len(chain.node.pool) == 0
