"""Each rule of replacement at its limit, with Core's reasons and texts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest

from services.mempool.pool import rbf
from services.mempool.pool.changeset import Candidate, Changeset
from services.mempool.pool.pool import Pool
from shared import policy
from shared.chain.codec import PoolEntry
from shared.chain.commit import PoolRecord
from shared.errors import ValidationError
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason

VSIZE = 1_000
RELAY = 100
"""Satoshis that a replacement of `VSIZE` pays for its own relay."""
_numbers = itertools.count(1)


def coin() -> OutPoint:
    return OutPoint(next(_numbers).to_bytes(32, "little"), 0)


def record(*coins: OutPoint, fee: int, vsize: int = VSIZE) -> PoolRecord:
    """A transaction of the pool; only its inputs, two outputs and its entry matter."""
    inputs = tuple(TxIn(outpoint, b"") for outpoint in coins)
    outputs = (TxOut(1_000, b"\x51"), TxOut(1_000, b"\x51"))
    tx = Transaction(2, inputs, outputs, next(_numbers))
    sequence = next(_numbers)
    return PoolRecord(tx, PoolEntry(tx.wtxid, fee, vsize, 4 * vsize, 0, 0, sequence), ())


def output(parent: PoolRecord, vout: int = 0) -> OutPoint:
    return OutPoint(parent.tx.txid, vout)


def candidate(pool: Pool, *coins: OutPoint, fee: int, vsize: int = VSIZE) -> Candidate:
    found = record(*coins, fee=fee, vsize=vsize)
    conflicts = {spender for outpoint in coins if (spender := pool.spender(outpoint)) is not None}
    return Candidate(found, (), fee, frozenset(conflicts))


def changeset(pool: Pool, *candidates: Candidate, prioritised: dict[bytes, int] | None = None) -> Changeset:
    return Changeset(pool, prioritised or {}, candidates)


def refusal(check: Callable[[Changeset], None], change: Changeset) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        check(change)
    return caught.value


def single(change: Changeset) -> ValidationError:
    return refusal(rbf.check_replacement, change)


def spenders(coins: Sequence[OutPoint], fee: int = 1_000) -> list[PoolRecord]:
    return [record(outpoint, fee=fee) for outpoint in coins]


def test_the_limits_are_those_of_core() -> None:
    assert policy.MAX_REPLACEMENT_CANDIDATES == 100
    assert policy.INCREMENTAL_RELAY_FEERATE == 100


def test_rule_3_it_pays_no_less_than_all_that_leave() -> None:
    spent = coin()
    parent = record(spent, fee=1_000)
    pool = Pool([parent, record(output(parent), fee=2_000)])
    poor = candidate(pool, spent, fee=2_999)
    error = single(changeset(pool, poor))
    assert error.reason is Reason.INSUFFICIENT_FEE
    assert error.detail == (
        f"rejecting replacement {poor.tx.txid_hex}, less fees than conflicting txs; 0.00002999 < 0.00003"
    )


def test_rule_4_it_pays_for_its_own_relay() -> None:
    spent = coin()
    pool = Pool([record(spent, fee=1_000)])
    short = candidate(pool, spent, fee=1_000 + RELAY - 1)
    error = single(changeset(pool, short))
    assert error.reason is Reason.INSUFFICIENT_FEE
    assert error.detail == (
        f"rejecting replacement {short.tx.txid_hex}, not enough additional fees to relay; 0.00000099 < 0.000001"
    )
    rbf.check_replacement(changeset(pool, candidate(pool, spent, fee=1_000 + RELAY)))


def test_rule_5_it_conflicts_with_a_hundred_clusters_at_most() -> None:
    coins = [coin() for _ in range(101)]
    pool = Pool(spenders(coins))
    many = candidate(pool, *coins, fee=1_000_000)
    error = single(changeset(pool, many))
    assert error.reason is Reason.TOO_MANY_POTENTIAL_REPLACEMENTS
    assert error.detail == f"rejecting replacement {many.tx.txid_hex}; too many conflicting clusters (101 > 100)"
    rbf.check_replacement(changeset(pool, candidate(pool, *coins[:100], fee=1_000_000)))


def test_two_hundred_transactions_in_few_clusters_may_go() -> None:
    pool, coins = Pool(), []
    for _ in range(4):
        coins.append(coin())
        last = record(coins[-1], fee=200)
        pool.add(last)
        for _ in range(49):
            last = record(output(last), fee=200)
            pool.add(last)
    change = changeset(pool, candidate(pool, *coins, fee=200 * 200 + RELAY))
    assert (len(change.evicted), change.conflicting_clusters) == (200, 4)
    rbf.check_replacement(change)


def test_rule_6_a_block_of_any_size_earns_more() -> None:
    spent = coin()
    pool = Pool([record(spent, fee=1_000)])
    error = single(changeset(pool, candidate(pool, spent, fee=1_500, vsize=2 * VSIZE)))
    assert error.reason is Reason.REPLACEMENT_FAILED
    assert error.detail == "insufficient feerate: does not improve feerate diagram"
    rbf.check_replacement(changeset(pool, candidate(pool, spent, fee=2_000, vsize=2 * VSIZE - 1)))


def test_a_parent_that_pays_too_little_holds_a_replacement_back() -> None:
    spent, poor = coin(), record(coin(), fee=0, vsize=10 * VSIZE)
    pool = Pool([record(spent, fee=1_000), poor])
    assert single(changeset(pool, candidate(pool, spent, output(poor), fee=5_000))).reason is Reason.REPLACEMENT_FAILED
    rbf.check_replacement(changeset(pool, candidate(pool, spent, output(poor), fee=11_001)))


def test_what_depended_on_other_parents_leaves_them_their_own_feerate() -> None:
    """A child that paid for two parents goes; the parent that stays is worse off, and the blocks may earn less."""
    spent, stays = coin(), record(coin(), fee=0)
    goes = record(spent, fee=0)
    pool = Pool([stays, goes, record(output(stays), output(goes), fee=3_000)])
    change = changeset(pool, candidate(pool, spent, fee=3_100))
    assert change.fees_lost == 3_000
    rbf.check_replacement(change)
    assert set(change.after()) == {stays.tx.txid, change.candidates[0].tx.txid}


def test_fees_are_those_that_count() -> None:
    spent = coin()
    old = record(spent, fee=1_000)
    pool = Pool([old])
    rich = candidate(pool, spent, fee=5_000)
    assert single(changeset(pool, rich, prioritised={old.tx.txid: 10_000})).reason is Reason.INSUFFICIENT_FEE
    poor = Candidate(rich.record, (), 1_050, rich.conflicts)
    assert single(changeset(pool, poor)).reason is Reason.INSUFFICIENT_FEE
    rbf.check_replacement(changeset(pool, poor, prioritised={old.tx.txid: -900}))


def test_no_cluster_becomes_too_large() -> None:
    spent, last = coin(), record(coin(), fee=1_000)
    pool = Pool([record(spent, fee=1_000), last])
    for _ in range(62):
        last = record(output(last), fee=1_000)
        pool.add(last)
    rbf.check_replacement(changeset(pool, candidate(pool, spent, output(last), fee=100_000)))
    last = record(output(last), fee=1_000)
    pool.add(last)
    assert single(changeset(pool, candidate(pool, spent, output(last), fee=100_000))).reason is Reason.TOO_LARGE_CLUSTER


def test_it_does_not_spend_what_it_replaces() -> None:
    spent = coin()
    old = record(spent, fee=1_000)
    pool = Pool([old])
    odd = candidate(pool, spent, output(old), fee=50_000)
    with pytest.raises(ValidationError) as caught:
        rbf.check_spends_no_conflict(odd, set(pool.ancestors([old.tx.txid])))
    assert caught.value.reason is Reason.BAD_TXNS_SPENDS_CONFLICTING_TX
    assert caught.value.detail == f"{odd.tx.txid_hex} spends conflicting transaction {old.tx.txid_hex}"


def package(pool: Pool, *coins: OutPoint, fees: tuple[int, int]) -> Changeset:
    parent = candidate(pool, *coins, fee=fees[0])
    return changeset(pool, parent, candidate(pool, output(parent.record), fee=fees[1]))


def of_package(change: Changeset) -> ValidationError:
    return refusal(rbf.check_package_replacement, change)


def test_a_package_pays_for_all_that_leave_and_for_its_relay() -> None:
    spent = coin()
    pool = Pool([record(spent, fee=1_000)])
    rbf.check_package_replacement(package(pool, spent, fees=(0, 2_001)))
    short = package(pool, spent, fees=(0, 1_000 + 2 * RELAY - 1))
    error = of_package(short)
    assert error.reason is Reason.PACKAGE_RBF_FEES
    txid = short.candidates[1].tx.txid_hex
    assert error.detail == f"rejecting replacement {txid}, not enough additional fees to relay; 0.00000199 < 0.000002"
    assert of_package(package(pool, spent, fees=(0, 1_999))).reason is Reason.PACKAGE_RBF_DIAGRAM


def test_a_package_has_a_parent_and_a_child_that_pays_more() -> None:
    spent = coin()
    pool = Pool([record(spent, fee=1_000)])
    error = of_package(package(pool, spent, fees=(3_000, 2_000)))
    assert error.reason is Reason.PACKAGE_RBF_PARENT_FEERATE
    assert error.detail == "package feerate 0.00002500 BTC/kvB <= parent feerate is 0.00003000 BTC/kvB"
    assert of_package(package(pool, spent, fees=(2_000, 2_000))).reason is Reason.PACKAGE_RBF_PARENT_FEERATE
    alone = changeset(pool, candidate(pool, spent, fee=9_000))
    assert of_package(alone).reason is Reason.PACKAGE_RBF_NOT_TWO


def test_a_package_that_replaces_depends_on_nothing_in_the_pool() -> None:
    spent, other = coin(), record(coin(), fee=1_000)
    pool = Pool([record(spent, fee=1_000), other])
    assert of_package(package(pool, spent, output(other), fees=(0, 9_000))).reason is Reason.PACKAGE_RBF_ANCESTORS


def test_a_package_conflicts_with_a_hundred_clusters_at_most() -> None:
    coins = [coin() for _ in range(101)]
    pool = Pool(spenders(coins))
    assert of_package(package(pool, *coins, fees=(0, 1_000_000))).reason is Reason.PACKAGE_RBF_TOO_MANY
    rbf.check_package_replacement(package(pool, *coins[:100], fees=(0, 1_000_000)))
