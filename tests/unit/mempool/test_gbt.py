"""The next block as getblocktemplate shows it."""

from __future__ import annotations

import pytest

from services.mempool.mining import gbt, template
from services.mempool.pool.pool import Pool
from shared.consensus.limits import MAX_TIMEWARP
from shared.consensus.params import REGTEST, SIGNET, TESTNET4
from shared.consensus.subsidy import block_subsidy
from shared.primitives.block import BlockHeader
from shared.primitives.transaction import TxOut
from tests.builders import output_of, p2wpkh, pay, spend
from tests.unit.consensus.builders import Headers, header
from tests.unit.mempool.memory import ALICE, BOB, MemoryNode
from tests.unit.mempool.test_select_txs import family

# ── getblocktemplate ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_template_of_the_next_block_says_what_core_says() -> None:
    pool = Pool(family([700, 100, 5], {1: [0], 2: [0, 1]}).items)
    shown = gbt.work_template(
        branch=Headers([header(time=100)]),
        tip_hash=bytes(31) + b"\x01",
        height=1,
        seq=77,
        times=(90, 120),
        contents=gbt.Contents.of(list(pool), pool.graph),
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
        (fee, 4, item.tx.weight) for fee, item in zip((700, 100, 5), pool, strict=True)
    ]


def test_what_a_transaction_depends_on_is_told_by_places_from_one() -> None:
    node = MemoryNode()
    first, second = (pay(node.coin(), ALICE, 1_000_000) for _ in range(2))
    both = spend([output_of(second, 0, ALICE), output_of(first, 0, ALICE)], [TxOut(1_000_000, p2wpkh(BOB))])
    for tx in (first, second, both):
        assert node.send_one(tx).accepted
    contents = gbt.Contents.of(node.pool.records(tx.txid for tx in (first, second, both)), node.pool.graph)
    shown = gbt.work_template(
        branch=Headers([header()]), tip_hash=bytes(32), height=1, seq=0, times=(1, 2), contents=contents, params=SIGNET
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
