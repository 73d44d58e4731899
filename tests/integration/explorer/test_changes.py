"""The explorer while the chain changes, is still empty, or cannot be reached."""

from __future__ import annotations

import pytest

from shared.chain.redis_keys import Keys
from shared.chain.store import connect
from shared.chain.view import ChainView
from shared.primitives.transaction import TxOut
from tests.builders import key, output_of, p2wpkh, pay, spend
from tests.integration.explorer.conftest import COIN, address_of, client_for

ALICE, BOB = key("alice"), key("bob")
BROWSER = {"Accept": "text/html,*/*;q=0.8"}
PAGES = ("/", "/blocks", "/mempool", "/charts", f"/address/{address_of('bob')}", "/tx/" + "ab" * 32, "/search?q=1")
RESOURCES = ("/blocks/tip/height", "/blocks", f"/address/{address_of('bob')}/txs", "/tx/" + "ab" * 32)


@pytest.fixture
def client(chain, broker):
    return client_for(chain.view, broker)


def test_a_chain_of_nothing_but_its_genesis_has_every_page(client, chain):
    page = client.get("/", headers=BROWSER)
    assert page.status_code == 200
    assert "Only the genesis block" in page.text
    assert "the beginning" in page.text  # the genesis coinbase has "03/Jan/2009", which is no miner
    assert client.get("/blocks", headers=BROWSER).status_code == 200
    assert "Nothing to draw yet" in client.get("/charts", headers=BROWSER).text
    assert "The pool is empty" in client.get("/mempool", headers=BROWSER).text
    assert client.get(f"/block/{chain.tip.hash_hex}", headers=BROWSER).status_code == 200
    assert client.get(f"/tx/{chain.tip.transactions[0].txid_hex}", headers=BROWSER).status_code == 200
    assert client.get("/mempool").json == {"count": 0, "vsize": 0, "total_fee": 0, "fee_histogram": []}


def test_reads_are_as_new_as_the_last_commit(client, chain):
    block = chain.mine(ALICE)
    assert client.get("/blocks/tip/hash").text == block.hash_hex
    payment = pay(output_of(block.transactions[0], 0, ALICE), BOB, 12 * COIN)
    chain.pool_add(payment)
    assert client.get(f"/tx/{payment.txid_hex}").json["status"] == {"confirmed": False}
    assert client.get(f"/address/{address_of('bob')}/utxo").json[0]["value"] == 12 * COIN
    mined = chain.mine(ALICE, [payment])
    assert client.get(f"/tx/{payment.txid_hex}").json["status"]["block_hash"] == mined.hash_hex
    assert client.get("/mempool/txids").json == []


def test_a_reorganisation_takes_confirmations_back(client, chain):
    first = chain.mine(ALICE)
    payment = pay(output_of(first.transactions[0], 0, ALICE), BOB, 12 * COIN)
    chain.mine(ALICE, [payment])
    assert client.get(f"/address/{address_of('bob')}").json["chain_stats"]["funded_txo_sum"] == 12 * COIN
    stale, _ = chain.replace_tip(ALICE)
    assert client.get(f"/address/{address_of('bob')}").json["chain_stats"]["funded_txo_sum"] == 0
    coinbase, spending = client.get(f"/block/{stale.hash_hex}/txs").json
    assert coinbase["fee"] == 0
    assert spending["txid"] == payment.txid_hex
    assert spending["fee"] == 1_000  # from the stale block's own undo data
    assert spending["status"] == {"confirmed": False}
    page = client.get(f"/block/{stale.hash_hex}", headers=BROWSER).text
    assert "not on the best chain" in page


def test_a_transaction_of_the_pool_says_so_until_it_is_mined(client, chain):
    payment = pay(output_of(chain.mine(ALICE).transactions[0], 0, ALICE), BOB, COIN)
    chain.pool_add(payment)
    page = client.get(f"/tx/{payment.txid_hex}", headers=BROWSER).text
    assert "Unconfirmed" in page
    assert "data-live" in page
    chain.mine(ALICE, [payment])
    page = client.get(f"/tx/{payment.txid_hex}", headers=BROWSER).text
    assert "1 confirmation<" in page
    assert "data-live" not in page


def test_a_transaction_with_many_outputs_is_shown_in_parts(client, chain):
    coin = output_of(chain.mine(ALICE).transactions[0], 0, ALICE)
    wide = spend([coin], [TxOut(10_000 + vout, p2wpkh(BOB)) for vout in range(120)])
    chain.pool_add(wide)
    pages = [client.get(f"/tx/{wide.txid_hex}?start={start}", headers=BROWSER).text for start in (0, 25, 100)]
    for page, (first, last) in zip(pages, ((0, 24), (25, 49), (100, 119)), strict=True):
        shown = [f'id="out-{vout}"' in page for vout in range(120)]
        assert shown == [first <= vout <= last for vout in range(120)]
    assert "101 to 120 of 120" in pages[2]
    assert client.get(f"/tx/{wide.txid_hex}?start=125", headers=BROWSER).status_code == 400


def test_the_feed_tells_live_pages_that_something_happened(client, chain):
    before = client.get("/feed").json["seq"]
    assert client.get("/feed").json == {"seq": before}
    chain.mine(ALICE)
    assert client.get("/feed").json["seq"] > before


@pytest.mark.parametrize("path", PAGES)
def test_without_a_chain_every_page_says_that_it_will_come(redis, broker, path):
    client = client_for(ChainView(redis, Keys("regtest")), broker)
    page = client.get(path, headers=BROWSER)
    assert page.status_code == 503
    assert page.headers["Retry-After"] == "1"
    assert "there is no chain here yet" in page.text
    assert "Try again" in page.text


@pytest.fixture
def lost_client(broker):
    away = connect("redis://127.0.0.1:1/0")
    return client_for(ChainView(away, Keys("regtest")), broker)


@pytest.mark.parametrize("path", PAGES)
def test_without_redis_every_page_is_a_clear_503(lost_client, path):
    page = lost_client.get(path, headers=BROWSER)
    assert page.status_code == 503
    assert "Redis is away" in page.text


@pytest.mark.parametrize("path", RESOURCES)
def test_without_redis_every_resource_is_a_503_in_plain_text(lost_client, path):
    answer = lost_client.get(path)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.text == "temporarily unavailable: Redis is away: ConnectionError"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_fees_of_a_block_are_what_a_coinbase_pays_beyond_the_subsidy(client, chain):
    block = chain.mine(ALICE)
    payment = pay(output_of(block.transactions[0], 0, ALICE), BOB, COIN, fee=2_000)
    weight = chain.mine(ALICE, [payment], fees=2_000).weight
    [newest, _, genesis] = client.get("/api/v1/blocks").json
    extras = newest["extras"]
    assert (extras["totalFees"], extras["avgFee"], extras["reward"]) == (2_000, 2_000, 50 * COIN + 2_000)
    assert extras["avgFeeRate"] == 8_000 // weight
    assert genesis["extras"]["totalFees"] == 0


def test_a_block_has_the_median_and_the_range_that_it_was_projected_to_have(client, chain):
    coins = [output_of(chain.mine(ALICE).transactions[0], 0, ALICE) for _ in range(4)]
    long_data = TxOut(0, b"\x6a" + bytes(2_000))
    txs = [pay(coin, BOB, COIN, fee=fee) for coin, fee in zip(coins, (9_000, 3_000, 6_000), strict=False)]
    txs.append(spend([coins[3]], [TxOut(COIN, p2wpkh(BOB)), TxOut(49 * COIN - 4_000, p2wpkh(ALICE)), long_data]))
    chain.pool_add_all(txs)
    [projected] = client.get("/api/v1/fees/mempool-blocks").json
    chain.mine(ALICE, txs, fees=22_000)
    mined = client.get("/api/v1/blocks").json[0]["extras"]
    assert projected["medianFee"] == mined["medianFee"] == 4_000 / txs[3].vsize
    assert projected["feeRange"] == mined["feeRange"]


def test_two_that_pay_for_one_parent_are_all_relatives(client, chain):
    block = chain.mine(ALICE)
    parent = pay(output_of(block.transactions[0], 0, ALICE), BOB, 12 * COIN, fee=0)
    rich = pay(output_of(parent, 0, BOB), ALICE, COIN, fee=4_000)
    poor = pay(output_of(parent, 1, ALICE), BOB, COIN, fee=300)
    for tx in (parent, rich, poor):
        chain.pool_add(tx)
    found = {tx.txid: client.get(f"/api/v1/cpfp/{tx.txid_hex}").json for tx in (parent, rich, poor)}
    assert [item["txid"] for item in found[parent.txid]["descendants"]] == [rich.txid_hex, poor.txid_hex]
    assert found[parent.txid]["bestDescendant"]["txid"] == rich.txid_hex
    together = 4_000 / (parent.vsize + rich.vsize)
    assert found[parent.txid]["effectiveFeePerVsize"] == pytest.approx(together)
    assert found[rich.txid]["effectiveFeePerVsize"] == pytest.approx(together)
    assert found[poor.txid]["effectiveFeePerVsize"] == pytest.approx(300 / poor.vsize)


def test_at_most_ten_addresses_are_found(client, chain):
    for number in range(12):
        chain.mine(key(f"owner {number}"))
    found = client.get("/address-prefix/bcrt1q").json
    assert len(set(found)) == 10
    assert found == sorted(found)
    assert set(found) <= {address_of(f"owner {number}") for number in range(12)}


def test_an_address_whose_only_block_went_stale_is_not_found(client, chain):
    chain.mine(BOB)
    assert client.get(f"/address-prefix/{address_of('bob')[:9]}").json == [address_of("bob")]
    chain.replace_tip(ALICE)
    assert client.get("/address-prefix/bcrt1").json == [address_of("alice")]
