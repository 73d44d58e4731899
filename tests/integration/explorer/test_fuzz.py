"""No request, however strange, gets a 500 or a stack trace."""

from __future__ import annotations

import re
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from services.explorer.operations import OPERATIONS
from shared.bus.events import TemplateRequested
from shared.consensus.params import REGTEST
from tests.integration.explorer.conftest import TEMPLATE, address_of
from tests.properties import with_shared_fixtures

NAMES = [
    "block",
    "blocks",
    "block-height",
    "tx",
    "txs",
    "address",
    "addresses",
    "scripthash",
    "scripthashes",
    "mempool",
    "fees",
    "cpfp",
    "wait",
    "search",
    "api",
    "v1",
    "feed",
    "static",
    "docs",
    "openapi.json",
    "asyncapi.json",
    "address-prefix",
    "block-template",
    "transaction-times",
    "validate-address",
    "replacements",
    "difficulty-adjustment",
]
RESTS = [
    "txs",
    "txids",
    "txid",
    "utxo",
    "chain",
    "tip",
    "hash",
    "raw",
    "hex",
    "outspend",
    "outspends",
    "status",
    "qr.svg",
    "merkle-proof",
    "merkleblock-proof",
    "summary",
    "page",
    "package",
    "test",
    "rbf",
    "recommended",
    "precise",
    "mempool-blocks",
]
VALUES = [
    "0",
    "1",
    "-1",
    "25",
    "999999999999",
    "ab" * 32,
    REGTEST.genesis.hash_hex,
    address_of("bob"),
    "%",
    "..",
    "\x00",
]
PIECES = st.sampled_from(NAMES + RESTS + VALUES) | st.text(min_size=1, max_size=80)
PATHS = st.lists(PIECES, max_size=5).map(lambda pieces: "/" + "/".join(quote(piece, safe="") for piece in pieces))
PARAMETERS = [
    "q",
    "start",
    "after",
    "tx",
    "x",
    "txids",
    "txId[]",
    "max_txs",
    "after_txid",
    "maxfeerate",
    "maxburnamount",
    "height",
    "hash",
    "confirmations",
    "timeout",
]
QUERIES = st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=80), max_size=3)
ACCEPTS = st.sampled_from(["text/html", "*/*", "application/json", ";;q=x", ""])


@with_shared_fixtures(400)
@given(path=PATHS, query=QUERIES, accept=ACCEPTS, method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS"]))
def test_no_request_ever_breaks_the_service(client, broker, path, query, accept, method):
    broker.answers[TemplateRequested] = lambda message: TEMPLATE
    with client.open(path, method=method, query_string=query, headers={"Accept": accept}) as answer:
        assert answer.status_code < 500, answer.text
        assert "Traceback" not in answer.text


TEMPLATES = sorted({operation.path for operation in OPERATIONS})
TEXTS = st.text(min_size=1, max_size=100) | st.sampled_from(VALUES) | st.integers().map(str)


@with_shared_fixtures(600)
@given(data=st.data(), template=st.sampled_from(TEMPLATES), query=QUERIES)
def test_no_parameter_of_a_resource_ever_breaks_it(client, broker, data, template, query):
    broker.answers[TemplateRequested] = lambda message: TEMPLATE
    query.pop("tx", None)  # a body that is no transaction is tried below
    query["timeout"] = "0"
    path = re.sub(r"{\w+}", lambda _: quote(data.draw(TEXTS), safe=""), template)
    with client.get("/api" + path, query_string=query) as answer:
        assert answer.status_code < 500, answer.text
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.status_code == 200 or answer.content_type == "text/plain"


@given(body=st.binary(max_size=400))
@with_shared_fixtures(200)
def test_no_body_ever_breaks_the_service(client, body):
    answer = client.post("/tx", data=body)
    assert answer.status_code == 400
    assert answer.text.startswith("sendrawtransaction RPC error -22: TX decode failed")


LISTS = st.recursive(st.none() | st.text(max_size=200) | st.integers(), lambda items: st.lists(items, max_size=4))


@given(body=LISTS, path=st.sampled_from(["/txs/package", "/txs/test", "/addresses/txs", "/scripthashes/txs"]))
@with_shared_fixtures(200)
def test_no_list_ever_breaks_the_service(client, broker, body, path):
    answer = client.post(path, json=body)
    assert answer.status_code == (200 if body == [] and path.endswith("es/txs") else 400), answer.text
    assert broker.published == []
