"""mempool.space's resources over a real chain."""

from __future__ import annotations

import pytest

from services.explorer.chain import block_queries
from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.script.standard import p2pkh_script
from tests.builders import key, p2wpkh
from tests.integration.explorer.conftest import COIN, address_of

UNKNOWN = "ab" * 32


def get(client, path):
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    return answer.json


def relative(tx, fee):
    return {"txid": tx.txid_hex, "fee": fee, "weight": tx.weight}


def test_recommended_fees_are_never_empty(client):
    names = ["fastestFee", "halfHourFee", "hourFee", "economyFee", "minimumFee"]
    assert get(client, "/fees/recommended") == dict.fromkeys(names, 1)


def test_the_pool_as_blocks(client, story):
    [block] = get(client, "/fees/mempool-blocks")
    vsize = story.waiting.vsize + story.child.vsize
    assert (block["nTx"], block["blockVSize"], block["totalFees"]) == (2, vsize, 5_700)
    assert block["blockSize"] == story.waiting.size + story.child.size
    assert len(block["feeRange"]) == 7
    assert block["feeRange"][0] == pytest.approx(700 / story.child.vsize)
    assert block["medianFee"] == pytest.approx(5_000 / story.waiting.vsize), "as long as the other"
    assert block["feeRange"][-1] == pytest.approx(5_000 / story.waiting.vsize)


def test_the_relatives_of_unconfirmed_transactions(client, story):
    parent = get(client, f"/cpfp/{story.waiting.txid_hex}")
    assert parent == {
        "ancestors": [],
        "bestDescendant": relative(story.child, 700),
        "descendants": [relative(story.child, 700)],
        "effectiveFeePerVsize": pytest.approx(5_000 / story.waiting.vsize),
        "sigops": 1,
        "fee": 5_000,
        "adjustedVsize": story.waiting.vsize,
    }
    child = get(client, f"/cpfp/{story.child.txid_hex}")
    assert child["ancestors"] == [relative(story.waiting, 5_000)]
    assert (child["bestDescendant"], child["descendants"]) == (None, [])
    assert child["effectiveFeePerVsize"] == pytest.approx(700 / story.child.vsize)


def test_a_confirmed_transaction_has_no_unconfirmed_relatives(client, story):
    assert get(client, f"/cpfp/{story.payment.txid_hex}") == {
        "ancestors": [],
        "bestDescendant": None,
        "descendants": [],
        "effectiveFeePerVsize": pytest.approx(1_000 / story.payment.vsize),
        "fee": 1_000,
        "adjustedVsize": story.payment.vsize,
    }
    answer = client.get(f"/api/v1/cpfp/{UNKNOWN}")
    assert (answer.status_code, answer.text) == (404, "Transaction not found")


def test_nothing_was_ever_replaced(client, story):
    assert get(client, f"/tx/{story.waiting.txid_hex}/rbf") == {"replacements": None, "replaces": None}
    assert get(client, "/replacements") == get(client, "/fullrbf/replacements") == []


def test_addresses_are_checked(client):
    alice = p2wpkh(key("alice"))
    assert get(client, f"/validate-address/{address_of('alice')}") == {
        "isvalid": True,
        "address": address_of("alice"),
        "scriptPubKey": alice.hex(),
        "isscript": False,
        "iswitness": True,
        "witness_version": 0,
        "witness_program": alice[2:].hex(),
    }
    old = encode_address(p2pkh_script(key("alice").public_key.hash160), REGTEST.address)
    found = get(client, f"/validate-address/{old}")
    assert (found["isvalid"], found["iswitness"], "witness_version" in found) == (True, False, False)
    for text in ("hello", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"):
        found = get(client, f"/validate-address/{text}")
        assert found["isvalid"] is False
        assert found["error"]


def test_the_difficulty_period(client, story):
    found = get(client, "/difficulty-adjustment")
    height, interval = len(story.chain.blocks) - 1, REGTEST.retarget_interval
    assert found["remainingBlocks"] == interval - height
    assert found["nextRetargetHeight"] == interval
    assert found["progressPercent"] == pytest.approx(height / interval * 100)
    assert (found["difficultyChange"], found["previousRetarget"]) == (0.0, 0.0)
    assert found["previousTime"] == REGTEST.genesis.header.time


def test_blocks_come_in_fifteens_with_what_they_earned(client, story):
    tip = len(story.chain.blocks) - 1
    blocks = get(client, "/blocks")
    assert [block["height"] for block in blocks] == list(range(tip, tip - 15, -1))
    [block] = [block for block in get(client, "/blocks/37") if block["height"] == 37]
    coinbase = story.chain.blocks[37].transactions[0]
    extras = block.pop("extras")
    assert block == client.get(f"/block/{block['id']}").json
    rates = extras.pop("feeRange")
    assert rates == sorted(rates)
    assert (len(rates), rates[3]) == (7, extras.pop("medianFee"))
    assert rates[0] == pytest.approx(1_000 / story.payment.vsize)
    assert extras.pop("avgTxSize") == pytest.approx(block["size"] / 3, abs=0.01)
    assert extras == {
        "totalFees": 0,
        "avgFee": 0,
        "avgFeeRate": 0,
        "reward": 50 * COIN,
        "coinbaseRaw": coinbase.inputs[0].script_sig.hex(),
        "pool": {"id": 0, "name": "miner-1", "slug": "miner-1"},
        "virtualSize": block["weight"] / 4,
        "header": story.chain.blocks[37].header.serialize().hex(),
    }
    empty = get(client, "/blocks/36")[0]
    assert (empty["extras"]["medianFee"], empty["extras"]["feeRange"]) == (0, [0] * 7)
    assert get(client, f"/block/{empty['id']}") == empty


def test_what_is_esploras_too_is_the_same(client, story):
    tx = story.waiting.txid_hex
    assert get(client, f"/tx/{tx}") == client.get(f"/tx/{tx}").json
    assert client.get("/api/v1/block-height/3").text == story.chain.blocks[3].hash_hex


def test_precise_fees_are_those_that_are_rounded_up(client):
    precise = get(client, "/fees/precise")
    assert list(precise) == list(get(client, "/fees/recommended"))
    assert list(precise.values()) == [0.1] * 5


def test_one_block_with_what_it_earned(client, story):
    [listed] = [block for block in get(client, "/blocks/37") if block["height"] == 37]
    assert get(client, f"/block/{listed['id']}") == listed
    assert client.get(f"/api/v1/block/{UNKNOWN}").status_code == 404


def test_a_coinbase_longer_than_what_is_read_first_is_found(client, story, monkeypatch):
    expected = get(client, "/blocks")
    monkeypatch.setattr(block_queries, "COINBASE_SIZE", 100)
    assert get(client, "/blocks") == expected


def test_when_transactions_came(client, story):
    query = "&".join(f"txId[]={txid}" for txid in (story.child.txid_hex, UNKNOWN, story.payment.txid_hex))
    assert get(client, f"/transaction-times?{query}") == [1_700_000_001, 0, 0]
    assert get(client, "/transaction-times") == []


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/cpfp/xyz", 400, "Invalid hex string"),
        ("/tx/xyz/rbf", 400, "Invalid hex string"),
        ("/blocks/x", 400, "Invalid number"),
        ("/blocks/99999", 404, "Block not found"),
        ("/transaction-times?txId[]=xyz", 400, "Invalid hex string"),
        ("/nothing", 404, 'endpoint does not exist "/api/v1/nothing"'),
    ],
)
def test_bad_requests_are_answered_in_plain_text(client, path, status, text):
    answer = client.get(f"/api/v1{path}")
    assert (answer.status_code, answer.text) == (status, text)
    assert answer.content_type.startswith("text/plain")
