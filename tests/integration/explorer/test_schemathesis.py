"""The running server against its own description: schemathesis makes requests of every kind and judges the answers.

The seed is fixed and the number of requests bounded, so that a run is the same every time.
"""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis.core
import pytest
import requests
import schemathesis
from hypothesis import settings
from schemathesis.checks import CHECKS
from schemathesis.specs.openapi.checks import allow_header_conformance, unsupported_method

from services.explorer.live import wait_endpoint
from services.explorer.openapi.document import document
from services.explorer.operations import operations
from shared.bus.events import (
    AddressRequested,
    AddressResult,
    CoinsRequested,
    CoinsResult,
    MineRequested,
    MineResult,
    TemplateRequested,
    TxSubmitted,
    TxVerdict,
    TxVerdicts,
)
from shared.chain.store import connect
from shared.consensus.params import REGTEST
from shared.crypto.hashes import sha256
from shared.primitives.hex import display_hash
from tests.builders import key, p2wpkh
from tests.integration.explorer.conftest import TEMPLATE, Story, address_of, tell_story
from tests.integration.explorer.streams import running
from tests.unit.bus.fake_broker import FakeBroker

OPERATIONS = [operation for operation in operations(has_faucet=True) if operation.path != "/events"]
"""All but the stream, which is no request with an answer."""
NOT_EXPRESSIBLE = {
    "/address/": "a checksum",
    "/addresses/": "a checksum",
    "/address-prefix/": "a checksum's alphabet",
    "/scripthashes/": "an array of texts, each a script hash",
    "/block/{block_hash}/txs/{start}": "a multiple of 25 within the block",
    "/txs/outspends": "texts with commas between",
    "/broadcast": "a transaction",
    "/tx": "a transaction",
    "/txs/": "transactions",
    "/faucet": "an address, and an amount of whole satoshis",
    "/wait": "exactly one of three, and something that comes about",
    "/scripthash/": "a txid of the history",
}
"""Prefix of a path where a request may be refused though it meets the schema → the rule that no schema can express."""


def is_below(path: str, beginning: str) -> bool:
    return path == beginning or (beginning.endswith("/") and path.startswith(beginning))


def config() -> schemathesis.Config:
    refused = ["2xx", "3xx", "400", "404", "408", "422"]
    lenient = [
        {"include-path": operation.path, "checks": {"positive_data_acceptance": {"expected-statuses": refused}}}
        for operation in OPERATIONS
        if any(
            operation.path == path or operation.path.startswith(path + "" * path.endswith("/"))
            for path in NOT_EXPRESSIBLE
        )
    ]
    seed = hypothesis.core.global_force_seed  # of `--hypothesis-seed`, which schemathesis does not look at
    return schemathesis.Config.from_dict(
        ({} if seed is None else {"seed": seed})
        | {
            "generation": {
                "max-examples": 12,
                "deterministic": settings.default.derandomize,
                "database": "none",
                "allow-x00": True,
            },
            "suppress-health-check": ["all"],
            "operations": lenient,
        }
    )


schema = schemathesis.openapi.from_dict(document(REGTEST, operations(has_faucet=True)), config=config()).exclude(
    path="/events"
)
CONTRACT = [unsupported_method, allow_header_conformance]
"""Checks that do not apply: another method is a 404 here, as in electrs, and not a 405."""


def verdicts(message: TxSubmitted) -> TxVerdicts:
    refused = TxVerdict(txid="", wtxid="", accepted=False, reason="min relay fee not met", detail="0 < 141")
    return TxVerdicts(verdicts=(refused,) * len(message.txs), package_error="transaction failed")


@pytest.fixture(scope="module")
def told(redis_url: str) -> Iterator[Story]:
    with connect(redis_url) as client:
        client.flushall()
        yield tell_story(client)


@pytest.fixture(scope="module")
def server(told: Story) -> Iterator[str]:
    """The base URL of a server with a chain; nothing is waited for longer than a moment."""
    broker = FakeBroker()
    broker.answers[TxSubmitted] = verdicts
    broker.answers[TemplateRequested] = lambda message: TEMPLATE
    broker.answers[AddressRequested] = lambda message: AddressResult(address=address_of("alice"))
    broker.answers[CoinsRequested] = lambda message: CoinsResult(txid="ab" * 32)
    broker.answers[MineRequested] = lambda message: MineResult(hashes=("ab" * 32,) * message.count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wait_endpoint, "MAX_SECONDS", 0.01)
        with running(told.chain.view, broker=broker) as instance:
            yield f"http://127.0.0.1:{instance.port}/api"


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@schema.parametrize()
def test_the_server_is_as_described(case, server, session):
    case.call_and_validate(base_url=server, session=session, excluded_checks=CONTRACT)


def test_all_checks_there_are_take_part():
    names = {check.__name__ for check in CHECKS.get_all()}
    assert {"not_a_server_error", "status_code_conformance", "content_type_conformance"} <= names
    assert {"response_schema_conformance", "negative_data_rejection", "positive_data_acceptance"} <= names


def requests_of(story: Story) -> Iterator[tuple[str, str]]:
    """Paths that lead to every kind of answer, each with the path of its description."""
    txs = (story.payment, story.burn, story.waiting, story.child, story.big.transactions[0])
    values = {
        "block_hash": [story.big.hash_hex, story.stale.hash_hex, REGTEST.genesis.hash_hex],
        "txid": [tx.txid_hex for tx in txs],
        "address": [address_of(name) for name in ("alice", "bob", "carol", "nobody")],
        "scripthash": [sha256(p2wpkh(key(name))).hex() for name in ("alice", "bob")],
        "last": [story.payment.txid_hex, display_hash(bytes(32))],
        "height": ["0", "37"],
        "vout": ["0", "1"],
        "index": ["0"],
        "start": ["0", "25", "bcrt1"],
    }
    for operation in OPERATIONS:
        if operation.method != "GET":
            continue
        paths = [operation.path]
        for parameter in operation.parameters:
            if parameter.place == "path":
                name = f"{{{parameter.name}}}"
                paths = [path.replace(name, value) for path in paths for value in values[parameter.name]]
        yield from ((operation.path, path) for path in paths)


def test_real_answers_are_as_described(told, server, session):
    seen = set()
    for template, path in requests_of(told):
        answer = session.get(server + path, timeout=10)
        schema[template]["GET"].validate_response(answer)
        if answer.status_code == 200:
            seen.add(template)
    gets = {operation.path for operation in OPERATIONS if operation.method == "GET"}
    assert gets - seen == {"/broadcast", "/wait"}  # which want a query
