"""History: the fees of blocks, and the pool minute by minute."""

from __future__ import annotations

from services.mempool.blocks.operator import control
from shared.bus.events import ChainControl, ControlAction
from shared.chain.codec import PoolSample
from shared.primitives.transaction import TxOut
from tests.builders import Spendable, key, make_block, p2wpkh, spend
from tests.integration.mempool.conftest import Chain

WEEK = 7 * 24 * 60
BOB = key("bob")
START = 1_900_000_020  # a minute begins here


def set_time(chain: Chain, seconds: int) -> None:
    order = ChainControl(action=ControlAction.SET_TIME, time=seconds)
    assert control(chain.node, order).done


def pay_fee(chain: Chain, coin: Spendable, fee: int) -> Spendable:
    tx = spend([coin], [TxOut(coin.output.value - fee, p2wpkh(BOB))])
    (verdict,) = chain.submit(tx)
    assert verdict.accepted, verdict
    return Spendable(coin.outpoint, coin.output, BOB)


def test_fees_of_a_block_are_kept_with_its_connection(chain: Chain) -> None:
    coins = chain.mature_coins(5)
    for number, coin in enumerate(coins, 1):
        pay_fee(chain, coin, 110 * number)
    txs = [item.tx for item in chain.node.pool]
    empty = chain.view.tip().hash
    (block,) = chain.mine(txs=txs, fees=1650)
    fees, nothing, unknown = chain.view.blocks.fees([block.hash, empty, bytes(32)])
    assert nothing is None
    assert unknown is None
    assert fees is not None
    assert fees.total == 1650
    assert [round(rate) for rate in fees.feerates] == [1, 1, 2, 3, 4, 5, 5]
    assert fees.feerates[3] == 330 / txs[0].vsize


def test_fees_of_a_block_that_went_stale_stay_known(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    pay_fee(chain, coin, 500)
    (block,) = chain.mine(txs=[item.tx for item in chain.node.pool], fees=500)
    fork = chain.node.tree.best_at(chain.node.tree.tip.height - 1)
    assert fork is not None
    first = make_block(fork.header, fork.height + 1, p2wpkh(BOB), tag=b"rival")
    assert chain.accept(first).accepted
    assert chain.accept(chain.block(on=first)).accepted
    assert chain.view.tip().height == fork.height + 2
    [fees] = chain.view.blocks.fees([block.hash])
    assert fees is not None
    assert fees.total == 500


def test_the_pool_is_sampled_once_a_minute_as_its_last_commit_left_it(chain: Chain) -> None:
    coins = chain.mature_coins(3)
    before = len(chain.view.pool.history(0))
    set_time(chain, START)
    pay_fee(chain, coins[0], 1_000)
    set_time(chain, START + 59)
    pay_fee(chain, coins[1], 2_000)
    set_time(chain, START + 125)
    pay_fee(chain, coins[2], 4_000)
    vsize = [item.entry.vsize for item in chain.node.pool]
    two, three = sum(vsize[:2]), sum(vsize)
    assert chain.view.pool.history(START) == [
        PoolSample(START, 2, two, 3_000),
        PoolSample(START + 120, 3, three, 7_000),
    ]
    assert chain.view.pool.history(START + 1) == [PoolSample(START + 120, 3, three, 7_000)]
    assert before >= 1, "blocks are commits too"
    set_time(chain, START + 180)
    chain.mine(txs=[item.tx for item in chain.node.pool], fees=7_000)
    assert chain.view.pool.history(START + 180) == [PoolSample(START + 180, 0, 0, 0)]


def test_a_clock_that_is_set_back_takes_later_samples_back(chain: Chain) -> None:
    set_time(chain, START + 600)
    chain.mine()
    assert chain.view.pool.history(START)
    set_time(chain, START)
    chain.mine()
    assert [sample.time for sample in chain.view.pool.history(START)] == [START]


def test_a_week_of_samples_is_kept(chain: Chain) -> None:
    name = chain.keys.pool_history
    chain.client.delete(name)
    chain.client.zadd(name, {f"old {minute}".encode(): minute * 60 for minute in range(WEEK)})
    set_time(chain, START)
    assert chain.client.zcard(name) == WEEK
    assert chain.client.zrange(name, 0, 0) == [b"old 1"]
