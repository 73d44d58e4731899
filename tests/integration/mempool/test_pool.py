"""Transactions: what enters the pool, what is refused and why, and that refusals change nothing."""

from __future__ import annotations

import dataclasses

import pytest

from services.mempool.transactions.submit import DECODE_FAILED, submit
from shared import policy
from shared.bus.events import TxSubmitted, TxVerdict
from shared.consensus.params import REGTEST
from shared.policy import MAX_PACKAGE_COUNT
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script.standard import p2tr_script, p2wsh_script
from tests.builders import Spendable, key, output_of, p2wpkh, pay, spend
from tests.integration.mempool.conftest import Chain

ALICE, BOB = key("alice"), key("bob")


@pytest.fixture
def coin(chain: Chain) -> Spendable:
    return chain.mature_coins()[0]


def refused(chain: Chain, *txs: Transaction, **options) -> TxVerdict:
    before = chain.dump()
    verdict = chain.submit(*txs, **options)[-1]
    assert not verdict.accepted
    assert chain.dump() == before, "a refused transaction changed the chain"
    return verdict


def test_an_accepted_transaction_is_in_the_pool_at_once(chain: Chain, coin: Spendable) -> None:
    tx = pay(coin, ALICE, 1_000_000, fee=500)
    (verdict,) = chain.submit(tx)
    assert (verdict.accepted, verdict.txid, verdict.fee, verdict.vsize) == (True, tx.txid_hex, 500, tx.vsize)
    record = chain.view.txs.get(tx.txid)
    assert record is not None
    assert record.pool is not None
    assert (record.tx, record.block, record.pool.fee) == (tx, None, 500)
    stats = chain.view.pool.stats()
    assert (stats.count, stats.vsize, stats.fees, stats.size) == (1, tx.vsize, 500, tx.size)
    (unspent,) = chain.view.scripts.unspent_paying([p2wpkh(ALICE)])
    assert (unspent.output.value, unspent.height) == (1_000_000, None)
    assert coin.outpoint not in [item.outpoint for item in chain.view.scripts.unspent_paying([p2wpkh(chain.miner)])]


def test_the_next_writer_has_the_same_pool(chain: Chain, coin: Spendable) -> None:
    parent = pay(coin, ALICE, 1_000_000)
    child = pay(output_of(parent, 0, ALICE), BOB, 500_000)
    assert all(verdict.accepted for verdict in chain.submit(parent, child))
    before = {record.txid: record for record in chain.node.pool}
    chain.node = chain.new_writer()
    assert [record.tx for record in chain.node.pool] == [parent, child]
    for record in chain.node.pool:
        assert record.entry == before[record.txid].entry
        assert sorted(record.script_hashes) == sorted(before[record.txid].script_hashes)
    assert chain.node.pool.spender(coin.outpoint) == parent.txid
    chain.mine(txs=[parent, child], fees=2_000)
    assert (len(chain.node.pool), chain.view.pool.stored()) == (0, ([], {}))
    assert not chain.client.exists(chain.keys.pool_scripts)


def test_a_mined_transaction_leaves_the_pool(chain: Chain, coin: Spendable) -> None:
    tx = pay(coin, ALICE, 1_000_000)
    chain.submit(tx)
    chain.mine(txs=[tx], fees=1_000)
    assert chain.view.pool.txids() == []
    assert chain.view.pool.stats().count == chain.view.pool.stats().vsize == 0
    assert chain.view.pool.spends([coin.outpoint]) == [None]
    assert len(chain.node.pool) == 0


def test_submitting_twice_is_answered_alike_and_changes_nothing(chain: Chain, coin: Spendable) -> None:
    tx = pay(coin, ALICE, 1_000_000)
    first = chain.submit(tx)
    before = chain.dump()
    assert chain.submit(tx) == first
    assert chain.dump() == before
    assert chain.submit(tx, test_only=True)[0].reason == Reason.TXN_ALREADY_IN_MEMPOOL


def test_a_conflicting_block_removes_a_transaction_and_its_descendants(chain: Chain, coin: Spendable) -> None:
    parent = pay(coin, ALICE, 1_000_000)
    child = pay(output_of(parent, 0, ALICE), BOB, 500_000)
    chain.submit(parent)
    chain.submit(child)
    chain.mine(txs=[pay(coin, BOB, 2_000_000)], fees=1_000)
    assert chain.view.pool.txids() == []
    removed = [body for topic, body in chain.events() if topic == "tx.removed"]
    assert len(removed) == 2
    assert all(b'"why":"conflict"' in body for body in removed)


def test_a_package_of_parent_and_child_enters_in_one_go(chain: Chain, coin: Spendable) -> None:
    parent = pay(coin, ALICE, 1_000_000)
    child = pay(output_of(parent, 0, ALICE), BOB, 500_000)
    assert [verdict.accepted for verdict in chain.submit(parent, child)] == [True, True]
    assert chain.view.pool.txids() == [child.txid, parent.txid]


def test_a_trial_tells_the_verdicts_and_changes_nothing(chain: Chain, coin: Spendable) -> None:
    parent = pay(coin, ALICE, 1_000_000)
    child = pay(output_of(parent, 0, ALICE), BOB, 500_000)
    before = chain.dump()
    assert [verdict.accepted for verdict in chain.submit(parent, child, test_only=True)] == [True, True]
    assert chain.dump() == before
    assert len(chain.node.pool) == 0
    assert not chain.submit(child, test_only=True)[0].accepted
    assert len(chain.node.orphans) == 0


def test_a_child_that_came_first_enters_with_its_parent(chain: Chain, coin: Spendable) -> None:
    parent = pay(coin, ALICE, 1_000_000)
    child = pay(output_of(parent, 0, ALICE), BOB, 500_000)
    grandchild = pay(output_of(child, 0, BOB), ALICE, 100_000)
    assert refused(chain, grandchild).reason == Reason.BAD_TXNS_INPUTS_MISSINGORSPENT
    assert refused(chain, child).reason == Reason.BAD_TXNS_INPUTS_MISSINGORSPENT
    assert chain.submit(parent)[0].accepted
    assert set(chain.view.pool.txids()) == {parent.txid, child.txid, grandchild.txid}


def test_a_parent_can_pay_in_a_block_for_a_child_that_came_first(chain: Chain, coin: Spendable) -> None:
    from services.mempool.transactions.submit import retry_orphans

    parent = pay(coin, ALICE, 1_000_000)
    child = pay(output_of(parent, 0, ALICE), BOB, 500_000)
    chain.submit(child)
    chain.mine(txs=[parent], fees=1_000)
    assert retry_orphans(chain.node, [parent.txid]).messages == []
    assert chain.view.pool.txids() == [child.txid]


def test_an_output_to_nobody_is_not_found_by_anybody(chain: Chain, coin: Spendable) -> None:
    verdict = refused(chain, spend([coin], [TxOut(coin.output.value - 1_000, b"")]))
    assert verdict.reason == Reason.SCRIPTPUBKEY


def _signed(coin: Spendable, *outputs: TxOut, **options) -> Transaction:
    return spend([coin], outputs, **options)


CASES = {
    "no outputs": (lambda c: _signed(c), Reason.BAD_TXNS_VOUT_EMPTY),
    "negative output": (lambda c: _signed(c, TxOut(-1, p2wpkh(BOB))), Reason.BAD_TXNS_VOUT_NEGATIVE),
    "output above all money": (
        lambda c: _signed(c, TxOut(2_100_000_000_000_001, p2wpkh(BOB))),
        Reason.BAD_TXNS_VOUT_TOOLARGE,
    ),
    "more than it has": (lambda c: _signed(c, TxOut(c.output.value + 1, p2wpkh(BOB))), Reason.BAD_TXNS_IN_BELOWOUT),
    "no fee": (lambda c: _signed(c, TxOut(c.output.value, p2wpkh(BOB))), Reason.MIN_RELAY_FEE_NOT_MET),
    "dust": (lambda c: pay(c, BOB, 293), Reason.DUST),
    "a coin twice": (
        lambda c: spend([c, c], [TxOut(c.output.value, p2wpkh(BOB))]),
        Reason.BAD_TXNS_INPUTS_DUPLICATE,
    ),
    "unknown version": (lambda c: _signed(c, TxOut(1_000_000, p2wpkh(BOB)), version=4), Reason.VERSION),
    "not final": (lambda c: _signed(c, TxOut(1_000_000, p2wpkh(BOB)), lock_time=10_000), Reason.NON_FINAL),
    "relative lock": (lambda c: _signed(c, TxOut(1_000_000, p2wpkh(BOB)), sequence=200), Reason.NON_BIP68_FINAL),
    "no known script": (lambda c: _signed(c, TxOut(1_000_000, b"\x51\x51")), Reason.SCRIPTPUBKEY),
    "too much data": (
        lambda c: _signed(c, TxOut(0, b"\x6a" + b"\x4e" + (100_001).to_bytes(4, "little") + bytes(100_001))),
        Reason.TX_SIZE,
    ),
    "another's coin": (
        lambda c: pay(dataclasses.replace(c, owner=key("thief")), BOB, 1_000_000),
        f"{Reason.MEMPOOL_SCRIPT_VERIFY_FLAG_FAILED} (",
    ),
    "no such coin": (
        lambda c: pay(dataclasses.replace(c, outpoint=OutPoint(bytes([7] * 32), 0)), BOB, 1_000_000),
        Reason.BAD_TXNS_INPUTS_MISSINGORSPENT,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_transaction_is_refused_with_cores_reason(chain: Chain, coin: Spendable, case: str) -> None:
    make, reason = CASES[case]
    tx = make(coin)
    verdict = refused(chain, tx)
    assert verdict.reason.startswith(str(reason)), verdict
    assert verdict.txid == tx.txid_hex


def test_a_coinbase_is_refused(chain: Chain) -> None:
    (block,) = chain.mine()
    assert refused(chain, block.transactions[0]).reason == Reason.COINBASE


def test_an_immature_coinbase_is_not_spent(chain: Chain) -> None:
    (block,) = chain.mine()
    tx = pay(chain.reward(block), ALICE, 1_000_000)
    assert refused(chain, tx).reason == Reason.BAD_TXNS_PREMATURE_SPEND_OF_COINBASE


def test_a_confirmed_transaction_is_known(chain: Chain, coin: Spendable) -> None:
    tx = pay(coin, ALICE, 1_000_000)
    chain.mine(txs=[tx], fees=1_000)
    assert refused(chain, tx).reason == Reason.TXN_ALREADY_KNOWN


@pytest.mark.parametrize("kind", [p2tr_script, p2wsh_script])
def test_a_payment_to_any_standard_script_is_relayed(chain: Chain, coin: Spendable, kind) -> None:
    tx = spend([coin], [TxOut(1_000_000, kind(BOB.public_key.taproot_output_key()))])
    assert chain.submit(tx)[0].accepted


def test_a_fee_above_the_senders_limit_is_refused(chain: Chain, coin: Spendable) -> None:
    tx = pay(coin, ALICE, 1_000_000, fee=100_000)
    assert refused(chain, tx, max_feerate=10_000).reason == Reason.MAX_FEE_EXCEEDED
    assert chain.submit(tx, max_feerate=10_000_000)[0].accepted


def test_a_cluster_of_unconfirmed_transactions_has_a_limit(chain: Chain, coin: Spendable) -> None:
    for _ in range(policy.MAX_CLUSTER_COUNT):
        tx = spend([coin], [TxOut(coin.output.value - 200, p2wpkh(coin.owner))])
        assert chain.submit(tx)[0].accepted
        coin = output_of(tx, 0, coin.owner)
    tx = spend([coin], [TxOut(coin.output.value - 200, p2wpkh(coin.owner))])
    assert refused(chain, tx).reason == Reason.TOO_LARGE_CLUSTER


def test_a_cluster_has_a_limit_of_size(chain: Chain, coin: Spendable) -> None:
    big = TxOut(0, b"\x6a\x4d" + (50_000).to_bytes(2, "little") + bytes(50_000))
    for _ in range(2):
        tx = spend([coin], [TxOut(coin.output.value - 10_000, p2wpkh(coin.owner)), big])
        assert chain.submit(tx)[0].accepted
        coin = output_of(tx, 0, coin.owner)
    small = spend([coin], [TxOut(coin.output.value - 10_000, p2wpkh(coin.owner)), TxOut(0, b"\x6a" + b"\x01" * 1_000)])
    assert refused(chain, small).reason == Reason.TOO_LARGE_CLUSTER


@pytest.mark.parametrize(
    "raw", ["", "zz", "00", "0200000001", "02000000" + "00" * 10, "ff" * 500], ids=lambda raw: raw[:12] or "empty"
)
def test_bytes_that_are_no_transaction_are_refused(chain: Chain, raw: str) -> None:
    before = chain.dump()
    (reply,), rejected = submit(chain.node, [TxSubmitted(txs=(raw,))])
    assert (reply.verdicts[0].reason, rejected.messages) == (DECODE_FAILED, [])
    assert chain.dump() == before


def test_trailing_bytes_are_refused(chain: Chain, coin: Spendable) -> None:
    raw = pay(coin, ALICE, 1_000_000).serialize().hex() + "00"
    (reply,), _ = submit(chain.node, [TxSubmitted(txs=(raw,))])
    assert reply.verdicts[0].reason == DECODE_FAILED


def test_an_oversized_package_is_refused_whole(chain: Chain, coin: Spendable) -> None:
    tx = pay(coin, ALICE, 1_000_000)
    verdict = refused(chain, *([tx] * (MAX_PACKAGE_COUNT + 1)))
    assert verdict.reason == Reason.PACKAGE_TOO_MANY_TRANSACTIONS


def test_a_batch_of_submissions_is_one_commit(chain: Chain) -> None:
    coins = chain.mature_coins(5)
    txs = [pay(coin, ALICE, 1_000_000) for coin in coins]
    replies, _ = submit(chain.node, [TxSubmitted(txs=(tx.serialize().hex(),)) for tx in txs])
    assert all(reply.verdicts[0].accepted for reply in replies)
    assert chain.view.pool.stats().count == 5


def test_an_oversized_transaction_is_refused(chain: Chain, coin: Spendable) -> None:
    inputs = tuple(TxIn(OutPoint(bytes([i % 251, i // 251]) * 16, 0), b"") for i in range(2_500))
    big = Transaction(2, inputs, (TxOut(1_000, p2wpkh(ALICE)),))
    assert refused(chain, big).reason == Reason.TX_SIZE


def test_relay_constants_are_those_of_core() -> None:
    assert policy.MIN_RELAY_FEERATE == 100
    assert policy.MAX_STANDARD_TX_WEIGHT == 400_000
    assert policy.MIN_STANDARD_TX_NONWITNESS_SIZE == 65
    assert policy.MAX_STANDARD_SCRIPTSIG_SIZE == 1_650
    assert policy.MAX_STANDARD_TX_SIGOPS_COST == 16_000
    assert (policy.MAX_CLUSTER_COUNT, policy.MAX_CLUSTER_VSIZE) == (64, 101_000)
    assert policy.INCREMENTAL_RELAY_FEERATE == 100
    assert REGTEST.coinbase_maturity == 100
