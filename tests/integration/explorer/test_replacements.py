"""The history of replacements with mempool.space's fields, over a real chain."""

from __future__ import annotations

from itertools import pairwise

import pytest
import redis as redis_py
from flask.testing import FlaskClient

from services.explorer.chain import rbf_trees
from shared.primitives.transaction import Transaction, TxOut
from tests.builders import Spendable, key, output_of, p2wpkh, pay, spend
from tests.integration.explorer.chain import TestChain
from tests.integration.explorer.conftest import COIN, client_for
from tests.unit.bus.fake_broker import FakeBroker

ALICE, BOB = key("alice"), key("bob")
UNKNOWN = "ab" * 32
START = 1_700_000_000
FINAL = 0xFFFFFFFF


@pytest.fixture
def chain(redis: redis_py.Redis) -> TestChain:
    return TestChain(redis)


@pytest.fixture
def client(chain: TestChain) -> FlaskClient:
    return client_for(chain.view, FakeBroker())


def coin_of(chain: TestChain) -> Spendable:
    return output_of(chain.mine(ALICE).transactions[0], 0, ALICE)


def get(client: FlaskClient, path: str):
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json


def final(coins: list[Spendable], fee: int) -> Transaction:
    """Return a payment that does not signal replaceability."""
    total = sum(coin.output.value for coin in coins)
    return spend(coins, [TxOut(total - fee, p2wpkh(BOB))], sequence=FINAL)


def node(tx: Transaction, fee: int, time: int, *, rbf: bool = True, full: bool = False) -> dict:
    return {
        "txid": tx.txid_hex,
        "fee": fee,
        "vsize": tx.vsize,
        "value": sum(output.value for output in tx.outputs),
        "rate": pytest.approx(fee / tx.vsize),
        "time": time,
        "rbf": rbf,
        "fullRbf": full,
    }


def test_a_payment_that_was_bumped_twice(chain: TestChain, client: FlaskClient) -> None:
    coin = coin_of(chain)
    first, second, third = (pay(coin, BOB, COIN, fee=fee) for fee in (1_000, 3_000, 9_000))
    child = pay(output_of(first, 0, BOB), ALICE, COIN // 2)
    chain.pool_add(first, START)
    chain.pool_add(child, START + 1)
    chain.pool_replace(second, [first], [child], time=START + 60)
    chain.pool_replace(third, [second], time=START + 100)
    tree = {
        "tx": node(third, 9_000, START + 100),
        "time": START + 100,
        "fullRbf": False,
        "replaces": [
            {
                "tx": node(second, 3_000, START + 60),
                "time": START + 60,
                "fullRbf": False,
                "interval": 40,
                "replaces": [
                    {
                        "tx": node(first, 1_000, START),
                        "time": START,
                        "fullRbf": False,
                        "interval": 60,
                        "replaces": [],
                    }
                ],
            }
        ],
    }
    assert get(client, f"/tx/{third.txid_hex}/rbf") == {"replacements": tree, "replaces": [second.txid_hex]}
    assert get(client, f"/tx/{second.txid_hex}/rbf") == {"replacements": tree, "replaces": [first.txid_hex]}
    assert get(client, f"/tx/{first.txid_hex}/rbf") == {"replacements": tree, "replaces": None}
    assert get(client, f"/tx/{child.txid_hex}/rbf") == {"replacements": tree, "replaces": None}
    assert get(client, "/replacements") == [tree]
    assert get(client, "/fullrbf/replacements") == []
    assert client.get(f"/tx/{first.txid_hex}").status_code == 404
    assert client.get(f"/tx/{third.txid_hex}").status_code == 200


def test_a_mined_replacement_says_so(chain: TestChain, client: FlaskClient) -> None:
    coin = coin_of(chain)
    old, new = (pay(coin, BOB, COIN, fee=fee) for fee in (1_000, 3_000))
    chain.pool_add(old, START)
    chain.pool_replace(new, [old], time=START + 60)
    chain.mine(ALICE, [new], fees=3_000)
    [tree] = get(client, "/replacements")
    assert tree["mined"] is tree["tx"].pop("mined") is True
    assert tree["tx"] == node(new, 3_000, START + 60)
    assert "mined" not in tree["replaces"][0]


def test_a_replaced_payment_that_is_mined_after_all_is_in_no_tree(chain: TestChain, client: FlaskClient) -> None:
    coin = coin_of(chain)
    old, new = (pay(coin, BOB, COIN, fee=fee) for fee in (1_000, 3_000))
    chain.pool_add(old, START)
    chain.pool_replace(new, [old], time=START + 60)
    chain.mine(ALICE, [old], fees=1_000)
    for tx in (old, new):
        assert get(client, f"/tx/{tx.txid_hex}/rbf") == {"replacements": None, "replaces": None}
    assert get(client, "/replacements") == []


def test_one_replaces_several_that_did_not_signal(chain: TestChain, client: FlaskClient) -> None:
    coins = [coin_of(chain), coin_of(chain)]
    quiet, other = final(coins[:1], 1_000), pay(coins[1], BOB, COIN, fee=1_000)
    chain.pool_add(quiet, START)
    chain.pool_add(other, START)
    both = final(coins, 5_000)
    chain.pool_replace(both, [quiet, other], time=START + 5)
    last = pay(coins[0], BOB, COIN, fee=9_000)
    chain.pool_replace(last, [both], time=START + 6)
    found = get(client, f"/tx/{other.txid_hex}/rbf")["replacements"]
    assert found["tx"] == node(last, 9_000, START + 6, full=True)
    assert found["fullRbf"] is True
    [middle] = found["replaces"]
    assert middle["tx"] == node(both, 5_000, START + 5, rbf=False, full=True)
    leaves = {leaf["tx"]["txid"]: leaf for leaf in middle["replaces"]}
    assert leaves.keys() == {quiet.txid_hex, other.txid_hex}
    assert (leaves[quiet.txid_hex]["fullRbf"], leaves[other.txid_hex]["fullRbf"]) == (True, False)
    assert get(client, "/fullrbf/replacements") == get(client, "/replacements") == [found]


def test_the_latest_trees_come_first_each_once(
    chain: TestChain, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rbf_trees, "_SLICE", 3)
    monkeypatch.setattr(rbf_trees, "MAX_TREES", 2)
    last = []
    for _ in range(4):
        coin = coin_of(chain)
        txs = [pay(coin, BOB, COIN, fee=1_000 * number) for number in range(1, 5)]
        chain.pool_add(txs[0], START)
        for old, new in pairwise(txs):
            chain.pool_replace(new, [old], time=START + 1)
        last.append(txs[-1].txid_hex)
    assert [tree["tx"]["txid"] for tree in get(client, "/replacements")] == last[:1:-1]


def test_a_long_line_of_replacements_is_cut_at_its_old_end(
    chain: TestChain, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rbf_trees, "MAX_DEPTH", 2)
    coin = coin_of(chain)
    txs = [pay(coin, BOB, COIN, fee=1_000 * number) for number in range(1, 6)]
    chain.pool_add(txs[0], START)
    for old, new in pairwise(txs):
        chain.pool_replace(new, [old], time=START + 1)
    tree = get(client, f"/tx/{txs[0].txid_hex}/rbf")["replacements"]
    depth = []
    while tree:
        depth.append(tree["tx"]["txid"])
        tree = next(iter(tree["replaces"]), None)
    assert depth == [tx.txid_hex for tx in txs[:1:-1]]


def test_what_was_never_replaced_has_no_history(chain: TestChain, client: FlaskClient) -> None:
    tx = pay(coin_of(chain), BOB, COIN)
    chain.pool_add(tx, START)
    for txid in (tx.txid_hex, UNKNOWN):
        assert get(client, f"/tx/{txid}/rbf") == {"replacements": None, "replaces": None}
    assert get(client, "/replacements") == get(client, "/fullrbf/replacements") == []
