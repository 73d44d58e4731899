"""`/wait` holds until the chain has come so far, and no longer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.explorer import waiting
from services.explorer.app import create_explorer_app
from services.explorer.handlers import Feed
from shared.bus.events import BlockConnected
from shared.config import Settings
from shared.params import REGTEST
from tests.builders import key, output_of, pay
from tests.integration.explorer.chain import TestChain
from tests.integration.explorer.conftest import COIN

ALICE, BOB = key("alice"), key("bob")
UNKNOWN = "ab" * 32


@pytest.fixture
def chain(redis):
    chain = TestChain(redis)
    for _ in range(3):
        chain.mine(ALICE)
    return chain


@pytest.fixture
def app(chain, broker, feed):
    return create_explorer_app(Settings(http_threads=4), REGTEST, chain.view, broker, feed, {})


class WatchedFeed(Feed):
    """Says when a request has begun to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waiters = threading.Semaphore(0)

    def wait_for_news(self, seq: int, seconds: float) -> bool:
        self.waiters.release()
        return super().wait_for_news(seq, seconds)


@pytest.fixture
def feed():
    return WatchedFeed()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def announce(feed, block, seq=1):
    feed.hear(BlockConnected(seq=seq, hash=block.hash_hex, height=1, time=block.header.time, tx_count=1))


def get(app, query):
    return app.test_client().get(f"/wait?{query}")


def test_what_is_so_already_is_answered_at_once(app, chain):
    tip = chain.tip
    answer = {"height": 3, "hash": tip.hash_hex}
    assert get(app, "height=3").json == answer | {"confirmations": 1}
    assert get(app, "height=1&confirmations=3").json == answer | {"confirmations": 3}
    assert get(app, f"hash={chain.blocks[2].hash_hex}").json == answer | {"confirmations": 2}
    coinbase = chain.blocks[1].transactions[0]
    assert get(app, f"txid={coinbase.txid_hex}&confirmations=2").json == answer | {"confirmations": 3}


def test_a_transaction_of_the_pool_is_there_but_not_confirmed(app, chain):
    tx = pay(output_of(chain.blocks[1].transactions[0], 0, ALICE), BOB, COIN)
    chain.pool_add(tx)
    assert get(app, f"txid={tx.txid_hex}").json["confirmations"] == 0
    assert get(app, f"txid={tx.txid_hex}&confirmations=1&timeout=0").status_code == 408


@pytest.mark.parametrize("query", ["height=4", "height=3&confirmations=2", f"hash={UNKNOWN}", f"txid={UNKNOWN}"])
def test_what_does_not_come_ends_with_its_time(app, query):
    answer = get(app, f"{query}&timeout=0.05")
    assert (answer.status_code, answer.text) == (408, "not so after 0.05 seconds")


def test_a_block_of_another_branch_is_not_there(app, chain):
    stale, _ = chain.replace_tip(BOB)
    assert get(app, f"hash={stale.hash_hex}&timeout=0").status_code == 408


def test_it_holds_until_a_fact_is_heard(app, chain, feed, pool, monkeypatch):
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 60.0)
    held = pool.submit(get, app, "height=4&timeout=60")
    assert feed.waiters.acquire(timeout=30)
    block = chain.mine(ALICE)
    assert not held.done()
    announce(feed, block)
    assert held.result(timeout=30).json == {"height": 4, "hash": block.hash_hex, "confirmations": 1}


def test_it_looks_again_though_nothing_is_heard(app, chain, feed, pool, monkeypatch):
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 0.01)
    held = pool.submit(get, app, "height=4&timeout=60")
    assert feed.waiters.acquire(timeout=30)
    chain.mine(ALICE)
    assert held.result(timeout=30).json["height"] == 4


def test_a_fact_about_something_else_does_not_end_it(app, chain, feed, pool, monkeypatch):
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 60.0)
    held = pool.submit(get, app, "height=5&timeout=60")
    assert feed.waiters.acquire(timeout=30)
    announce(feed, chain.mine(ALICE), seq=1)
    assert feed.waiters.acquire(timeout=30)
    assert not held.done()
    announce(feed, chain.mine(ALICE), seq=2)
    assert held.result(timeout=30).json["height"] == 5


def test_only_half_of_the_threads_may_wait(app, chain, feed, pool):
    held = [pool.submit(get, app, "height=9&timeout=60") for _ in range(2)]
    for _ in held:
        assert feed.waiters.acquire(timeout=30)
    refused = get(app, "height=9")
    assert (refused.status_code, refused.text) == (429, "too many requests wait already")
    assert refused.headers["Retry-After"] == "1"
    feed.close()
    assert [request.result(timeout=30).status_code for request in held] == [503, 503]
    assert get(app, "height=3").status_code == 200  # their places are free again


def test_a_long_wait_is_cut_short(app, pool, monkeypatch):
    monkeypatch.setattr(waiting, "MAX_SECONDS", 0.05)
    began = time.monotonic()
    assert get(app, "height=4&timeout=1e9").text == "not so after 0.05 seconds"
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "Give one of height, hash and txid"),
        ("height=1&txid=" + UNKNOWN, "Give one of height, hash and txid"),
        ("height=-1", "Invalid number"),
        ("height=1&confirmations=many", "Invalid number"),
        ("hash=xyz", "Invalid hex string"),
        ("txid=", "Invalid hex string"),
        ("height=1&timeout=soon", "Invalid timeout"),
        ("height=1&timeout=-1", "Invalid timeout"),
        ("height=1&timeout=nan", "Invalid timeout"),
    ],
)
def test_bad_questions_are_refused(app, query, text):
    answer = get(app, query)
    assert (answer.status_code, answer.text) == (400, text)
