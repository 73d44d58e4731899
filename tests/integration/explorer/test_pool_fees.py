"""The explorer's cache of the pool equals the pool, after any changes since the last read."""

from __future__ import annotations

import random

import pytest
import redis as redis_py

from services.explorer.chain.fee_estimates import PoolFees
from services.explorer.chain.pool_fee_cache import MAX_FACTS, PoolFeeCache
from shared.chain.view import ChainView
from shared.primitives.transaction import TxOut
from tests.builders import Spendable, key, output_of, p2wpkh, pay, spend
from tests.integration.explorer.chain import TestChain

ALICE, BOB = key("alice"), key("bob")


class CountingView(ChainView):
    """Counts how often the whole pool is read."""

    def __init__(self, client, keys):
        super().__init__(client, keys)
        self.loads = 0
        self._read = self.pool.entries_and_seq
        self.pool.entries_and_seq = self._load

    def _load(self):
        self.loads += 1
        return self._read()


@pytest.fixture
def view(chain, redis):
    return CountingView(redis, chain.keys)


@pytest.fixture
def fees(view):
    return PoolFeeCache(view)


def coins(chain: TestChain, count: int) -> list[Spendable]:
    block = chain.mine(ALICE)
    coin = output_of(block.transactions[0], 0, ALICE)
    fan = spend([coin], [TxOut(100_000, p2wpkh(ALICE))] * count)
    chain.mine(ALICE, [fan])
    return [output_of(fan, vout, ALICE) for vout in range(count)]


def contents(pool: PoolFees) -> list[tuple[int, int]]:
    """Fee and virtual size of each transaction."""
    return [(pool.fees(place, place + 1), pool.vsize(place, place + 1)) for place in range(len(pool))]


def in_the_pool(chain: TestChain) -> list[tuple[int, int]]:
    paying = [(entry.fee, entry.vsize) for entry in chain.view.pool.entries().values()]
    return sorted(paying, key=lambda item: (-item[0] / item[1], item[1]))


def test_the_pool_is_read_once_and_then_followed(chain, view, fees):
    rng = random.Random(4)
    waiting = []
    for number, coin in enumerate(coins(chain, 40)):
        tx = pay(coin, BOB, 10_000, fee=200 + rng.randint(0, 5_000))
        chain.pool_add(tx)
        waiting.append(tx)
        if number % 5 == 4:
            chain.pool_remove(waiting.pop(rng.randrange(len(waiting))))
        if number == 20:
            chain.mine(ALICE, waiting[:7])
            del waiting[:7]
        if number % 3 == 0:
            assert fees.derive(contents) == in_the_pool(chain)
    chain.replace_tip(BOB)
    assert fees.derive(contents) == in_the_pool(chain)
    assert len(fees.derive(contents)) == len(waiting)
    assert view.loads == 1


def test_best_payers_come_first(chain, fees):
    for number, coin in enumerate(coins(chain, 3)):
        chain.pool_add(pay(coin, BOB, 10_000, fee=(500, 900, 700)[number]))
    assert [fee for fee, _ in fees.derive(contents)] == [900, 700, 500]


def test_a_state_of_the_pool_is_derived_from_once(chain, fees):
    runs = []
    chain.pool_add(pay(coins(chain, 1)[0], BOB, 10_000))
    for _ in range(3):
        assert fees.derive(lambda pool: len(pool)) == 1
    remember = runs.append
    fees.derive(remember)
    chain.mine(ALICE)
    fees.derive(remember)
    assert len(runs) == 1, "a block without payments changes no fee"
    chain.pool_add(pay(coins(chain, 1)[0], BOB, 10_000))
    fees.derive(remember)
    assert [len(pool) for pool in runs] == [1, 2]


def test_facts_that_are_no_longer_kept_make_it_read_the_pool_again(chain, view, fees, redis: redis_py.Redis):
    spendable = coins(chain, 3)
    chain.pool_add(pay(spendable[0], BOB, 10_000))
    assert len(fees.derive(contents)) == 1
    chain.pool_add(pay(spendable[1], BOB, 10_000))
    chain.pool_add(pay(spendable[2], BOB, 10_000))
    redis.xtrim(chain.keys.events, maxlen=1, approximate=False)
    assert fees.derive(contents) == in_the_pool(chain)
    assert view.loads == 2


def test_very_many_facts_make_it_read_the_pool_again(chain, view, fees):
    fees.derive(contents)
    txs = [pay(coin, BOB, 10_000) for coin in coins(chain, 3)]
    chain.pool_add_all(txs)
    assert fees.derive(contents) == in_the_pool(chain)
    for _ in range(MAX_FACTS // 2 + 1):
        chain.pool_remove(txs[0])
        chain.pool_add(txs[0])
    assert fees.derive(contents) == in_the_pool(chain)
    assert view.loads == 2
