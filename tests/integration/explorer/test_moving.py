"""Reading while the chain moves: transactions that enter the pool stop no one, and no answer mixes two states."""

from __future__ import annotations

import itertools

import pytest

from services.explorer.chain.queries import ChainQueries
from shared.chain.view import ChainView, Moved
from shared.consensus.params import REGTEST
from shared.crypto.hashes import sha256
from shared.errors import StoreUnavailable
from shared.primitives.transaction import Transaction, TxOut
from tests.builders import Spendable, key, output_of, p2wpkh, pay, spend
from tests.integration.explorer.chain import TestChain

ALICE, BOB, CAROL = key("alice"), key("bob"), key("carol")
BOBS = sha256(p2wpkh(BOB))


class BusyView(ChainView):
    """Does something between any two reads."""

    def __init__(self, client, keys):
        super().__init__(client, keys)
        self.between = lambda: None
        for part, name in ((self._reader, "tip"), (self.txs, "coins"), (self.pool, "get_many")):
            self._interrupt(part, name)

    def _interrupt(self, part, name):
        read = getattr(part, name)

        def interrupted(*arguments):
            self.between()
            return read(*arguments)

        setattr(part, name, interrupted)


@pytest.fixture
def view(chain, redis):
    return BusyView(redis, chain.keys)


@pytest.fixture
def reads(view):
    return ChainQueries(view, REGTEST)


def fan(chain: TestChain, count: int) -> list[Spendable]:
    coin = output_of(chain.mine(ALICE).transactions[0], 0, ALICE)
    tx = spend([coin], [TxOut(100_000, p2wpkh(ALICE))] * count)
    chain.mine(ALICE, [tx])
    return [output_of(tx, vout, ALICE) for vout in range(count)]


def add_forever(chain: TestChain):
    coins = iter(fan(chain, 200))
    return lambda: chain.pool_add(pay(next(coins), BOB, 10_000))


def test_a_stream_of_transactions_stops_no_reader(chain, view, reads, broker):
    view.between = add_forever(chain)
    confirmed, unconfirmed = reads.scripts.stats(BOBS)
    assert confirmed.tx_count == 0
    assert unconfirmed.tx_count == unconfirmed.funded_count > 0
    assert reads.scripts.txs(BOBS, 50, 25)
    assert reads.scripts.unspent(BOBS, 100)
    assert reads.txs.get(view.pool.txids()[0]).fee == 1_000
    assert reads.blocks.page(None, 10)


def test_counters_of_the_pool_follow_it(chain, view, reads):
    first, second, third = (pay(coin, BOB, 10_000) for coin in fan(chain, 3))
    own = spend([output_of(first, 0, BOB)], [TxOut(9_000, p2wpkh(BOB))])
    asked = []
    spending = view.txs.get_with_spent
    view.txs.get_with_spent = lambda txids: asked.append(list(txids)) or spending(txids)
    for change, expected in (
        (lambda: chain.pool_add(first), (1, 1, 10_000, 0, 0)),
        (lambda: chain.pool_add(own), (2, 2, 19_000, 1, 10_000)),
        (lambda: chain.pool_add_all([second, third]), (4, 4, 39_000, 1, 10_000)),
        (lambda: chain.pool_remove(third), (3, 3, 29_000, 1, 10_000)),
        (lambda: chain.mine(ALICE, [first]), (2, 2, 19_000, 1, 10_000)),
    ):
        change()
        stats = reads.scripts.stats(BOBS)[1]
        counters = (stats.tx_count, stats.funded_count, stats.funded_sum, stats.spent_count, stats.spent_sum)
        assert counters == expected
    assert sorted(itertools.chain(*asked)) == sorted(tx.txid for tx in (first, own, second, third)), "each is read once"


def test_blocks_without_end_are_unavailability(chain, view, reads):
    view.between = lambda: chain.mine(ALICE)
    with pytest.raises(StoreUnavailable, match="moves faster"):
        reads.blocks.page(None, 10)


def test_unspent_outputs_never_miss_the_change_of_what_spends_them(chain, view, reads):
    """A payment that comes in while coins are read takes its coin away and brings its change, or does neither."""
    coin = fan(chain, 1)[0]
    mine = spend([coin], [TxOut(99_000, p2wpkh(BOB))])
    chain.mine(ALICE, [mine])
    spending = spend([output_of(mine, 0, BOB)], [TxOut(40_000, p2wpkh(CAROL)), TxOut(58_000, p2wpkh(BOB))])
    pending = iter([spending])

    def add_once() -> None:
        for tx in pending:
            chain.pool_add(tx)

    view.between = add_once
    values = [item.output.value for item, _ in reads.scripts.unspent(BOBS, 100)]
    assert values in ([99_000], [58_000])
    assert [item.output.value for item, _ in reads.scripts.unspent(BOBS, 100)] == [58_000]


def test_what_leaves_the_pool_while_it_is_read_makes_it_read_again(chain, view, reads):
    gone, stays = (pay(coin, BOB, 10_000 * number) for number, coin in enumerate(fan(chain, 2), 1))
    chain.pool_add_all([gone, stays])
    pending = iter([gone])

    def remove_once() -> None:
        for tx in pending:
            chain.pool_remove(tx)

    view.between = remove_once
    assert [item.output.value for item, _ in reads.scripts.unspent(BOBS, 100)] == [20_000]
    assert [info.tx.txid for info in reads.scripts.txs(BOBS, 50, 25)] == [stays.txid]


def test_a_transaction_that_is_mined_while_it_is_read_is_found(chain, view, reads):
    tx = pay(fan(chain, 1)[0], BOB, 10_000)
    chain.pool_add(tx)
    pending = iter([tx])

    def mine_once() -> None:
        for mined in pending:
            chain.mine(ALICE, [mined])

    view.between = mine_once
    info = reads.txs.get(tx.txid)
    assert info.fee == 1_000
    assert [found.tx.txid for found in reads.scripts.txs(BOBS, 50, 25)] == [tx.txid]


def test_outside_of_a_whole_read_what_is_gone_is_unavailability():
    assert issubclass(Moved, StoreUnavailable)


def chain_of(chain: TestChain, coin: Spendable, length: int) -> list[Transaction]:
    """Payments that each spend the one before."""
    txs = []
    for _ in range(length):
        tx = spend([coin], [TxOut(coin.output.value - 500, p2wpkh(ALICE))])
        txs.append(tx)
        coin = output_of(tx, 0, ALICE)
    return txs


def test_what_a_transaction_spends_is_known_wherever_its_parents_are(chain, view):
    first, *others = fan(chain, 3)
    line = chain_of(chain, first, 4)
    chain.mine(ALICE, line[:2])
    for tx in line[2:]:
        chain.pool_add(tx)
    records = view.txs.get_with_spent([tx.txid for tx in line])
    assert [record is not None and record.spent[0].value for record in records] == [100_000, 99_500, 99_000, 98_500]
    joint = spend(others, [TxOut(150_000, p2wpkh(BOB))])
    chain.mine(ALICE, [joint])
    [record, unknown] = view.txs.get_with_spent([joint.txid, bytes(32)])
    assert unknown is None
    assert record is not None
    assert [output.value for output in record.spent] == [100_000, 100_000]
    coinbase = chain.tip.transactions[0]
    [record] = view.txs.get_with_spent([coinbase.txid])
    assert record is not None
    assert record.spent == ()


def test_any_part_of_a_block_is_its_transactions(chain, reads):
    txs = [pay(coin, BOB, 10_000) for coin in fan(chain, 60)]
    block = chain.mine(ALICE, txs)
    for start in (0, 1, 25, 50, 60):
        part = reads.blocks.txs(block.hash, start, 25)
        assert [info.tx.txid for info in part] == [tx.txid for tx in block.transactions[start : start + 25]]
        assert [info.fee for info in part] == [1_000 if place else 0 for place in range(start, start + len(part))]
