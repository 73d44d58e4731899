"""`/wait` holds until the chain has come so far, and no longer."""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.explorer.live import event_hub, wait_endpoint
from services.explorer.live.event_hub import EventHub
from shared.chain.redis_keys import Keys
from shared.chain.store import connect
from shared.chain.view import ChainView
from shared.config import Settings
from tests.builders import key, output_of, pay
from tests.integration.explorer.chain import TestChain
from tests.integration.explorer.conftest import COIN
from tests.integration.explorer.streams import running
from tests.integration.explorer.test_events import get as ask
from tests.integration.explorer.test_fuzz import QUERIES
from tests.properties import with_shared_fixtures

ALICE, BOB = key("alice"), key("bob")
UNKNOWN = "ab" * 32


@pytest.fixture
def chain(redis):
    chain = TestChain(redis)
    for _ in range(3):
        chain.mine(ALICE)
    return chain


@contextmanager
def caught_up(chain, settings=None):
    """An instance whose hub has read the outbox, so that it receives only new facts."""
    with running(chain.view, settings) as instance:
        deadline = time.monotonic() + 30
        while instance.hub.position != chain.view.tip().seq:
            assert time.monotonic() < deadline, "the hub has not read the outbox"
            time.sleep(0.001)
        yield instance


@pytest.fixture
def instance(chain):
    with caught_up(chain) as instance:
        yield instance


@pytest.fixture
def waits(monkeypatch):
    """Released each time that a request has looked and goes on to wait."""
    begun, after = threading.Semaphore(0), EventHub.after

    async def watched(self, position, seconds):
        begun.release()
        return await after(self, position, seconds)

    monkeypatch.setattr(EventHub, "after", watched)
    return begun


@pytest.fixture
def slow_hub(monkeypatch):
    """A hub that looks only when something was heard."""
    monkeypatch.setattr(event_hub, "LOOK_AGAIN", 60.0)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(40) as pool:
        yield pool


def get(instance, query, path="/wait"):
    return ask(instance.port, f"{path}?{query}")


def answer(instance, query):
    status, text, headers = get(instance, query)
    assert (status, headers["Content-Type"]) == (200, "application/json"), text
    return json.loads(text)


def test_what_is_so_already_is_answered_at_once(instance, chain):
    told = {"height": 3, "hash": chain.tip.hash_hex}
    assert answer(instance, "height=3") == told | {"confirmations": 1}
    assert answer(instance, "height=1&confirmations=3") == told | {"confirmations": 3}
    assert answer(instance, f"hash={chain.blocks[2].hash_hex}") == told | {"confirmations": 2}
    coinbase = chain.blocks[1].transactions[0]
    assert answer(instance, f"txid={coinbase.txid_hex}&confirmations=2") == told | {"confirmations": 3}


def test_it_is_under_both_paths_and_open_to_other_origins(instance):
    for path in ("/wait", "/api/wait"):
        status, _, headers = get(instance, "height=1", path)
        assert (status, headers["Access-Control-Allow-Origin"], headers["Cache-Control"]) == (200, "*", "no-store")


def test_a_transaction_of_the_pool_is_there_but_not_confirmed(instance, chain):
    tx = pay(output_of(chain.blocks[1].transactions[0], 0, ALICE), BOB, COIN)
    chain.pool_add(tx)
    assert answer(instance, f"txid={tx.txid_hex}")["confirmations"] == 0
    assert get(instance, f"txid={tx.txid_hex}&confirmations=1&timeout=0")[0] == 408


@pytest.mark.parametrize("query", ["height=4", "height=3&confirmations=2", f"hash={UNKNOWN}", f"txid={UNKNOWN}"])
def test_what_does_not_come_ends_with_its_time(instance, query):
    assert get(instance, f"{query}&timeout=0.05")[:2] == (408, "not so after 0.05 seconds")


def test_a_block_of_another_branch_is_not_there(instance, chain):
    stale, _ = chain.replace_tip(BOB)
    assert get(instance, f"hash={stale.hash_hex}&timeout=0")[0] == 408


def test_it_holds_until_a_fact_is_heard(slow_hub, chain, waits, pool):
    with caught_up(chain) as instance:
        held = pool.submit(answer, instance, "height=4&timeout=60")
        assert waits.acquire(timeout=30)
        block = chain.mine(ALICE)
        assert not held.done()
        instance.hub.wake()
        assert held.result(timeout=30) == {"height": 4, "hash": block.hash_hex, "confirmations": 1}


def test_it_hears_of_a_transaction_that_comes_into_the_pool_and_of_its_block(instance, chain, waits, pool):
    tx = pay(output_of(chain.blocks[1].transactions[0], 0, ALICE), BOB, COIN)
    seen = pool.submit(answer, instance, f"txid={tx.txid_hex}&timeout=60")
    mined = pool.submit(answer, instance, f"txid={tx.txid_hex}&confirmations=1&timeout=60")
    assert waits.acquire(timeout=30), waits.acquire(timeout=30)
    chain.pool_add(tx)
    assert seen.result(timeout=30)["confirmations"] == 0
    chain.mine(ALICE, [tx])
    assert mined.result(timeout=30)["confirmations"] == 1


def test_it_looks_again_though_nothing_is_heard(instance, chain, waits, pool):
    held = pool.submit(answer, instance, "height=4&timeout=60")
    assert waits.acquire(timeout=30)
    chain.mine(ALICE)
    assert held.result(timeout=30)["height"] == 4


def test_a_fact_about_something_else_does_not_end_it(instance, chain, waits, pool):
    held = pool.submit(answer, instance, "height=5&timeout=60")
    assert waits.acquire(timeout=30)
    chain.mine(ALICE)
    assert waits.acquire(timeout=30)
    assert not held.done()
    chain.mine(ALICE)
    assert held.result(timeout=30)["height"] == 5


def test_only_what_can_change_the_answer_is_looked_at(instance, chain, waits, pool, monkeypatch):
    deadline = time.monotonic() + 30
    while not instance.hub.position:  # until it has read the outbox, its first blocks are news, too
        assert time.monotonic() < deadline
        time.sleep(0.01)
    looks, look = [], wait_endpoint.Wait._look

    async def counted(self, question):
        looks.append(question)
        return await look(self, question)

    monkeypatch.setattr(wait_endpoint.Wait, "_look", counted)
    held = pool.submit(answer, instance, "height=4&timeout=60")
    assert waits.acquire(timeout=30)
    chain.pool_add(pay(output_of(chain.blocks[1].transactions[0], 0, ALICE), BOB, COIN))
    assert waits.acquire(timeout=30)  # it has heard, and goes on to wait
    assert len(looks) == 1
    chain.mine(ALICE)
    assert held.result(timeout=30)["height"] == 4
    assert len(looks) == 2


def test_more_wait_than_there_are_threads_and_others_are_served(instance, chain, waits, pool):
    held = [pool.submit(answer, instance, "height=4&timeout=60") for _ in range(30)]
    for _ in held:
        assert waits.acquire(timeout=30)
    assert ask(instance.port, "/blocks/tip/height")[:2] == (200, "3")
    chain.mine(ALICE)
    assert {request.result(timeout=30)["height"] for request in held} == {4}


def test_as_many_wait_as_there_are_places_and_those_are_let_go_at_the_end(chain, waits, pool):
    with caught_up(chain, Settings(max_streams=2)) as instance:
        held = [pool.submit(get, instance, "height=9&timeout=60") for _ in range(2)]
        for _ in held:
            assert waits.acquire(timeout=30)
        status, text, headers = get(instance, "height=9")
        assert (status, text, headers["Retry-After"]) == (429, "too many requests wait already", "1")
        instance.hub.close()
        for request in held:
            status, text, headers = request.result(timeout=30)
            assert (status, text, headers["Retry-After"]) == (503, "the service is stopping", "1")


def test_a_client_that_goes_away_leaves_its_place(chain, waits):
    with caught_up(chain, Settings(max_streams=1)) as instance:
        leaving = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20)
        leaving.request("GET", "/wait?height=9&timeout=60")
        assert waits.acquire(timeout=30)
        assert get(instance, "height=3")[0] == 429
        leaving.close()
        deadline = time.monotonic() + 30
        while get(instance, "height=3")[0] != 200:
            assert time.monotonic() < deadline


def test_while_redis_is_away_it_says_so():
    view = ChainView(connect("redis://127.0.0.1:1/0"), Keys("regtest"))
    with running(view) as instance:
        status, text, headers = get(instance, "height=1")
    assert (status, text) == (503, "temporarily unavailable: Redis is away: ConnectionError")
    assert headers["Retry-After"] == "1"


def test_a_long_wait_is_cut_short(instance, monkeypatch):
    monkeypatch.setattr(wait_endpoint, "MAX_SECONDS", 0.05)
    assert get(instance, "height=4&timeout=1e9")[1] == "not so after 0.05 seconds"


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
def test_bad_questions_are_refused(instance, query, text):
    status, said, headers = get(instance, query)
    assert (status, said, headers["Content-Type"]) == (400, text, "text/plain")


RAW = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=80)


@with_shared_fixtures(300)
@given(query=QUERIES, rest=RAW)
def test_no_question_ever_breaks_it(instance, monkeypatch, query, rest):
    monkeypatch.setattr(wait_endpoint, "MAX_SECONDS", 0.001)
    status, text, _ = get(instance, urlencode(query) + "&" + rest)
    assert status in (200, 400, 408), text
