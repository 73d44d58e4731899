"""Rules of HTTP that hold for every resource of Esplora: errors, methods, CORS, caching."""

from __future__ import annotations

import pytest

from shared.consensus.params import REGTEST
from shared.crypto.address import MAINNET_PREFIX, encode_address
from tests.builders import key, p2wpkh
from tests.integration.explorer.conftest import address_of

UNKNOWN = "ab" * 32


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
