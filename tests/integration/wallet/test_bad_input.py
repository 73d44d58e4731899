"""Every bad input at the wallet's edge has a named outcome, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.chain.store import connect
from shared.crypto.address import MAINNET_PREFIX, encode_address
from tests.builders import key, p2wpkh
from tests.integration.wallet.conftest import PASSWORD, Stack

MAINNET_ADDRESS = encode_address(p2wpkh(key("x")), MAINNET_PREFIX)
RSA_PEM = (
    rsa.generate_private_key(65537, 2048)
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.fixture(scope="module")
def shared_stack(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One funded wallet for all of these tests: none of them changes anything."""
    with connect(redis_url) as client:
        client.flushall()
        stack = Stack(client, tmp_path_factory.mktemp("data"))
        stack.address = stack.fund("w", 2)
        yield stack


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    shared_stack.http = shared_stack.app.test_client()
    before = shared_stack.wallet_records(), shared_stack.view.tip()
    yield shared_stack
    assert (shared_stack.wallet_records(), shared_stack.view.tip()) == before


def expect(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
    assert answer.mimetype == "application/problem+json"
    assert answer.json["detail"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"to": ""}, 400, "payee-missing"),
        ({"to": None}, 400, "payee-not-text"),
        ({"to": 1}, 400, "payee-not-text"),
        ({"to": "nobody"}, 400, "payee-bad-address"),
        ({"to": MAINNET_ADDRESS}, 400, "payee-other-network"),
        ({"to": RSA_PEM}, 400, "payee-bad-public-key"),
        ({"amount": "0"}, 400, "amount-zero"),
        ({"amount": 0}, 400, "amount-zero"),
        ({"amount": "-1"}, 400, "amount-negative"),
        ({"amount": "0.00000293"}, 400, "amount-dust"),
        ({"amount": "abc"}, 400, "amount-not-a-number"),
        ({"amount": None}, 400, "amount-not-a-number"),
        ({"amount": ""}, 400, "amount-missing"),
        ({"amount": True}, 400, "amount-not-a-number"),
        ({"amount": 1.5}, 400, "amount-not-exact"),
        ({"amount": "0.123456789"}, 400, "amount-too-many-decimals"),
        ({"amount": "21000001"}, 400, "amount-too-large"),
        ({"amount": "100"}, 422, "insufficient-funds"),
        ({"amount": "101"}, 422, "insufficient-funds"),
        ({"feerate": "0.05"}, 400, "feerate-too-small"),
        ({"feerate": "100000"}, 400, "feerate-too-large"),
        ({"feerate": 1.5}, 400, "feerate-not-exact"),
        ({"password": "wrong"}, 403, "wrong-password"),
        ({"password": 5}, 403, "wrong-password"),
        ({"password": None}, 401, "locked"),
        ({"password": ""}, 401, "locked"),
        ({"request_id": 7}, 400, "request-id-invalid"),
        ({"request_id": "x" * 101}, 400, "request-id-invalid"),
        ({"feeRate": "2"}, 400, "unknown-field"),
    ],
)
def test_a_bad_payment_is_refused(stack: Stack, changes: dict, status: int, code: str) -> None:
    body = {"to": stack.address, "amount": "1", "password": PASSWORD} | changes
    expect(stack.post("/w/send", **body), status, code)


def test_a_payment_link_of_another_amount_is_refused(stack: Stack) -> None:
    body = {"to": f"bitcoin:{stack.address}?amount=2", "amount": "1", "password": PASSWORD}
    expect(stack.post("/w/send", **body), 400, "amount-differs")


@pytest.mark.parametrize(
    ("wallet_id", "code"),
    [
        (None, "wallet-id-missing"),
        ("", "wallet-id-missing"),
        (7, "wallet-id-missing"),
        ("a b", "wallet-id-invalid"),
        ("a/b", "wallet-id-invalid"),
        ("a\n", "wallet-id-invalid"),
        ("wället", "wallet-id-invalid"),
        ("x" * 65, "wallet-id-invalid"),
        ("favicon.ico", "wallet-id-invalid"),
        ("api", "wallet-id-reserved"),
        ("Static", "wallet-id-reserved"),
        ("shared", "wallet-id-reserved"),
        ("healthz", "wallet-id-reserved"),
        ("readyz", "wallet-id-reserved"),
        ("metrics", "wallet-id-reserved"),
    ],
)
def test_a_bad_wallet_id_is_refused(stack: Stack, wallet_id: object, code: str) -> None:
    expect(stack.post("", id=wallet_id, password=PASSWORD), 400, code)


@pytest.mark.parametrize("password", [None, "", 5, ["x"]])
def test_a_wallet_needs_a_password(stack: Stack, password: object) -> None:
    expect(stack.post("", id="new", password=password), 400, "password-missing")


def test_creating_a_wallet_that_exists_is_refused_whatever_the_password(stack: Stack) -> None:
    expect(stack.post("", id="w", password=PASSWORD), 409, "wallet-exists")
    expect(stack.post("", id="w", password="another"), 409, "wallet-exists")


@pytest.mark.parametrize("count", [0, -1, 1001, 1.0, "1", None, True, [1]])
def test_a_bad_number_of_blocks_is_refused(stack: Stack, count: object) -> None:
    expect(stack.post("/w/mine", count=count), 400, "count-out-of-range")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=-1", "limit=1e2", "limit=" + "9" * 5000])
def test_a_bad_page_size_is_refused(stack: Stack, query: str) -> None:
    expect(stack.get(f"/w/history?{query}"), 400, "limit-out-of-range")


def test_a_bad_place_in_the_history_is_refused_and_an_unknown_one_is_empty(stack: Stack) -> None:
    expect(stack.get("/w/history?after=zz"), 400, "after-invalid")
    assert stack.get(f"/w/history?after={'00' * 32}").json == {"transactions": [], "after": None}


WITH_BODY = ["/send", "/mine", "/unlock", "/lock", "/export", "/addresses"]


@pytest.mark.parametrize("path", [*WITH_BODY, "", "/history", "/addresses"])
@pytest.mark.parametrize("wallet_id", ["nobody", "x" * 65, "a.b", "%00", "..%2Fw"])
def test_an_unknown_wallet_is_not_found(stack: Stack, path: str, wallet_id: str) -> None:
    if path in WITH_BODY:
        body = {} if path in ("/lock", "/addresses", "/mine") else {"password": PASSWORD}
        answer = stack.http.post(f"/api/wallets/{wallet_id}{path}", json=body)
    else:
        answer = stack.http.get(f"/api/wallets/{wallet_id}{path}")
    assert answer.status_code == 404, answer.json


@pytest.mark.parametrize("path", ["", *(f"/w{path}" for path in WITH_BODY)])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_of_another_content_type_is_refused(stack: Stack, path: str, content_type: str) -> None:
    body = json.dumps({"id": "new", "password": PASSWORD})
    answer = stack.http.post(f"/api/wallets{path}", data=body, content_type=content_type)
    expect(answer, 415, "content-type")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "json-invalid"),
        (b'{"password": NaN}', "json-invalid"),
        (b'{"password": "\xff"}', "json-invalid"),
        (b"[" * 60_000, "json-invalid"),
        (b'{"a":' * 10_000, "json-invalid"),
        (b"[]", "json-not-an-object"),
        (b'"text"', "json-not-an-object"),
        (b"null", "json-not-an-object"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else value,
)
@pytest.mark.parametrize("path", ["", "/w/send", "/w/unlock"])
def test_a_body_that_is_no_json_object_is_refused(stack: Stack, path: str, body: bytes, code: str) -> None:
    answer = stack.http.post(f"/api/wallets{path}", data=body, content_type="application/json")
    expect(answer, 400, code)


def test_a_body_over_the_limit_is_refused(stack: Stack) -> None:
    body = json.dumps({"id": "new", "password": "x" * 70_000})
    answer = stack.http.post("/api/wallets", data=body, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (413, "request-entity-too-large")


@pytest.mark.parametrize(
    "call",
    [
        lambda http: http.put("/api/wallets/w", json={}),
        lambda http: http.delete("/api/wallets/w"),
        lambda http: http.get("/api/wallets/w/send"),
    ],
)
def test_another_method_is_refused(stack: Stack, call: Callable) -> None:
    answer = call(stack.http)
    assert (answer.status_code, answer.json["code"]) == (405, "method-not-allowed")


def test_no_origin_is_given_permission(stack: Stack) -> None:
    answer = stack.http.options("/api/wallets", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Access-Control-Allow-Origin" not in stack.get("/w").headers


def test_a_page_under_another_name_is_refused(stack: Stack) -> None:
    answer = stack.http.get("/api/wallets/w", base_url="http://evil.example")
    assert answer.status_code == 421
