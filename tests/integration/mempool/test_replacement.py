"""Replacement in the pool of a running node: the transactions that leave, the facts about it, and the records."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from services.mempool.blocks.operator import control
from services.mempool.transactions.submit import submit
from shared.bus.events import ChainControl, ControlAction, TxSubmitted, TxVerdict
from shared.chain import commit
from shared.primitives.transaction import Transaction, TxOut
from shared.reasons import Reason
from tests.builders import Spendable, key, output_of, p2wpkh, pay, spend
from tests.integration.mempool.books import check_books
from tests.integration.mempool.conftest import Chain
from tests.integration.mempool.test_packages import child_of, package
from tests.unit.mempool.memory import links

ALICE, BOB = key("alice"), key("bob")


@pytest.fixture
def coin(chain: Chain) -> Spendable:
    return chain.mature_coins()[0]


def facts(chain: Chain, since: int) -> list[tuple[str, str, str]]:
    """Topic, txid, and why or the replacing txid, of each event after `since`."""
    found = []
    for topic, body in chain.events()[since:]:
        fields = json.loads(body)
        found.append((topic, fields["txid"], fields.get("replaced_by", fields.get("why", ""))))
    return found


def refused(chain: Chain, tx: Transaction) -> TxVerdict:
    before, pool = chain.dump(), [item.tx for item in chain.node.pool]
    (verdict,) = chain.submit(tx)
    assert not verdict.accepted
    assert chain.dump() == before
    assert [item.tx for item in chain.node.pool] == pool
    return verdict


def batch(chain: Chain, *txs: Transaction) -> list[TxVerdict]:
    """Submit each by itself, all in one commit."""
    replies, _ = submit(chain.node, [TxSubmitted(txs=(tx.serialize().hex(),)) for tx in txs])
    return [reply.verdicts[0] for reply in replies]


def test_a_better_paying_spend_takes_the_place_of_another_and_its_child(chain: Chain, coin: Spendable) -> None:
    old = pay(coin, ALICE, 1_000_000)
    child = pay(output_of(old, 0, ALICE), BOB, 500_000)
    chain.submit(old)
    chain.submit(child)
    since = len(chain.events())
    new = pay(coin, BOB, 2_000_000, fee=5_000)
    (verdict,) = chain.submit(new)
    assert (verdict.accepted, set(verdict.replaced)) == (True, {old.txid_hex, child.txid_hex})
    assert chain.view.pool.txids() == [new.txid]
    assert chain.view.txs.get(old.txid) is None
    assert facts(chain, since) == [
        ("tx.removed", old.txid_hex, new.txid_hex),
        ("tx.removed", child.txid_hex, new.txid_hex),
        ("tx.accepted", new.txid_hex, ""),
    ]
    assert b'"why":"replaced"' in chain.events()[since][1]
    for tx, record in zip((old, child), chain.view.replacements.replaced([old.txid, child.txid]), strict=True):
        assert record is not None
        assert (record.tx, record.replaced_by, record.entry.fee) == (tx, new.txid, 1_000)
        assert record.time >= record.entry.time
    assert chain.view.replacements.replaces(new.txid) == [old.txid]
    assert chain.view.replacements.latest(10) == [new.txid]
    check_books(chain.client)


@pytest.mark.parametrize("sequence", [0xFFFFFFFD, 0xFFFFFFFF])
def test_nothing_needs_to_signal_that_it_may_be_replaced(chain: Chain, coin: Spendable, sequence: int) -> None:
    chain.submit(spend([coin], [TxOut(1_000_000, p2wpkh(ALICE))], sequence=sequence))
    new = spend([coin], [TxOut(10_000, p2wpkh(BOB))], sequence=0xFFFFFFFF)
    assert chain.submit(new)[0].accepted


def test_a_replacement_that_pays_too_little_is_refused_and_changes_nothing(chain: Chain, coin: Spendable) -> None:
    old = pay(coin, ALICE, 1_000_000, fee=1_000)
    chain.submit(old)
    same = pay(coin, BOB, 1_000_000, fee=1_000)
    verdict = refused(chain, same)
    assert verdict.reason == Reason.INSUFFICIENT_FEE
    assert verdict.detail == (
        f"rejecting replacement {same.txid_hex}, not enough additional fees to relay; 0.00 < 0.00000015"
    )
    assert refused(chain, pay(coin, BOB, 1_000_000, fee=999)).detail.endswith("0.00000999 < 0.00001")
    assert refused(chain, pay(coin, BOB, 1_000_000, fee=1_014)).reason == Reason.INSUFFICIENT_FEE
    assert chain.submit(pay(coin, BOB, 1_000_000, fee=1_015))[0].accepted


def test_a_replacement_may_spend_other_unconfirmed_outputs(chain: Chain) -> None:
    first, second = chain.mature_coins(2)
    chain.submit(pay(first, ALICE, 1_000_000))
    other = pay(second, ALICE, 1_000_000)
    chain.submit(other)
    coins = [first, output_of(other, 0, ALICE)]
    new = spend(coins, [TxOut(first.output.value, p2wpkh(BOB))])
    assert chain.submit(new)[0].accepted
    assert set(chain.view.pool.txids()) == {other.txid, new.txid}


def test_a_transaction_does_not_replace_what_it_spends(chain: Chain, coin: Spendable) -> None:
    old = pay(coin, ALICE, 1_000_000)
    chain.submit(old)
    odd = spend([coin, output_of(old, 0, ALICE)], [TxOut(1_000_000, p2wpkh(BOB))])
    verdict = refused(chain, odd)
    assert verdict.reason == Reason.BAD_TXNS_SPENDS_CONFLICTING_TX
    assert verdict.detail == f"{odd.txid_hex} spends conflicting transaction {old.txid_hex}"


def test_one_may_take_the_place_of_several(chain: Chain) -> None:
    coins = chain.mature_coins(3)
    old = [pay(coin, ALICE, 1_000_000) for coin in coins]
    for tx in old:
        chain.submit(tx)
    new = spend(coins, [TxOut(1_000_000, p2wpkh(BOB))])
    assert chain.submit(new)[0].accepted
    assert set(chain.view.replacements.replaces(new.txid)) == {tx.txid for tx in old}
    check_books(chain.client)


def test_what_the_operator_added_counts_in_a_replacement(chain: Chain, coin: Spendable) -> None:
    old = pay(coin, ALICE, 1_000_000, fee=1_000)
    chain.submit(old)
    new = pay(coin, BOB, 2_000_000, fee=5_000)
    for delta, is_accepted in ((10_000, False), (-10_000, True)):
        control(chain.node, ChainControl(action=ControlAction.PRIORITISE, txid=old.txid_hex, fee_delta=delta))
        assert chain.submit(new)[0].accepted is is_accepted


def test_what_came_and_went_within_one_commit_leaves_the_books_right(chain: Chain, coin: Spendable) -> None:
    first = pay(coin, ALICE, 1_000_000, fee=1_000)
    child = pay(output_of(first, 0, ALICE), BOB, 500_000)
    second = pay(coin, BOB, 2_000_000, fee=5_000)
    third = pay(coin, ALICE, 3_000_000, fee=9_000)
    since = len(chain.events())
    verdicts = batch(chain, first, child, second, third, first)
    assert [verdict.accepted for verdict in verdicts] == [True, True, True, True, False]
    assert [verdict.replaced for verdict in verdicts[2:4]] == [(first.txid_hex, child.txid_hex), (second.txid_hex,)]
    assert chain.view.pool.txids() == [third.txid]
    assert facts(chain, since) == [
        ("tx.accepted", first.txid_hex, ""),
        ("tx.accepted", child.txid_hex, ""),
        ("tx.removed", first.txid_hex, second.txid_hex),
        ("tx.removed", child.txid_hex, second.txid_hex),
        ("tx.accepted", second.txid_hex, ""),
        ("tx.removed", second.txid_hex, third.txid_hex),
        ("tx.accepted", third.txid_hex, ""),
    ]
    assert chain.view.replacements.all_replaces([third.txid, second.txid]) == [[second.txid], [first.txid]]
    assert chain.view.replacements.latest(10) == [third.txid, second.txid]
    assert chain.view.replacements.latest(10, start=1) == [second.txid]
    check_books(chain.client)
    pool = chain.new_writer().pool
    assert [item.tx.txid for item in pool] == [third.txid]


def test_a_trial_of_a_replacement_changes_nothing(chain: Chain, coin: Spendable) -> None:
    old = pay(coin, ALICE, 1_000_000)
    child = pay(output_of(old, 0, ALICE), BOB, 500_000)
    chain.submit(old)
    chain.submit(child)
    before = chain.dump()
    new = pay(coin, BOB, 2_000_000, fee=5_000)
    (verdict,) = chain.submit(new, test_only=True)
    assert verdict.accepted
    assert chain.dump() == before
    family = links(chain.node.pool)
    assert family == {old.txid: (set(), {child.txid}), child.txid: ({old.txid}, set())}
    assert chain.node.pool.vsize == old.vsize + child.vsize
    assert chain.submit(pay(output_of(child, 0, BOB), ALICE, 100_000))[0].accepted


def test_several_that_are_tried_replace_nothing(chain: Chain, coin: Spendable) -> None:
    chain.submit(pay(coin, ALICE, 1_000_000))
    new = pay(coin, BOB, 2_000_000, fee=5_000)
    child = pay(output_of(new, 0, BOB), ALICE, 500_000)
    assert chain.submit(new, child, test_only=True)[0].reason == Reason.BIP125_REPLACEMENT_DISALLOWED


def test_a_sender_can_forgo_replacement(chain: Chain, coin: Spendable) -> None:
    chain.submit(pay(coin, ALICE, 1_000_000))
    raw = pay(coin, BOB, 2_000_000, fee=5_000).serialize().hex()
    (reply,), _ = submit(chain.node, [TxSubmitted(txs=(raw,), may_replace=False)])
    assert reply.verdicts[0].reason == Reason.BIP125_REPLACEMENT_DISALLOWED


def test_a_replaced_transaction_that_is_mined_after_all_is_not_shown_as_replaced(chain: Chain, coin: Spendable) -> None:
    old = pay(coin, ALICE, 1_000_000, fee=1_000)
    new = pay(coin, BOB, 2_000_000, fee=5_000)
    chain.submit(old)
    chain.submit(new)
    (block,) = chain.mine(txs=[old], fees=1_000)
    assert chain.view.pool.txids() == []
    assert chain.view.replacements.replaced([old.txid]) == [None]
    assert chain.view.replacements.replaces(new.txid) == []
    assert chain.events()[-1][0] == "tx.removed"
    assert b'"why":"conflict"' in chain.events()[-1][1]
    # Its block goes, and it comes back to the pool: that is no replacement either.
    order = ChainControl(action=ControlAction.INVALIDATE, block=block.header.hash_hex)
    assert control(chain.node, order).done
    assert chain.view.pool.txids() == [old.txid]
    assert chain.view.replacements.replaced([old.txid]) == [None]
    assert chain.submit(new)[0].accepted
    [record] = chain.view.replacements.replaced([old.txid])
    assert record is not None
    assert record.replaced_by == new.txid
    check_books(chain.client)


def test_a_reorganisation_brings_back_what_had_replaced(chain: Chain, coin: Spendable) -> None:
    old, new = pay(coin, ALICE, 1_000_000), pay(coin, BOB, 2_000_000, fee=5_000)
    chain.submit(old)
    chain.submit(new)
    (block,) = chain.mine(txs=[new], fees=5_000)
    assert chain.view.replacements.replaces(new.txid) == [old.txid]
    assert refused(chain, old).reason == Reason.BAD_TXNS_INPUTS_MISSINGORSPENT
    order = ChainControl(action=ControlAction.INVALIDATE, block=block.header.hash_hex)
    assert control(chain.node, order).done
    assert chain.view.pool.txids() == [new.txid]
    assert chain.view.replacements.replaces(new.txid) == [old.txid]
    assert refused(chain, old).reason == Reason.INSUFFICIENT_FEE
    best = pay(coin, ALICE, 3_000_000, fee=9_000)
    assert chain.submit(best)[0].replaced == (new.txid_hex,)
    chain.mine(txs=[best], fees=9_000)
    assert chain.view.replacements.all_replaces([best.txid, new.txid]) == [[new.txid], [old.txid]]
    check_books(chain.client)


def ladder(coin: Spendable, count: int, step: int = 1_000) -> list[Transaction]:
    """Payments of one coin, each paying more than the one before."""
    return [pay(coin, ALICE, 1_000_000 + number, fee=step * (number + 1)) for number in range(count)]


def test_only_the_newest_replacements_are_kept(chain: Chain, coin: Spendable, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit.KEPT_REPLACEMENTS == 10_000
    monkeypatch.setattr(commit, "KEPT_REPLACEMENTS", 3)
    txs = ladder(coin, 6)
    for tx in txs[:3]:
        chain.submit(tx)
    batch(chain, *txs[3:])
    assert chain.view.replacements.latest(10) == [tx.txid for tx in txs[:2:-1]]
    assert [record is not None for record in chain.view.replacements.replaced([tx.txid for tx in txs])] == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]
    assert chain.client.hlen(chain.keys.replaced) == chain.client.hlen(chain.keys.replaces) == 3


def test_what_was_replaced_twice_is_kept_with_the_later_replacement(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "KEPT_REPLACEMENTS", 2)
    first, second = chain.mature_coins(2)
    old, new = pay(first, ALICE, 1_000_000), pay(first, BOB, 2_000_000, fee=5_000)
    chain.submit(old)
    chain.submit(new)
    (block,) = chain.mine(txs=[old], fees=1_000)
    control(chain.node, ChainControl(action=ControlAction.INVALIDATE, block=block.header.hash_hex))
    best = pay(first, BOB, 3_000_000, fee=9_000)
    assert chain.submit(best)[0].replaced == (old.txid_hex,)
    one, other = ladder(second, 2)
    batch(chain, one, other)
    assert chain.view.replacements.latest(10) == [other.txid, best.txid]
    assert chain.view.replacements.replaces(best.txid) == [old.txid]


def replacing_package(coin: Spendable, fees: Sequence[int]) -> tuple[Transaction, Transaction]:
    parent = pay(coin, ALICE, 1_000_000, fee=fees[0])
    return parent, child_of([parent], fees[1])


def test_a_package_takes_the_place_of_what_its_parent_conflicts_with(chain: Chain, coin: Spendable) -> None:
    old = pay(coin, BOB, 2_000_000, fee=2_000)
    chain.submit(old)
    parent, child = replacing_package(coin, (0, 10_000))
    before = chain.dump()
    assert all(verdict.accepted for verdict in package(chain, parent, child, test_only=True).verdicts)
    assert (chain.dump(), [item.tx for item in chain.node.pool]) == (before, [old])
    reply = package(chain, parent, child)
    assert (reply.package_error, [verdict.accepted for verdict in reply.verdicts]) == ("", [True, True])
    assert [verdict.replaced for verdict in reply.verdicts] == [(old.txid_hex,), ()]
    assert chain.view.replacements.replaces(parent.txid) == [old.txid]
    assert set(chain.view.pool.txids()) == {parent.txid, child.txid}
    check_books(chain.client)


def test_parent_and_child_may_conflict_with_the_same(chain: Chain) -> None:
    first, second = chain.mature_coins(2)
    old = spend([first, second], [TxOut(first.output.value + second.output.value - 2_000, p2wpkh(BOB))])
    chain.submit(old)
    parent = pay(first, ALICE, 1_000_000, fee=0)
    coins = [output_of(parent, 0, ALICE), second]
    child = spend(coins, [TxOut(1_000_000 + second.output.value - 10_000, p2wpkh(BOB))])
    reply = package(chain, parent, child)
    assert [verdict.replaced for verdict in reply.verdicts] == [(old.txid_hex,), ()]
    assert set(chain.view.pool.txids()) == {parent.txid, child.txid}
    assert chain.view.replacements.all_replaces([parent.txid, child.txid]) == [[old.txid], []]
    check_books(chain.client)


def test_a_package_that_pays_too_little_to_replace_leaves_everything(chain: Chain, coin: Spendable) -> None:
    old = pay(coin, BOB, 2_000_000, fee=2_000)
    chain.submit(old)
    parent, child = replacing_package(coin, (500, 1_000))
    before = chain.dump()
    reply = package(chain, parent, child)
    assert reply.package_error == (
        f"{Reason.PACKAGE_RBF_FEES}, rejecting replacement {child.txid_hex}, "
        "less fees than conflicting txs; 0.000015 < 0.00002"
    )
    reasons = [verdict.reason for verdict in reply.verdicts]
    assert reasons == [Reason.INSUFFICIENT_FEE, Reason.BAD_TXNS_INPUTS_MISSINGORSPENT]
    assert (chain.dump(), [item.tx for item in chain.node.pool]) == (before, [old])


def test_a_package_of_three_does_not_replace(chain: Chain) -> None:
    coins = chain.mature_coins(2)
    chain.submit(pay(coins[0], BOB, 2_000_000, fee=2_000))
    parents = [pay(coin, ALICE, 1_000_000, fee=0) for coin in coins]
    reply = package(chain, *parents, child_of(parents, 10_000))
    assert reply.package_error == Reason.PACKAGE_RBF_NOT_TWO
    assert not any(verdict.accepted for verdict in reply.verdicts)


def test_a_member_of_a_package_may_replace_by_itself(chain: Chain, coin: Spendable) -> None:
    old = pay(coin, BOB, 2_000_000, fee=2_000)
    chain.submit(old)
    parent, child = replacing_package(coin, (5_000, 1_000))
    reply = package(chain, parent, child)
    assert [verdict.replaced for verdict in reply.verdicts] == [(old.txid_hex,), ()]
    assert [verdict.effective_includes for verdict in reply.verdicts] == [(parent.wtxid_hex,), (child.wtxid_hex,)]
