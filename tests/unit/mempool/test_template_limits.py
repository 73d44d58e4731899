"""The limits of a template, each exactly: its weight, the transactions left out, and getblocktemplate's fields."""

from __future__ import annotations

import dataclasses

import pytest

from services.mempool.mining import gbt, template
from services.mempool.mining.select_txs import chosen_txs, pool_candidates
from services.mempool.mining.template import Candidate, choose
from shared.consensus.limits import MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT, MAX_TIMEWARP
from shared.consensus.params import REGTEST, SIGNET, TESTNET4
from shared.consensus.subsidy import block_subsidy
from shared.errors import DecodeError
from shared.policy import BLOCK_MIN_FEERATE, BLOCK_RESERVED_SIGOPS, BLOCK_RESERVED_WEIGHT
from shared.primitives.block import BlockHeader
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from tests.builders import output_of, p2wpkh, pay, spend
from tests.unit.consensus.builders import Headers, header
from tests.unit.mempool.memory import ALICE, BOB, MemoryNode
from tests.unit.mempool.test_template import family, order


def sized(number: int, weight: int, fee: int = 1_000, sigops: int = 0) -> Candidate:
    """A transaction without family that weighs so much."""

    def made(size: int, items: tuple[bytes, ...] = ()) -> Transaction:
        return Transaction(2, (TxIn(OutPoint(bytes([number]) * 32, 0), bytes(size), 0, items),), (TxOut(1, b""),))

    size = (weight - made(0).weight) // 4 - 20
    tx = made(size)
    while tx.weight < weight:
        spare = weight - made(size, (b"",)).weight
        tx = made(size, (bytes(spare),)) if 0 <= spare < 250 else tx
        size += 1
    assert tx.weight == weight
    alone = frozenset([tx.txid])
    return Candidate(tx, fee, fee, tx.vsize, sigops, alone, alone)


@pytest.mark.parametrize(("excess", "chosen"), [(0, 2), (1, 1)])
def test_a_block_is_filled_to_the_last_unit_of_weight(excess: int, chosen: int) -> None:
    room = MAX_BLOCK_WEIGHT - BLOCK_RESERVED_WEIGHT
    candidates = [sized(1, room - 1_000_000, fee=10**8), sized(2, 1_000_000 + excess)]
    assert len(choose(candidates)) == chosen


@pytest.mark.parametrize(("excess", "chosen"), [(0, 2), (1, 1)])
def test_a_block_is_filled_to_the_last_signature_operation(excess: int, chosen: int) -> None:
    room = MAX_BLOCK_SIGOPS_COST - BLOCK_RESERVED_SIGOPS
    candidates = [sized(1, 1_000, fee=10**6, sigops=room - 20), sized(2, 1_000, sigops=20 + excess)]
    assert len(choose(candidates)) == chosen


def test_both_limits_must_hold_for_the_whole_package() -> None:
    parent, child = family([1, 100_000], {1: [0]})
    heavy = dataclasses.replace(parent, sigop_cost=MAX_BLOCK_SIGOPS_COST - BLOCK_RESERVED_SIGOPS - 3)
    assert choose([heavy, dataclasses.replace(child, sigop_cost=3)]) == [
        heavy,
        dataclasses.replace(child, sigop_cost=3),
    ]
    over = dataclasses.replace(child, sigop_cost=4)
    assert choose([heavy, over]) == [heavy], "the parent fits by itself, and is chosen when its child does not"


def test_what_follows_from_something_that_does_not_fit_is_left_out_and_the_rest_goes_on() -> None:
    candidates = family([10**6, 10**5, 500, 400], {1: [0], 2: []})
    candidates[0] = dataclasses.replace(candidates[0], sigop_cost=MAX_BLOCK_SIGOPS_COST)
    assert [candidates.index(candidate) for candidate in choose(candidates)] == [2, 3]


@pytest.mark.parametrize(("fee", "chosen"), [(0, []), (1, [0])])
def test_the_least_feerate_is_a_satoshi_for_a_thousand_vbytes(fee: int, chosen: list[int]) -> None:
    assert BLOCK_MIN_FEERATE == 1
    assert order(family([fee], {}, [100])) == chosen


def test_of_equal_feerates_the_first_in_the_pool_comes_first() -> None:
    assert order(family([100, 100, 100], {})) == [0, 1, 2]


def test_a_deep_family_comes_generation_by_generation() -> None:
    # 3 spends 2 and 1, which spend 0: the one that pays is the last.
    assert order(family([0, 0, 0, 10**6], {1: [0], 2: [0], 3: [1, 2]})) in ([0, 1, 2, 3], [0, 2, 1, 3])
    assert order(family([5, 4, 3, 2, 10**6], {1: [0], 2: [1], 3: [2], 4: [3]})) == [0, 1, 2, 3, 4]


def test_a_descendant_is_judged_anew_each_time_an_ancestor_comes_in() -> None:
    # 0 pays well alone; 2 pays for its poor parent 1 but not as well as 3.
    assert order(family([10_000, 10, 2_000, 1_100], {1: [0], 2: [1]})) == [0, 3, 1, 2]
    assert order(family([10_000, 10, 2_000, 900], {1: [0], 2: [1]})) == [0, 1, 2, 3]


# ── the pool as the choice sees it ──────────────────────────────────────────────────────────────────────────────────


def test_the_choice_sees_families_fees_and_priorities_of_the_pool() -> None:
    node = MemoryNode()
    parent = pay(node.coin(), ALICE, 1_000_000, fee=700)
    child = spend([output_of(parent, 0, ALICE)], [TxOut(900_000, p2wpkh(BOB))])
    alone = pay(node.coin(), BOB, 1_000_000)
    for tx in (parent, child, alone):
        assert node.send_one(tx).accepted
    node.prioritise(child.txid, 5)
    seen = {candidate.tx.txid: candidate for candidate in pool_candidates(node)}
    assert [(seen[tx.txid].fee, seen[tx.txid].modified_fee) for tx in (parent, child, alone)] == [
        (700, 700), (100_000, 100_005), (1_000, 1_000),
    ]  # fmt: skip
    both = {parent.txid, child.txid}
    assert [seen[tx.txid].ancestors for tx in (parent, child, alone)] == [{parent.txid}, both, {alone.txid}]
    assert [seen[tx.txid].descendants for tx in (parent, child, alone)] == [both, {child.txid}, {alone.txid}]
    assert seen[parent.txid].vsize == parent.vsize
    assert seen[parent.txid].sigop_cost == 1


def test_a_choice_names_transactions_of_the_pool_or_gives_their_bytes() -> None:
    node = MemoryNode()
    pooled, raw = pay(node.coin(), ALICE, 1_000_000), pay(node.coin(), BOB, 1_000_000)
    assert node.send_one(pooled).accepted
    assert chosen_txs(node, [pooled.txid_hex.upper(), raw.serialize().hex()]) == [pooled, raw]
    for name, error in (
        ("AB" * 32, f"Transaction {'ab' * 32} not in mempool."),
        ("ab" * 31, f"Transaction decode failed for {'ab' * 31}. Make sure the tx has at least one input."),
        ("", "Transaction decode failed for . Make sure the tx has at least one input."),
    ):
        with pytest.raises(DecodeError) as caught:
            chosen_txs(node, [name])
        assert str(caught.value) == error


# ── getblocktemplate ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_template_of_the_next_block_says_what_core_says() -> None:
    candidates = family([700, 100, 5], {1: [0], 2: [0, 1]})
    shown = gbt.work_template(
        branch=Headers([header(time=100)]),
        tip_hash=bytes(31) + b"\x01",
        height=1,
        seq=77,
        times=(90, 120),
        chosen=candidates,
        params=REGTEST,
    )
    assert shown.coinbasevalue == block_subsidy(1, REGTEST) + 805
    assert (shown.mintime, shown.curtime, shown.height, shown.bits) == (90, 120, 1, "207fffff")
    assert shown.target == "7fffff" + "00" * 29
    assert shown.longpollid == "01" + "00" * 31 + "77"
    assert (shown.sizelimit, shown.weightlimit, shown.sigoplimit) == (4_000_000, 4_000_000, 80_000)
    assert (shown.vbrequired, shown.noncerange) == (0, "00000000ffffffff")
    assert shown.rules == ("csv", "!segwit", "taproot")
    assert shown.signet_challenge == ""
    assert [(tx.fee, tx.sigops, tx.weight) for tx in shown.transactions] == [
        (fee, 4, candidate.tx.weight) for fee, candidate in zip((700, 100, 5), candidates, strict=True)
    ]


def test_what_a_transaction_depends_on_is_told_by_places_from_one() -> None:
    node = MemoryNode()
    first, second = (pay(node.coin(), ALICE, 1_000_000) for _ in range(2))
    both = spend([output_of(second, 0, ALICE), output_of(first, 0, ALICE)], [TxOut(1_000_000, p2wpkh(BOB))])
    for tx in (first, second, both):
        assert node.send_one(tx).accepted
    candidates = {candidate.tx.txid: candidate for candidate in pool_candidates(node)}
    shown = gbt.work_template(
        branch=Headers([header()]), tip_hash=bytes(32), height=1, seq=0, times=(1, 2),
        chosen=[candidates[tx.txid] for tx in (first, second, both)], params=SIGNET,
    )  # fmt: skip
    assert [tx.depends for tx in shown.transactions] == [(), (), (1, 2)]
    assert shown.rules == ("csv", "!segwit", "taproot", "!signet")
    assert shown.signet_challenge == SIGNET.signet_challenge.hex()


@pytest.mark.parametrize(("now", "time"), [(50, 101), (101, 101), (102, 102)])
def test_the_next_block_is_later_than_the_median_and_else_now(now: int, time: int) -> None:
    tip = BlockHeader(4, bytes(32), bytes(32), 5_000, 0x207FFFFF, 0)
    assert gbt.next_time(tip, 10, 100, now, REGTEST) == (101, time)


def test_the_first_block_of_a_period_may_go_back_ten_minutes_where_bip94_holds() -> None:
    tip = BlockHeader(4, bytes(32), bytes(32), 5_000, 0x1D00FFFF, 0)
    interval = TESTNET4.retarget_interval
    assert gbt.next_time(tip, interval - 1, 100, 50, TESTNET4) == (5_000 - MAX_TIMEWARP,) * 2
    assert gbt.next_time(tip, interval - 2, 100, 50, TESTNET4) == (101, 101)
    assert gbt.next_time(tip, interval, 100, 50, TESTNET4) == (101, 101)
    assert gbt.next_time(tip, interval - 1, 4_900, 50, TESTNET4) == (4_901, 4_901)
    assert gbt.next_time(tip, REGTEST.retarget_interval - 1, 100, 50, REGTEST) == (101, 101)


def test_a_template_leaves_room_for_the_extranonce_and_pays_what_it_says() -> None:
    made = template.build(
        job_id="j", txs=[], reward=5_000, script_pubkey=b"\x51", height=1, previous_hash=bytes(32), bits=1, time=2,
        min_time=1,
    )  # fmt: skip
    block = made.unsolved()
    coinbase = block.transactions[0]
    assert len(coinbase.inputs[0].script_sig) == 1 + 1 + template.EXTRANONCE_SIZE
    assert [output.value for output in coinbase.outputs] == [5_000, 0]
    assert coinbase.outputs[0].script_pubkey == b"\x51"
    assert (coinbase.version, coinbase.lock_time, block.header.version) == (2, 0, 0x20000000)
    assert (block.header.time, block.header.bits, block.header.nonce) == (2, 1, 0)
