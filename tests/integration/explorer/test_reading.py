"""The reads of a page from Redis: each value that it needs, once, although its parts share them."""

from __future__ import annotations

import pytest

from services.explorer.chain.queries import ChainQueries
from shared.chain.store import StoreClient, StorePipeline
from shared.chain.view import Moved, Tip
from shared.consensus.params import REGTEST
from tests.builders import key, output_of, pay
from tests.integration.explorer.conftest import COIN, address_of, client_for

ALICE, BOB = key("alice"), key("bob")
MOST_ROUND_TRIPS = {"/": 16, "/blocks": 6, "block": 11, "tx": 8, "waiting": 15, "address": 24}


@pytest.fixture
def round_trips(monkeypatch):
    """Return the list of commands sent to Redis, one entry for each round trip."""
    asked = []
    for kind, method in ((StoreClient, "execute_command"), (StorePipeline, "execute")):
        plain = getattr(kind, method)

        def counted(self, *args, _plain=plain, **options):
            asked.append(args[:2])
            return _plain(self, *args, **options)

        monkeypatch.setattr(kind, method, counted)
    return asked


def test_pages_ask_redis_a_few_times_only(chain, broker, round_trips):
    coins = [output_of(chain.mine(ALICE).transactions[0], 0, ALICE) for _ in range(5)]
    payments = [pay(coin, BOB, COIN) for coin in coins]
    block = chain.mine(ALICE, payments[:4])
    chain.pool_add(payments[4])
    client = client_for(chain.view, broker)
    paths = {
        "block": f"/block/{block.hash_hex}",
        "tx": f"/tx/{payments[1].txid_hex}",
        "waiting": f"/tx/{payments[4].txid_hex}",
        "address": f"/address/{address_of('bob')}",
    }
    counts = {}
    for name in MOST_ROUND_TRIPS:
        for _ in range(2):  # merkle trees and the pool's fees are read once
            round_trips.clear()
            assert client.get(paths.get(name, name), headers={"Accept": "text/html"}).status_code == 200
        counts[name] = len(round_trips)
    assert all(counts.values())
    assert {name: count for name, count in counts.items() if count > MOST_ROUND_TRIPS[name]} == {}


def test_txids_of_the_pool_and_the_number_of_their_last_event_are_one_read(chain, round_trips):
    """Whoever follows the events from that number on misses no transaction."""
    coin = output_of(chain.mine(ALICE).transactions[0], 0, ALICE)
    tx = pay(coin, BOB, COIN)
    chain.pool_add(tx)
    seq = chain.view.tip().seq
    round_trips.clear()
    assert chain.view.pool.txids_and_seq() == ([tx.txid], seq)
    assert len(round_trips) == 1


def test_a_read_within_another_is_of_its_tip(chain):
    view = chain.view
    tips: list[Tip] = []

    def outer(tip):
        tips.append(tip)
        if len(tips) < 4:
            chain.mine(ALICE)  # the tip moves: both are read again
        return view.at_tip(lambda inner: tips.append(inner) or inner)

    assert view.at_tip(outer) == view.tip()
    assert [tip.height for tip in tips] == [0, 0, 1, 1, 2, 2]


def test_after_a_failed_read_the_next_one_looks_at_the_tip_again(chain):
    def fail(_):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        chain.view.at_tip(fail)
    chain.mine(ALICE)
    assert chain.view.at_tip(lambda tip: tip.height) == 1


def test_what_is_gone_within_a_read_is_looked_for_again(chain):
    tries = []

    def inner(_):
        tries.append(1)
        if len(tries) < 3:
            raise Moved
        return len(tries)

    assert chain.view.at_tip(lambda _: chain.view.at_tip(inner)) == 3


def test_a_block_says_what_follows_it(chain):
    reads = ChainQueries(chain.view, REGTEST)
    blocks = [chain.mine(ALICE) for _ in range(13)]
    stale, new = chain.replace_tip(BOB)
    for block, following in ((blocks[3], blocks[4]), (blocks[11], new[0]), (new[1], None), (stale, None)):
        found = reads.blocks.get(block.hash)
        assert found.in_best_chain is (block is not stale)
        assert found.next_hash == (following.hash if following else None)
