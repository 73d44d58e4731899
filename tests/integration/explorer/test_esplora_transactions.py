"""Esplora's resources of transactions over a real chain, and what a submission is answered with."""

from __future__ import annotations

import pytest

from shared.bus.events import TxSubmitted, TxVerdict, TxVerdicts
from shared.errors import RequestTimeout
from shared.primitives.hex import display_hash
from tests.integration.explorer.conftest import COIN, address_of

UNKNOWN = "ab" * 32


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
