"""Submissions: the verdicts, the published facts, and the orphans that enter with their parents."""

from __future__ import annotations

import logging

import pytest

from services.mempool.pool import orphanage as orphans_module
from services.mempool.pool.orphanage import KEEP_SECONDS, MAX_ORPHANS
from services.mempool.transactions.submit import DECODE_FAILED, submit
from shared import trace
from shared.bus.events import TxAccepted, TxRejected, TxRemoved, TxSubmitted, TxVerdict
from shared.policy import MAX_PACKAGE_COUNT, feerate
from shared.primitives.transaction import Transaction, TxOut
from shared.reasons import Reason
from tests.builders import output_of, p2wpkh, pay, spend
from tests.unit.mempool.memory import ALICE, BOB, NOW, MemoryNode, family

MISSING = Reason.BAD_TXNS_INPUTS_MISSINGORSPENT


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


def batch(node: MemoryNode, *submissions: TxSubmitted) -> tuple[list[list[TxVerdict]], list[TxRejected]]:
    replies, rejected = submit(node, submissions)
    return [list(reply.verdicts) for reply in replies], rejected.messages


def test_what_the_sender_has_parsed_is_not_parsed_again(node: MemoryNode) -> None:
    payment = pay(node.coin(), ALICE, 1_000_000)
    parsed = TxSubmitted(txs=("not read",)).with_parsed((payment,))
    (verdicts,), _ = batch(node, parsed)
    assert [(verdict.txid, verdict.accepted) for verdict in verdicts] == [(payment.txid_hex, True)]


def test_each_event_and_refusal_belongs_to_the_submission_that_caused_it(
    node: MemoryNode, caplog: pytest.LogCaptureFixture
) -> None:
    one, two, three = f"00-{'1' * 32}-{'a' * 16}-01", trace.new(), trace.new()
    coin = node.coin()
    first, better = pay(coin, ALICE, 1_000_000), pay(coin, BOB, 1_000_000, fee=90_000)
    poor = pay(node.coin(), ALICE, 1_000_000, fee=0)
    caplog.set_level(logging.INFO)
    _, rejected = submit(node, list(map(submission, (first, poor, better))), [one, two, three])
    told = list(zip(node.deltas[-1].events, node.deltas[-1].traceparents, strict=True))
    assert [(type(event).__name__, event.txid, traceparent) for event, traceparent in told] == [
        ("TxAccepted", first.txid_hex, one),
        ("TxRemoved", first.txid_hex, three),
        ("TxAccepted", better.txid_hex, three),
    ]
    assert (rejected.traceparents, trace.current()) == ([two], "")
    accepted = [record for record in caplog.records if record.message == "transaction accepted"]
    assert [record.fields["txid"] for record in accepted] == [first.txid_hex]  # the one that is sampled


def submission(*txs: Transaction, **options) -> TxSubmitted:
    return TxSubmitted(txs=tuple(tx.serialize().hex() for tx in txs), **options)


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_is_one_commit_and_each_submission_has_its_own_answers(node: MemoryNode) -> None:
    parent, child, _ = family(node, 3)
    poor = pay(node.coin(), BOB, 1_000_000, fee=0)
    replies, rejected = batch(node, submission(parent), submission(poor, child), submission(parent))
    assert [[verdict.accepted for verdict in reply] for reply in replies] == [[True], [False, True], [True]]
    assert [(item.txid, item.reason) for item in rejected] == [(poor.txid_hex, Reason.MIN_RELAY_FEE_NOT_MET)]
    (delta,) = node.deltas
    assert [record.tx for record in delta.pool_added] == [parent, child]
    assert [event.txid for event in delta.events] == [parent.txid_hex, child.txid_hex]
    assert delta.replacements == [], "nothing was replaced"


def test_the_same_transaction_twice_in_a_batch_enters_once(node: MemoryNode) -> None:
    (tx,) = family(node, 1)
    replies, rejected = batch(node, submission(tx), submission(tx), submission(tx, test_only=True))
    assert replies[0] == replies[1]
    assert replies[2][0].reason == Reason.TXN_ALREADY_IN_MEMPOOL
    assert (len(node.deltas), rejected) == (1, [])


def test_of_two_spends_in_a_batch_the_better_one_stays_and_nothing_is_told_of_a_stranger(node: MemoryNode) -> None:
    coin = node.coin()
    poor, rich = pay(coin, ALICE, 1_000_000, fee=200), pay(coin, BOB, 1_000_000, fee=5_000)
    replies, _ = batch(node, submission(poor), submission(rich))
    assert [reply[0].accepted for reply in replies] == [True, True]
    assert replies[1][0].replaced == (poor.txid_hex,)
    (delta,) = node.deltas
    assert [record.tx for record in delta.pool_added] == [rich]
    assert delta.pool_removed == [], "what came and went within the commit was never stored"
    assert [type(event) for event in delta.events] == [TxAccepted, TxRemoved, TxAccepted]
    assert node.view.pool_in_order() == [rich.txid]


def test_an_answer_tells_the_feerate_that_counts(node: MemoryNode) -> None:
    (tx,) = family(node, 1)
    node.prioritise(tx.txid, 500)
    for _ in range(2):
        verdict = node.send_one(tx)
        assert (verdict.fee, verdict.effective_feerate) == (1_000, feerate(1_500, tx.vsize))
        assert verdict.effective_includes == (tx.wtxid_hex,)


def test_what_does_not_decode_has_an_answer_in_its_place(node: MemoryNode) -> None:
    (tx,) = family(node, 1)
    raw = tx.serialize().hex()
    ((first, second, third),), rejected = batch(node, TxSubmitted(txs=("zz", raw, raw[:-2])))
    assert [first.reason, second.reason, third.reason] == [DECODE_FAILED, "", DECODE_FAILED]
    assert [first.accepted, second.accepted, third.accepted] == [False, True, False]
    assert (first.txid, second.txid, rejected) == ("", tx.txid_hex, [])
    replies, _ = submit(node, [TxSubmitted(txs=("zz", raw), package=True)])
    assert [verdict.reason for verdict in replies[0].verdicts] == [DECODE_FAILED, ""]
    assert replies[0].package_error == ""


def test_a_submission_has_at_most_25_transactions(node: MemoryNode) -> None:
    txs = [pay(node.coin(), BOB, 1_000_000) for _ in range(MAX_PACKAGE_COUNT + 1)]
    reply = node.send(*txs)
    assert reply.package_error == Reason.PACKAGE_TOO_MANY_TRANSACTIONS
    assert [verdict.reason for verdict in reply.verdicts] == [Reason.PACKAGE_TOO_MANY_TRANSACTIONS] * len(txs)
    assert node.deltas == []
    assert all(verdict.accepted for verdict in node.send(*txs[:-1]).verdicts)


def test_only_a_trial_asks_for_a_well_formed_submission(node: MemoryNode) -> None:
    parent, child, _ = family(node, 3)
    assert node.send(child, parent, test_only=True).package_error == Reason.PACKAGE_NOT_SORTED
    reply = node.send(child, parent)
    assert (reply.package_error, [verdict.accepted for verdict in reply.verdicts]) == ("", [False, True])
    assert [item.tx for item in node.pool] == [parent, child], "the child waited for its parent"


def test_a_trial_tells_nobody_and_keeps_no_orphans(node: MemoryNode) -> None:
    parent, child, _ = family(node, 3)
    poor = pay(node.coin(), BOB, 1_000_000, fee=0)
    before = node.state()
    replies, rejected = batch(
        node,
        submission(parent, child, test_only=True),
        submission(child, test_only=True),
        submission(poor, test_only=True),
        submission(poor, test_only=True, package=True),
    )
    assert [[verdict.accepted for verdict in reply] for reply in replies] == [[True, True], [False], [False], [False]]
    assert (rejected, len(node.orphans), node.deltas) == ([], 0, [])
    assert node.state() == before


def test_a_trial_of_a_replacement_puts_everything_back(node: MemoryNode) -> None:
    coin = node.coin(owner=ALICE)
    old = spend([coin], [TxOut(coin.output.value - 1_000, p2wpkh(ALICE))])
    child = spend([output_of(old, 0, ALICE)], [TxOut(coin.output.value - 2_000, p2wpkh(ALICE))])
    other = pay(node.coin(), BOB, 1_000_000)
    for tx in (old, child, other):
        assert node.send_one(tx).accepted
    spenders = {txin.prevout: node.pool.spender(txin.prevout) for tx in (old, child, other) for txin in tx.inputs}
    new = pay(coin, BOB, 1_000_000, fee=50_000)
    verdict = node.send_one(new, test_only=True)
    assert verdict.replaced == (old.txid_hex, child.txid_hex)
    assert {outpoint: node.pool.spender(outpoint) for outpoint in spenders} == spenders
    assert node.pool.graph.children(old.txid) == {child.txid}
    assert node.pool.graph.parents(child.txid) == {old.txid}
    assert node.pool.vsize == old.vsize + child.vsize + other.vsize
    assert new.txid not in node.pool
    assert node.send_one(new).replaced == verdict.replaced


def test_an_order_that_a_trial_took_is_not_stored_twice(node: MemoryNode) -> None:
    first, second = family(node, 1), family(node, 1)
    node.send(*first, test_only=True)
    node.send(*second)
    node.send(*first)
    assert node.view.pool_in_order() == [second[0].txid, first[0].txid]


def test_a_submission_of_nothing_is_answered_with_nothing(node: MemoryNode) -> None:
    for options in ({}, {"package": True}, {"test_only": True}, {"package": True, "test_only": True}):
        reply = node.send(**options)
        assert (reply.verdicts, reply.package_error) == ((), "")
    assert node.deltas == []


def test_of_a_package_only_what_was_refused_is_told_as_refused(node: MemoryNode) -> None:
    poor, rich = pay(node.coin(), ALICE, 1_000_000, fee=0), pay(node.coin(), ALICE, 1_000_000)
    parents = [output_of(poor, 0, ALICE), output_of(rich, 0, ALICE)]
    child = spend(parents, [TxOut(1_999_995, p2wpkh(BOB))])
    replies, rejected = batch(node, submission(poor, rich, child, package=True))
    assert [verdict.accepted for verdict in replies[0]] == [False, True, False]
    assert [(item.txid, item.reason) for item in rejected] == [
        (verdict.txid, verdict.reason) for verdict in replies[0] if not verdict.accepted
    ]


def test_a_trial_leaves_orphans_where_they_are(node: MemoryNode) -> None:
    parent, child, _ = family(node, 3)
    assert node.send_one(child).reason == MISSING
    for package in (False, True):
        assert node.send_one(parent, test_only=True, package=package).accepted
        assert (len(node.orphans), len(node.pool), node.deltas) == (1, 0, [])
    assert node.send_one(parent).accepted
    assert child.txid in node.pool


# ── orphans ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_orphans_of_orphans_come_in_parents_first_in_the_same_commit(node: MemoryNode) -> None:
    parent, child, grandchild = family(node, 3)
    for tx in (grandchild, child):
        assert node.send_one(tx).reason == MISSING
    assert len(node.orphans) == 2
    assert node.send_one(parent).accepted
    (delta,) = node.deltas
    assert [record.tx for record in delta.pool_added] == [parent, child, grandchild]
    sequences = [record.entry.sequence for record in delta.pool_added]
    assert sequences == sorted(set(sequences))
    assert len(node.orphans) == 0


def test_an_orphan_that_is_bad_in_itself_is_told_and_dropped(node: MemoryNode) -> None:
    parent = pay(node.coin(), ALICE, 1_000_000)
    free = spend([output_of(parent, 0, ALICE)], [TxOut(1_000_000, p2wpkh(BOB))])
    assert node.send_one(free).reason == MISSING
    replies, rejected = batch(node, submission(parent))
    assert replies[0][0].accepted
    assert [(item.txid, item.reason) for item in rejected] == [(free.txid_hex, Reason.MIN_RELAY_FEE_NOT_MET)]
    assert len(node.orphans) == 0


def test_an_orphan_of_two_parents_waits_for_both(node: MemoryNode) -> None:
    parents = [pay(node.coin(), ALICE, 1_000_000) for _ in range(2)]
    child = spend([output_of(parent, 0, ALICE) for parent in parents], [TxOut(1_500_000, p2wpkh(BOB))])
    assert node.send_one(child).reason == MISSING
    assert node.send_one(parents[0]).accepted
    assert (child.txid in node.pool, len(node.orphans)) == (False, 1)
    assert node.send_one(parents[1]).accepted
    assert (child.txid in node.pool, len(node.orphans)) == (True, 0)


def test_what_is_refused_for_another_reason_is_no_orphan(node: MemoryNode) -> None:
    assert node.send_one(pay(node.coin(), BOB, 1_000_000, fee=0)).reason == Reason.MIN_RELAY_FEE_NOT_MET
    assert len(node.orphans) == 0


def test_orphans_come_in_after_a_package_too(node: MemoryNode) -> None:
    parent, child, grandchild = family(node, 3)
    assert node.send_one(grandchild).reason == MISSING
    assert node.send(parent, child, package=True).package_error == ""
    assert [item.tx for item in node.pool] == [parent, child, grandchild]


def test_orphans_are_bounded_and_expire_after_twenty_minutes(node: MemoryNode, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (MAX_ORPHANS, KEEP_SECONDS) == (100, 1_200)
    monkeypatch.setattr(orphans_module, "MAX_ORPHANS", 2)
    families = [family(node, 2) for _ in range(4)]
    for _, child in families[:3]:
        assert node.send_one(child).reason == MISSING
    assert len(node.orphans) == 2
    assert node.send_one(families[0][0]).accepted
    assert families[0][1].txid not in node.pool, "the oldest gave way"
    node.set_clock(NOW + KEEP_SECONDS)
    monkeypatch.setattr(orphans_module, "MAX_ORPHANS", 100)
    assert node.send_one(families[3][1]).reason == MISSING
    assert len(node.orphans) == 3, "twenty minutes are not over"
    node.set_clock(NOW + KEEP_SECONDS + 1)
    assert node.send_one(family(node, 2)[1]).reason == MISSING
    assert len(node.orphans) == 2
