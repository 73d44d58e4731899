"""The shims that test suites of other servers use: Nigiri's faucet, and bitcoinjs's regtest-server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.explorer.api import mempool_space, nigiri, regtest_server
from services.explorer.api.esplora import blocks, packages, pool, scripts, transactions
from services.explorer.app import OPEN_PATHS, create_explorer
from shared.bus.events import (
    AddressRequested,
    AddressResult,
    CoinsRequested,
    CoinsResult,
    MineRequested,
    MineResult,
    TxSubmitted,
    TxVerdict,
    TxVerdicts,
)
from shared.config import Settings
from shared.consensus.params import MAINNET, REGTEST
from shared.errors import BrokerUnavailable, RequestTimeout
from tests.builders import key, p2wpkh
from tests.integration.explorer.conftest import COIN, address_of

TXID = "ab" * 32
BOB = address_of("bob")


@pytest.fixture(autouse=True)
def services(broker):
    """The wallet and the mempool, as far as they answer."""
    broker.answers = {
        CoinsRequested: lambda message: CoinsResult(txid=TXID),
        AddressRequested: lambda message: AddressResult(address=address_of("creator")),
        MineRequested: lambda message: MineResult(hashes=tuple(f"{n:064x}" for n in range(message.count))),
    }


def refuse(broker, reason, detail="why"):
    broker.answers[CoinsRequested] = lambda message: CoinsResult(reason=reason, detail=detail)


# ── Nigiri ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "satoshis"),
    [
        ({"address": BOB}, COIN),
        ({"address": BOB, "amount": 0.1}, 10_000_000),
        ({"address": BOB, "amount": 2}, 2 * COIN),
        ({"address": BOB, "amount": "0.00012345"}, 12_345),
        ({"address": BOB, "amount": 0.1, "asset": ""}, 10_000_000),
    ],
)
def test_nigiris_faucet_pays_bitcoins_and_mines_a_block(client, broker, body, satoshis):
    answer = client.post("/faucet", json=body)
    assert (answer.status_code, answer.json) == (200, {"txId": TXID})
    coins, address, mining = broker.published
    assert coins == CoinsRequested(script_pubkey=p2wpkh(key("bob")).hex(), amount=satoshis)
    assert address == AddressRequested(fresh=False)
    assert mining == MineRequested(count=1, script_pubkey=p2wpkh(key("creator")).hex())
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"address": 7}',
        f'{{"address": "{BOB}", "amount": 21000001}}'.encode(),
        b'{"address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}',
        b'{"address": "x"}',
        *(f'{{"address": "{BOB}", "amount": {amount}}}'.encode() for amount in ("0", "-1", "null", '"NaN"', "1e99")),
    ],
)
def test_nigiris_faucet_refuses_what_it_cannot_read(client, broker, body):
    answer = client.post("/faucet", data=body)
    assert answer.status_code == 400
    assert answer.text
    assert broker.published == []


def test_nigiris_faucet_says_why_the_wallet_does_not_pay(client, broker):
    refuse(broker, "no-faucet", "there is no faucet")
    answer = client.post("/faucet", json={"address": BOB})
    assert (answer.status_code, answer.text) == (400, "there is no faucet")
    refuse(broker, "busy")
    answer = client.post("/faucet", json={"address": BOB})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_nigiris_new_address_is_one_of_the_wallet(client, broker):
    assert client.get("/getnewaddress").json == {"address": address_of("creator")}
    assert broker.published == [AddressRequested(fresh=True)]
    assert client.get("/api/getnewaddress").status_code == 200


# ── regtest-server ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_faucet_pays_satoshis(client, broker):
    assert client.post(f"/1/r/faucet?address={BOB}&value=42000&key=satoshi").text == TXID
    assert client.post("/1/r/faucetScript?script=51&value=7&key=satoshi").text == TXID
    assert broker.published == [
        CoinsRequested(script_pubkey=p2wpkh(key("bob")).hex(), amount=42_000),
        CoinsRequested(script_pubkey="51", amount=7),
    ]


def test_a_faucet_short_of_coins_answers_what_makes_the_client_mine(client, broker):
    refuse(broker, "insufficient-funds")
    answer = client.post(f"/1/r/faucet?address={BOB}&value=42000")
    assert (answer.status_code, answer.text) == (400, "Bad Request")
    refuse(broker, "amount-dust", "dust")
    answer = client.post(f"/1/r/faucet?address={BOB}&value=1")
    assert (answer.status_code, answer.text) == (400, "dust")


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"address={BOB}",
        "address=x&value=1",
        *(f"address={BOB}&value={value}" for value in ("", "-1", "x", "0", "1.5", str(10**19))),
    ],
)
def test_a_faucet_request_that_lacks_something_is_refused(client, broker, query):
    assert client.post(f"/1/r/faucet?{query}").status_code == 400
    assert broker.published == []


def test_blocks_are_generated_for_an_address_or_for_the_wallet(client, broker):
    assert client.post("/1/r/generate?count=2&key=satoshi").json == [f"{n:064x}" for n in range(2)]
    assert len(client.post(f"/1/r/generate?address={BOB}").json) == 1
    mining = [message for message in broker.published if isinstance(message, MineRequested)]
    assert [(message.count, message.script_pubkey) for message in mining] == [
        (2, p2wpkh(key("creator")).hex()),
        (1, p2wpkh(key("bob")).hex()),
    ]
    for count in ("0", "1001", "x", "-1"):
        assert client.post(f"/1/r/generate?count={count}&address={BOB}").status_code == 400
    broker.answers[MineRequested] = lambda message: MineResult(hashes=(), error="no miner")
    answer = client.post(f"/1/r/generate?address={BOB}")
    assert (answer.status_code, answer.text) == (503, "no miner")


def test_the_outputs_of_an_address_or_a_script(client, story):
    change = {"txId": story.waiting.txid_hex, "vout": 1, "value": 10 * COIN - 5_000, "coinbase": 0}
    found = client.get(f"/1/a/{BOB}/unspents").json
    assert change in found
    assert all(output["height"] == 38 for output in found if output != change)
    assert client.get(f"/1/a/{p2wpkh(key('bob')).hex()}/unspents").json == found
    everything = client.get(f"/1/a/{BOB}/txos").json
    payment = {"txId": story.payment.txid_hex, "vout": 0, "value": 12 * COIN, "height": 37, "coinbase": 0}
    assert payment in everything
    assert payment not in found
    assert client.get(f"/1/a/{address_of('nobody')}/unspents").json == []
    assert client.get("/1/a/zz/unspents").status_code == 400


def test_the_transactions_of_an_address(client, story):
    txids = client.get(f"/1/a/{BOB}/txids").json
    assert txids[0] == story.waiting.txid_hex
    assert story.payment.txid_hex in txids
    assert client.get(f"/1/a/{BOB}/txs").json[0] == story.waiting.serialize().hex()


def test_more_than_the_servers_limit_is_an_error(client, monkeypatch):
    monkeypatch.setattr("services.explorer.api.regtest_server.LIMIT", 3)
    for resource in ("unspents", "txs", "txos", "txids"):
        answer = client.get(f"/1/a/{BOB}/{resource}")
        assert (answer.status_code, answer.text) == (400, "Exceeded Limit")


def test_a_transaction_and_its_fields(client, story):
    tx = story.waiting
    assert client.get(f"/1/t/{tx.txid_hex}").text == tx.serialize().hex()
    assert client.get(f"/1/t/{tx.txid_hex}/json").json == {
        "txId": tx.txid_hex,
        "txHex": tx.serialize().hex(),
        "vsize": tx.vsize,
        "version": tx.version,
        "locktime": tx.lock_time,
        "ins": [{"txId": story.payment.txid_hex, "vout": 0, "script": "", "sequence": tx.inputs[0].sequence}],
        "outs": [
            {"address": address_of("carol"), "script": p2wpkh(key("carol")).hex(), "value": 2 * COIN},
            {"address": BOB, "script": p2wpkh(key("bob")).hex(), "value": 10 * COIN - 5_000},
        ],
    }
    assert "address" not in client.get(f"/1/t/{story.burn.txid_hex}/json").json["outs"][0]
    assert client.get(f"/1/t/{tx.txid_hex}/block").json is None
    assert client.get(f"/1/t/{story.payment.txid_hex}/block").text == story.chain.blocks[37].hash_hex
    assert client.get("/1/t/mempool").json == [story.child.txid_hex, tx.txid_hex]
    assert client.get(f"/1/t/{TXID}").status_code == 404
    assert client.get("/1/t/xyz/json").status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_transaction_is_pushed(client, broker, story, method):
    raw = story.waiting.serialize().hex()
    verdict = TxVerdict(txid=story.waiting.txid_hex, wtxid=story.waiting.wtxid_hex, accepted=True)
    broker.answers[TxSubmitted] = lambda message: TxVerdicts(verdicts=(verdict,))
    answer = client.open("/1/t/push", method=method, data=raw)
    assert (answer.status_code, answer.text) == (200, "")
    refused = replace_verdict(verdict, "non-final")
    broker.answers[TxSubmitted] = lambda message: TxVerdicts(verdicts=(refused,))
    answer = client.open("/1/t/push", method=method, data=raw)
    assert answer.status_code == 400
    assert "non-final" in answer.text


def replace_verdict(verdict, reason):
    return TxVerdict(txid=verdict.txid, wtxid=verdict.wtxid, accepted=False, reason=reason)


def test_blocks_by_hash_and_the_best_one(client, story):
    tip = story.chain.tip
    height = len(story.chain.blocks) - 1
    assert client.get("/1/b/best").text == tip.hash_hex
    assert client.get("/1/b/best/height").json == height
    assert client.get(f"/1/b/{story.chain.blocks[3].hash_hex}/height").json == 3
    assert client.get(f"/1/b/{tip.hash_hex}/header").text == tip.header.serialize().hex()
    assert client.get(f"/1/b/{TXID}/height").status_code == 404
    assert client.get("/1/b/first/height").status_code == 400


# ── where they are ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "params"),
    [
        (Settings(faucet="off"), REGTEST),
        (Settings(), replace(MAINNET, name="regtest")),
    ],
)
def test_other_chains_have_no_faucet(story, broker, settings, params):
    client = create_explorer(settings, params, story.chain.view, broker, {}).app.test_client()
    paths = ("/faucet", "/api/faucet", f"/1/r/faucet?address={BOB}&value=1", "/1/r/generate")
    assert {client.post(path, json={"address": BOB}).status_code for path in paths} == {404}
    assert {client.get(path).status_code for path in ("/getnewaddress", "/1/b/best/height")} == {404}
    assert client.get("/blocks/tip/height").status_code == 200
    assert broker.published == []


@pytest.mark.parametrize(
    ("path", "unanswered", "text"),
    [
        ("/faucet", CoinsRequested, "the coins may still come, look for them before asking again"),
        (f"/1/r/faucet?address={BOB}&value=1000", CoinsRequested, "the coins may still come"),
        ("/1/r/generate", AddressRequested, "the wallet service gave no address"),
        (f"/1/r/generate?address={BOB}", MineRequested, "the blocks may still be mined"),
    ],
)
def test_a_time_out_says_what_may_still_come_of_the_request(client, broker, path, unanswered, text):
    def late(message):
        raise RequestTimeout("no reply")

    broker.answers[unanswered] = late
    answer = client.post(path, json={"address": BOB})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.text.startswith(f"no answer in time: {text}")
    assert "transaction" not in answer.text


def test_without_a_broker_the_faucet_is_away_for_now(client, broker):
    broker.away = True
    for path in ("/faucet", f"/1/r/faucet?address={BOB}&value=1000"):
        answer = client.post(path, json={"address": BOB})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    with pytest.raises(BrokerUnavailable):
        broker.publish(AddressRequested())


def test_everything_that_takes_a_body_is_closed_to_other_sites_but_signed_transactions():
    tables = (nigiri, regtest_server, packages, transactions, pool, blocks, scripts, mempool_space)
    prefixes = {regtest_server: ("/1",)}
    closed = {
        prefix + operation.path
        for table in tables
        for name in ("OPERATIONS", "ADDRESS_OPERATIONS", "SCRIPT_HASH_OPERATIONS")
        for operation in getattr(table, name, ())
        if operation.method != "GET"
        for prefix in prefixes.get(table, ("", "/api"))
        if prefix + operation.path not in OPEN_PATHS
    }
    paying = {"/1/r/generate", "/1/r/faucet", "/1/r/faucetScript", "/faucet", "/api/faucet"}
    assert closed == paying


@pytest.mark.parametrize("path", ["/faucet", "/api/faucet", f"/1/r/faucet?address={BOB}&value=1000", "/1/r/generate"])
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_a_page_of_another_site_gets_no_coins_and_no_blocks(client, broker, path, accept):
    headers = {"Origin": "http://evil.example", "Accept": accept}
    for body in ({"json": {"address": BOB}}, {"data": f'{{"address": "{BOB}"}}', "content_type": "text/plain"}):
        assert client.post(path, headers=headers, **body).status_code == 403
    assert client.post(path, headers=headers, data={"address": BOB, "amount": "1"}).status_code == 403
    assert broker.published == []


def test_a_page_of_another_site_may_send_a_signed_transaction(client, broker):
    headers = {"Origin": "http://evil.example"}
    for path in ("/tx", "/api/tx", "/txs/package", "/txs/test", "/1/t/push"):
        assert client.post(path, headers=headers, data="00").status_code == 400
