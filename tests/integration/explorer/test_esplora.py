"""Esplora's resources over a real chain: fields, paging, error texts, headers."""

from __future__ import annotations

import pytest

from services.explorer.chain.fee_estimates import TARGETS
from shared.bus.events import TemplateRequested, TemplateTx, TxSubmitted, TxVerdict, TxVerdicts, WorkTemplate
from shared.consensus.params import REGTEST
from shared.crypto.address import MAINNET_PREFIX, encode_address
from shared.crypto.hashes import sha256
from shared.errors import RequestTimeout
from shared.primitives.hex import display_hash
from tests.builders import key, p2wpkh
from tests.integration.explorer.conftest import COIN, address_of

UNKNOWN = "ab" * 32


def test_the_tip(client, story):
    tip = story.chain.tip
    assert client.get("/blocks/tip/hash").text == tip.hash_hex
    assert client.get("/api/blocks/tip/height").text == str(len(story.chain.blocks) - 1)


def test_addresses_are_found_by_how_they_begin(client, story):
    alice = address_of("alice")
    for end in range(7, len(alice) + 1):
        assert alice in client.get(f"/address-prefix/{alice[:end]}").json
    assert client.get(f"/api/address-prefix/{alice[:14].upper()}").json == [alice]
    assert client.get("/address-prefix/bcrt1").json == sorted(address_of(name) for name in ("alice", "bob", "carol"))
    for nobody in ("bcrt1p", "m", "tb1q", alice[:-1] + "b", "0"):
        assert client.get(f"/address-prefix/{nobody}").json == []


@pytest.mark.parametrize("start", ["a*", "%20", "b" * 91, "%C3%A9"])
def test_what_no_address_begins_with_is_refused(client, start):
    answer = client.get(f"/address-prefix/{start}")
    assert answer.status_code == 400
    assert answer.text.startswith("Invalid address prefix: ")


def test_a_height_leads_to_its_block(client, story):
    for height in (0, 7, len(story.chain.blocks) - 1):
        assert client.get(f"/block-height/{height}").text == story.chain.blocks[height].hash_hex
    answer = client.get(f"/block-height/{len(story.chain.blocks)}")
    assert (answer.status_code, answer.text) == (404, "Block not found")


def test_blocks_come_in_tens_newest_first(client, story):
    tip = len(story.chain.blocks) - 1
    assert [block["height"] for block in client.get("/blocks").json] == list(range(tip, tip - 10, -1))
    assert [block["height"] for block in client.get("/blocks/12").json] == list(range(12, 2, -1))
    assert [block["height"] for block in client.get("/blocks/3").json] == [3, 2, 1, 0]
    assert [block["height"] for block in client.get("/blocks/0").json] == [0]
    for start in ("", "soon", str(2**64)):  # none of them a number of 64 bits
        assert client.get(f"/blocks/{start}").json[0]["height"] == tip


def test_a_block_and_its_forms(client, story):
    block = story.big
    summary = client.get(f"/block/{block.hash_hex}").json
    height = story.chain.blocks.index(block)
    times = sorted(other.header.time for other in story.chain.blocks[height - 10 : height + 1])
    assert summary["height"] == height
    assert summary["tx_count"] == 31
    assert (summary["size"], summary["weight"]) == (block.size, block.weight)
    assert summary["previousblockhash"] == display_hash(block.header.prev_hash)
    assert summary["mediantime"] == times[5]
    assert client.get(f"/block/{block.hash_hex}/header").text == block.header.serialize().hex()
    raw = client.get(f"/block/{block.hash_hex}/raw")
    assert (raw.data, raw.content_type) == (block.serialize(), "application/octet-stream")
    assert client.get(f"/block/{block.hash_hex}/txids").json == [tx.txid_hex for tx in block.transactions]
    assert client.get(f"/block/{block.hash_hex}/txid/30").text == block.transactions[30].txid_hex
    answer = client.get(f"/block/{block.hash_hex}/txid/31")
    assert (answer.status_code, answer.text) == (404, "tx index out of range")


def test_the_genesis_block_has_no_previous_one(client):
    genesis = client.get(f"/block/{REGTEST.genesis.hash_hex}").json
    assert (genesis["height"], genesis["previousblockhash"]) == (0, None)


def test_a_blocks_transactions_come_in_pages_of_twenty_five(client, story):
    path = f"/block/{story.big.hash_hex}/txs"
    first, second = client.get(path).json, client.get(f"{path}/25").json
    assert [tx["txid"] for tx in first + second] == [tx.txid_hex for tx in story.big.transactions]
    assert len(first) == 25
    assert [tx["fee"] for tx in first[:3]] == [0, 1_000, 1_001]
    assert all(tx["status"]["block_hash"] == story.big.hash_hex for tx in first)
    for start, text in (("7", "start index must be a multiple of 25"), ("50", "start index out of range")):
        answer = client.get(f"{path}/{start}")
        assert (answer.status_code, answer.text) == (400, text)


def test_a_stale_block_is_known_and_its_transactions_are_unconfirmed(client, story):
    stale = story.stale.hash_hex
    assert client.get(f"/block/{stale}/status").json == {"in_best_chain": False, "height": None, "next_best": None}
    assert client.get(f"/block/{stale}").json["id"] == stale
    [coinbase] = client.get(f"/block/{stale}/txs").json
    assert coinbase["status"] == {"confirmed": False}
    answer = client.get(f"/tx/{coinbase['txid']}")
    assert (answer.status_code, answer.text) == (404, "Transaction not found")


def test_the_status_of_blocks(client, story):
    blocks = story.chain.blocks
    assert client.get(f"/block/{blocks[5].hash_hex}/status").json == {
        "in_best_chain": True,
        "height": 5,
        "next_best": blocks[6].hash_hex,
    }
    assert client.get(f"/block/{blocks[-1].hash_hex}/status").json["next_best"] is None
    assert client.get(f"/block/{UNKNOWN}/status").json["in_best_chain"] is False


def test_a_confirmed_transaction(client, story):
    tx = client.get(f"/tx/{story.payment.txid_hex}").json
    assert tx["fee"] == 1_000
    assert tx["vin"][0]["prevout"]["scriptpubkey_address"] == address_of("alice")
    assert [output["value"] for output in tx["vout"]] == [12 * COIN, 38 * COIN - 1_000]
    assert tx["status"]["block_height"] == 37
    assert client.get(f"/tx/{story.payment.txid_hex}/status").json == tx["status"]
    assert client.get(f"/tx/{story.payment.txid_hex}/hex").text == story.payment.serialize().hex()
    assert client.get(f"/tx/{story.payment.txid_hex}/raw").data == story.payment.serialize()


def test_an_unconfirmed_transaction_with_an_unconfirmed_parent(client, story):
    tx = client.get(f"/tx/{story.child.txid_hex}").json
    assert tx["status"] == {"confirmed": False}
    assert tx["fee"] == 700
    assert tx["vin"][0]["prevout"]["value"] == 2 * COIN
    assert client.get(f"/tx/{UNKNOWN}/status").json == {"confirmed": False}


def test_what_spends_an_output(client, story):
    spends = client.get(f"/tx/{story.payment.txid_hex}/outspends").json
    assert spends == [
        {"spent": True, "txid": story.waiting.txid_hex, "vin": 0, "status": {"confirmed": False}},
        {"spent": False},
    ]
    spent_coinbase = story.payment.inputs[0].prevout
    spend = client.get(f"/tx/{display_hash(spent_coinbase.txid)}/outspend/0").json
    assert (spend["txid"], spend["status"]["block_height"]) == (story.payment.txid_hex, 37)
    assert client.get(f"/tx/{UNKNOWN}/outspend/9").json == {"spent": False}


def test_an_address_and_its_script_hash_say_the_same(client, story):
    bob = address_of("bob")
    by_address = client.get(f"/address/{bob}").json
    script = sha256(p2wpkh(key("bob"))).hex()
    by_script = client.get(f"/scripthash/{script}").json
    assert by_address.pop("address") == bob
    assert by_script.pop("scripthash") == script
    assert by_address == by_script
    assert by_address["chain_stats"] == {
        "tx_count": 31,
        "funded_txo_count": 31,
        "funded_txo_sum": 42 * COIN,
        "spent_txo_count": 0,
        "spent_txo_sum": 0,
    }
    assert by_address["mempool_stats"] == {
        "tx_count": 1,
        "funded_txo_count": 1,
        "funded_txo_sum": 10 * COIN - 5_000,
        "spent_txo_count": 1,
        "spent_txo_sum": 12 * COIN,
    }
    for rest in ("txs", "txs/chain", "txs/mempool", "utxo"):
        assert client.get(f"/address/{bob}/{rest}").json == client.get(f"/scripthash/{script}/{rest}").json


def test_an_unused_address_has_zeros(client):
    answer = client.get(f"/address/{address_of('nobody')}")
    assert answer.status_code == 200
    assert set(answer.json["chain_stats"].values()) == {0}
    for rest in ("txs", "txs/chain", "txs/mempool", "utxo"):
        assert client.get(f"/address/{address_of('nobody')}/{rest}").json == []


def test_a_history_is_walked_page_by_page_without_gap_or_repetition(client, story):
    path = f"/address/{address_of('bob')}/txs"
    first = client.get(path).json
    assert [tx["txid"] for tx in first[:1]] == [story.waiting.txid_hex]
    assert len(first) == 26
    second = client.get(f"{path}/chain/{first[-1]['txid']}").json
    assert len(second) == 6
    expected = [tx.txid_hex for tx in (*story.big.transactions[:0:-1], story.payment)]
    assert [tx["txid"] for tx in first[1:] + second] == expected
    assert client.get(f"{path}/chain/{second[-1]['txid']}").json == []
    assert client.get(f"{path}/chain/{UNKNOWN}").json == []
    assert client.get(f"{path}/chain/garbage").json == first[1:]
    assert client.get(f"{path}/mempool").json == first[:1]


def test_unspent_outputs_include_the_pools_and_leave_out_what_it_spends(client, story):
    unspent = client.get(f"/address/{address_of('bob')}/utxo").json
    assert len(unspent) == 31
    outpoints = {(item["txid"], item["vout"]): item for item in unspent}
    assert (story.payment.txid_hex, 0) not in outpoints
    change = outpoints[(story.waiting.txid_hex, 1)]
    assert change == {
        "txid": story.waiting.txid_hex,
        "vout": 1,
        "status": {"confirmed": False},
        "value": 10 * COIN - 5_000,
    }
    confirmed = outpoints[(story.big.transactions[1].txid_hex, 0)]
    assert confirmed["status"]["block_hash"] == story.big.hash_hex


def test_too_many_unspent_outputs_are_refused_before_they_are_read(client, monkeypatch):
    path = f"/address/{address_of('bob')}/utxo"
    monkeypatch.setattr("services.explorer.api.esplora.scripts.MAX_COINS", 31)
    assert len(client.get(path).json) == 31
    monkeypatch.setattr("services.explorer.api.esplora.scripts.MAX_COINS", 30)
    monkeypatch.setattr("shared.chain.view.scripts.ScriptReader.unspent", lambda *_: pytest.fail("they were read"))
    answer = client.get(path)
    text = "Too many unspent transaction outputs (>30). Contact support to raise limits."
    assert (answer.status_code, answer.text) == (400, text)


def test_the_pool(client, story):
    pool = client.get("/mempool").json
    vsize = story.waiting.vsize + story.child.vsize
    assert (pool["count"], pool["vsize"], pool["total_fee"]) == (2, vsize, 5_700)
    assert sum(size for _, size in pool["fee_histogram"]) == vsize
    assert client.get("/mempool/txids").json == [story.child.txid_hex, story.waiting.txid_hex]
    assert client.get("/mempool/recent").json[0] == {
        "txid": story.child.txid_hex,
        "fee": 700,
        "vsize": story.child.vsize,
        "value": 2 * COIN - 700,
    }


def test_fee_estimates_are_complete(client):
    assert client.get("/fee-estimates").json == {str(target): 0.1 for target in TARGETS}


TEMPLATE = WorkTemplate(
    capabilities=("proposal",),
    version=0x20000000,
    rules=("csv", "!segwit", "taproot"),
    vbavailable={},
    vbrequired=0,
    previousblockhash="ab" * 32,
    transactions=(TemplateTx(data="00", txid="cd" * 32, hash="ef" * 32, depends=(), fee=1, sigops=1, weight=400),),
    coinbaseaux={},
    coinbasevalue=50 * COIN,
    longpollid="ab" * 32 + "7",
    target="7f" + "ff" * 31,
    mintime=1,
    mutable=("time", "transactions", "prevblock"),
    noncerange="00000000ffffffff",
    sigoplimit=80_000,
    sizelimit=4_000_000,
    weightlimit=4_000_000,
    curtime=2,
    bits="207fffff",
    height=42,
    default_witness_commitment="6a24aa21a9ed",
)


def test_a_template_is_what_the_mempool_service_says(client, broker):
    broker.answers[TemplateRequested] = lambda message: TEMPLATE
    answer = client.get("/block-template")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert list(answer.json)[:3] == ["capabilities", "version", "rules"]
    assert answer.json["transactions"][0] == {
        "data": "00",
        "txid": "cd" * 32,
        "hash": "ef" * 32,
        "depends": [],
        "fee": 1,
        "sigops": 1,
        "weight": 400,
    }


def test_a_template_that_does_not_come_is_a_503(client, broker):
    def nobody(message):
        raise RequestTimeout("no answer")

    broker.answers[TemplateRequested] = nobody
    answer = client.get("/block-template")
    assert (answer.status_code, answer.text) == (503, "no template in time")
    assert answer.headers["Retry-After"] == "1"
    broker.answers[TemplateRequested] = lambda message: TxVerdicts(verdicts=())
    assert client.get("/block-template").status_code == 503


# ── submitting ──────────────────────────────────────────────────────────────────────────────────────────────────────


def answer_with(broker, **fields):
    broker.answers[TxSubmitted] = lambda message: TxVerdicts(verdicts=(TxVerdict(wtxid="", **fields),))


@pytest.mark.parametrize("path", ["/tx", "/api/tx"])
@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded"]
)  # the last is curl's
def test_a_transaction_is_submitted(client, broker, story, path, content_type):
    answer_with(broker, txid=story.waiting.txid_hex, accepted=True)
    answer = client.post(path, data=story.waiting.serialize().hex(), content_type=content_type)
    assert (answer.status_code, answer.text) == (200, story.waiting.txid_hex)
    assert answer.content_type.startswith("text/plain")


def test_a_transaction_is_submitted_by_get_as_old_clients_do(client, broker, story):
    answer_with(broker, txid=story.waiting.txid_hex, accepted=True)
    raw = story.waiting.serialize().hex()
    assert client.get(f"/broadcast?tx={raw}").text == story.waiting.txid_hex
    assert client.get("/broadcast").status_code == 400


def test_a_refusal_has_bitcoinds_text(client, broker, story):
    answer_with(broker, txid="", accepted=False, reason="min relay fee not met", detail="0 < 141")
    answer = client.post("/tx", data=story.waiting.serialize().hex())
    assert answer.status_code == 400
    assert answer.text == "sendrawtransaction RPC error -26: min relay fee not met, 0 < 141"


def test_a_broker_that_is_away_is_a_503_that_may_be_tried_again(client, broker, story):
    broker.away = True
    answer = client.post("/tx", data=story.waiting.serialize().hex())
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert client.get("/blocks/tip/height").status_code == 200


def test_no_verdict_in_time_says_that_the_outcome_is_unknown(client, broker, story):
    def nobody(message):
        raise RequestTimeout("no answer")

    broker.answers[TxSubmitted] = nobody
    answer = client.post("/tx", data=story.waiting.serialize().hex())
    assert answer.status_code == 503
    assert "may still be accepted" in answer.text


def test_a_body_over_one_megabyte_is_refused_unread(client, broker):
    answer = client.post("/tx", data=b"0" * 1_000_001)
    assert (answer.status_code, answer.content_type.split(";")[0]) == (413, "text/plain")
    assert broker.published == []


# ── what holds for every resource ───────────────────────────────────────────────────────────────────────────────────

MAINNET_ADDRESS = encode_address(p2wpkh(key("alice")), MAINNET_PREFIX)
BAD_REQUESTS = [
    ("/block-height/-1", 400, "Invalid number"),
    ("/block-height/1e3", 400, "Invalid number"),
    ("/block-height/²", 400, "Invalid number"),
    (f"/block-height/{2**64 - 1}", 404, "Block not found"),
    (f"/block-height/{2**64}", 400, "Invalid number"),
    ("/block-height/" + "9" * 5000, 400, "Invalid number"),
    ("/blocks/99999", 404, "Block not found"),
    ("/blocks/18446744073709551615", 404, "Block not found"),
    ("/block/xyz", 400, "Invalid hex string"),
    ("/block/" + "zz" * 32, 400, "Invalid hex string"),
    ("/block/" + "00" * 31, 400, "Invalid hex string"),
    ("/block/%00", 400, "Invalid hex string"),
    ("/block/%ff%fe", 400, "Invalid hex string"),
    (f"/block/{UNKNOWN}", 404, "Block not found"),
    (f"/block/{UNKNOWN}/header", 404, "Block not found"),
    (f"/block/{UNKNOWN}/raw", 404, "Block not found"),
    (f"/block/{UNKNOWN}/txids", 404, "Block not found"),
    (f"/block/{UNKNOWN}/txs", 404, "Block not found"),
    (f"/block/{UNKNOWN}/txid/0", 404, "Block not found"),
    (f"/block/{REGTEST.genesis.hash_hex}/txid/x", 400, "Invalid number"),
    (f"/block/{REGTEST.genesis.hash_hex}/txs/1", 400, "start index must be a multiple of 25"),
    (f"/block/{REGTEST.genesis.hash_hex}/txs/25", 400, "start index out of range"),
    (f"/block/{REGTEST.genesis.hash_hex}/nonsense", 404, "endpoint does not exist"),
    ("/tx/xyz", 400, "Invalid hex string"),
    (f"/tx/{UNKNOWN}", 404, "Transaction not found"),
    (f"/tx/{UNKNOWN}/hex", 404, "Transaction not found"),
    (f"/tx/{UNKNOWN}/raw", 404, "Transaction not found"),
    (f"/tx/{UNKNOWN}/outspends", 404, "Transaction not found"),
    (f"/tx/{UNKNOWN}/outspend/-1", 400, "Invalid number"),
    (f"/tx/{UNKNOWN}/outspend/4294967296", 400, "Invalid number"),
    ("/address/hello", 400, "Invalid Bitcoin address"),
    (f"/address/{MAINNET_ADDRESS}", 400, "Address on invalid network"),
    (f"/address/{MAINNET_ADDRESS}/utxo", 400, "Address on invalid network"),
    ("/address/" + "q" * 3000, 400, "Invalid Bitcoin address"),
    ("/scripthash/00", 400, "Invalid scripthash"),
    ("/scripthash/" + "zz" * 32, 400, "Invalid scripthash"),
    ("/scripthash/xyz/txs", 400, "Invalid scripthash"),
    ("/tx", 404, 'endpoint does not exist "/tx"'),
    ("/blocks//hash", 404, "endpoint does not exist"),
    ("/no/such/thing", 404, 'endpoint does not exist "/no/such/thing"'),
    (f"/block/{REGTEST.genesis.hash_hex}/", 404, "endpoint does not exist"),
    (f"/block/{UNKNOWN}/txs/7", 404, "Block not found"),
]


@pytest.mark.parametrize("mount", ["", "/api"])
@pytest.mark.parametrize(("path", "status", "message"), BAD_REQUESTS)
def test_bad_requests_are_answered_in_plain_text(client, mount, path, status, message):
    if "endpoint" in message and '"' in message:
        message = message.replace('"/', f'"{mount}/')
    answer = client.get(mount + path)
    assert answer.status_code == status
    assert answer.text.startswith(message)
    assert answer.content_type == "text/plain"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
def test_other_methods_do_not_exist(client, method):
    answer = client.open("/blocks/tip/hash", method=method)
    assert (answer.status_code, answer.text) == (404, 'endpoint does not exist "/blocks/tip/hash"')


def test_browsers_elsewhere_may_use_the_api(client):
    answer = client.options("/tx", headers={"Origin": "https://wallet.example"})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("rest", ["", "/header", "/raw", "/txids", "/txid/0"])
def test_whoever_has_what_cannot_change_gets_it_no_second_time(client, story, rest):
    path = f"/block/{story.big.hash_hex}{rest}"
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "immutable" in again.headers["Cache-Control"]
    assert again.headers["Access-Control-Allow-Origin"] == "*"
    assert client.get(path, headers={"If-None-Match": '"another"'}).data == first.data


def test_nothing_else_can_be_asked_for_conditionally(client, story):
    for path in ("/blocks/tip/hash", f"/tx/{story.payment.txid_hex}", "/mempool", f"/block/{UNKNOWN}"):
        answer = client.get(path, headers={"If-None-Match": "*"})
        assert "ETag" not in answer.headers
        assert answer.status_code in (200, 404)


@pytest.mark.parametrize("path", ["/blocks/tip/hash", "/mempool", "/block-height/0", "/no/such/thing"])
def test_a_head_request_is_answered_without_the_body(client, path):
    full, head = client.get(path), client.head(path)
    assert (head.status_code, head.data) == (full.status_code, b"")
    for name in ("Content-Type", "Content-Length", "Cache-Control", "Access-Control-Allow-Origin"):
        assert head.headers[name] == full.headers[name]


def test_a_slash_too_many_is_the_first_page(client, story):
    block, bob = story.big.hash_hex, address_of("bob")
    for path in ("/blocks", f"/block/{block}/txs", f"/address/{bob}/txs/chain"):
        for mount in ("", "/api"):
            answer = client.get(f"{mount}{path}/")
            assert (answer.status_code, answer.json) == (200, client.get(path).json)


def test_a_page_may_be_larger_where_it_is_asked_for(client, story):
    bob = address_of("bob")
    everything = client.get(f"/address/{bob}/txs/chain?max_txs=1000").json
    assert len(everything) == 31
    assert client.get(f"/address/{bob}/txs/chain").json == everything[:25]
    assert client.get(f"/address/{bob}/txs/chain/{everything[1]['txid']}?max_txs=2").json == everything[2:4]
    assert client.get(f"/address/{bob}/txs/chain?max_txs=x").json == everything[:25]
    assert len(client.get(f"/address/{address_of('carol')}/txs/mempool?max_txs=1").json) == 1


def test_only_what_is_named_by_its_hash_may_be_kept(client, story):
    block, tx = story.big.hash_hex, story.payment.txid_hex
    for path in (f"/block/{block}", f"/block/{block}/header", f"/block/{block}/raw", f"/block/{block}/txids"):
        assert "immutable" in client.get(path).headers["Cache-Control"]
    for path in (
        "/blocks",
        "/blocks/tip/hash",
        "/block-height/1",
        f"/block/{block}/status",
        f"/block/{block}/txs",
        f"/tx/{tx}",
        f"/tx/{tx}/status",
        f"/address/{address_of('bob')}",
        "/mempool",
        "/fee-estimates",
    ):
        assert client.get(path).headers["Cache-Control"] == "no-store"
