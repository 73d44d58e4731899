"""Packages and trials: the requests to the mempool service, and bitcoind's answers and errors."""

from __future__ import annotations

import json

import pytest

from services.explorer.api.esplora.packages import OPERATIONS, Packages
from services.explorer.api.responses import Api
from services.explorer.errors import RequestError
from shared.bus.events import TxSubmitted, TxVerdict, TxVerdicts
from shared.policy import DEFAULT_MAX_FEERATE
from shared.primitives.transaction import OutPoint, TxOut
from shared.web.app import text
from shared.web.async_flask import AsyncFlask
from tests.builders import Spendable, key, output_of, p2wpkh, pay, spend
from tests.unit.bus.fake_broker import FakeBroker

ALICE, BOB = key("alice"), key("bob")
COIN = Spendable(OutPoint(b"\x01" * 32, 0), TxOut(100_000, p2wpkh(ALICE)), ALICE)
PARENT = pay(COIN, BOB, 50_000, fee=0)
CHILD = pay(output_of(PARENT, 0, BOB), ALICE, 20_000, fee=3_000)
RAW = [PARENT.serialize().hex(), CHILD.serialize().hex()]


@pytest.fixture
def broker():
    return FakeBroker()


@pytest.fixture
def client(broker):
    app = AsyncFlask(__name__)
    app.register_blueprint(Api((Packages(broker), OPERATIONS)).blueprint("root"))
    app.register_error_handler(RequestError, lambda error: text(error.message, error.status))
    return app.test_client()


def accepted(tx, **fields) -> TxVerdict:
    return TxVerdict(txid=tx.txid_hex, wtxid=tx.wtxid_hex, accepted=True, vsize=tx.vsize, **fields)


def refused(tx, reason, detail="") -> TxVerdict:
    return TxVerdict(txid=tx.txid_hex, wtxid=tx.wtxid_hex, accepted=False, reason=reason, detail=detail)


def answer_with(broker, *verdicts, package_error=""):
    broker.answers[TxSubmitted] = lambda message: TxVerdicts(verdicts=verdicts, package_error=package_error)


def test_a_package_is_submitted_as_one(client, broker):
    both = {"effective_feerate": 10_650, "effective_includes": (PARENT.wtxid_hex, CHILD.wtxid_hex)}
    answer_with(broker, accepted(PARENT, fee=0, **both), accepted(CHILD, fee=3_000, **both))
    answer = client.post("/txs/package", json=RAW)
    assert answer.status_code == 200, answer.text
    assert broker.published == [TxSubmitted(txs=tuple(RAW), max_feerate=DEFAULT_MAX_FEERATE, package=True)]
    together = {"effective-feerate": 0.0001065, "effective-includes": [PARENT.wtxid_hex, CHILD.wtxid_hex]}
    assert answer.json == {
        "package_msg": "success",
        "tx-results": {
            PARENT.wtxid_hex: {
                "txid": PARENT.txid_hex,
                "vsize": PARENT.vsize,
                "fees": {"base": 0.0, **together},
            },
            CHILD.wtxid_hex: {
                "txid": CHILD.txid_hex,
                "vsize": CHILD.vsize,
                "fees": {"base": 0.00003, **together},
            },
        },
        "replaced-transactions": [],
    }
    assert '"base":0.00003000' in answer.text


def test_what_a_package_replaced_is_listed_once_in_the_order_of_its_bytes(client, broker):
    gone = ["02" + "00" * 30 + "01", "01" + "00" * 30 + "02"]
    costs = {"effective_feerate": 10_650, "fee": 3_000}
    answer_with(
        broker, accepted(PARENT, replaced=tuple(gone[::-1]), **costs), accepted(CHILD, replaced=(gone[0],), **costs)
    )
    assert client.post("/txs/package", json=RAW).json["replaced-transactions"] == gone


def test_a_package_that_fails_says_for_what(client, broker):
    answer_with(
        broker,
        refused(PARENT, "min relay fee not met", "0 < 141"),
        TxVerdict(txid=CHILD.txid_hex, wtxid=CHILD.wtxid_hex, accepted=True, other_wtxid="cd" * 32),
        package_error="transaction failed",
    )
    answer = client.post("/txs/package", json=RAW).json
    assert answer["package_msg"] == "transaction failed"
    assert answer["tx-results"][PARENT.wtxid_hex]["error"] == "min relay fee not met, 0 < 141"
    assert answer["tx-results"][CHILD.wtxid_hex] == {"txid": CHILD.txid_hex, "other-wtxid": "cd" * 32}


@pytest.mark.parametrize(("query", "limit"), [("maxfeerate=0.2", 20_000_000), ("maxfeerate=0", None)])
def test_the_highest_feerate_can_be_chosen(client, broker, query, limit):
    answer_with(broker, refused(PARENT, "x"), refused(CHILD, "y"))
    for path in ("package", "test"):
        assert client.post(f"/txs/{path}?{query}", json=RAW).status_code == 200
    assert [message.max_feerate for message in broker.published] == [limit, limit]


def test_a_burn_is_refused_unless_it_was_meant(client, broker):
    burn = spend([COIN], [TxOut(5_000, b"\x6a"), TxOut(90_000, p2wpkh(ALICE))])
    raw = [burn.serialize().hex()]
    answer = client.post("/txs/package", json=raw)
    message = "Unspendable output exceeds maximum configured by user (maxburnamount)"
    assert (answer.status_code, answer.text) == (400, f"submitpackage RPC error -25: {message}")
    assert broker.published == []
    answer_with(broker, accepted(burn, fee=5_000))
    assert client.post("/txs/package?maxburnamount=0.00005", json=raw).status_code == 200


def test_a_trial_changes_nothing_and_says_what_would_be(client, broker):
    answer_with(
        broker,
        accepted(PARENT, fee=500, effective_feerate=3_546, effective_includes=(PARENT.wtxid_hex,)),
        refused(CHILD, "bad-txns-inputs-missingorspent"),
    )
    assert client.post("/txs/test", json=RAW).json == [
        {
            "txid": PARENT.txid_hex,
            "wtxid": PARENT.wtxid_hex,
            "allowed": True,
            "vsize": PARENT.vsize,
            "fees": {
                "base": 0.000005,
                "effective-feerate": 0.00003546,
                "effective-includes": [PARENT.wtxid_hex],
            },
        },
        {
            "txid": CHILD.txid_hex,
            "wtxid": CHILD.wtxid_hex,
            "allowed": False,
            "reject-reason": "missing-inputs",
        },
    ]
    assert broker.published[0].test_only


@pytest.mark.parametrize("path", ["/txs/package", "/txs/test"])
@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        ("", json.dumps([RAW[0]] * 26), "Exceeded maximum of 25 transactions"),
        ("", json.dumps([RAW[0], "00" * 59]), "Invalid transaction size for item 1"),
        ("", json.dumps(["00" * 400_000]), "Invalid transaction size for item 0"),
        ("", json.dumps([RAW[0], RAW[1], "zz" * 70]), "Invalid transaction hex for item 2"),
        ("", "[]", "RPC error -8: Array must contain between 1 and 25 transactions."),
        ("", json.dumps(["00" * 70]), "RPC error -22: TX decode failed"),
        ("", "{", "Invalid JSON"),
        ("", "[7]", "Invalid JSON"),
        ("?maxfeerate=much", json.dumps(RAW), "Invalid maxfeerate"),
        ("?maxfeerate=NaN", json.dumps(RAW), "Invalid maxfeerate"),
        ("?maxfeerate=-1", json.dumps(RAW), "Invalid maxfeerate"),
        ("?maxfeerate=1e999999999", json.dumps(RAW), "Invalid maxfeerate"),
    ],
)
def test_what_cannot_be_read_is_refused_before_anyone_is_asked(client, broker, path, query, body, message):
    answer = client.post(path + query, data=body)
    assert answer.status_code == 400
    assert message in answer.text
    assert broker.published == []


def test_an_amount_to_burn_must_be_one(client):
    answer = client.post("/txs/package?maxburnamount=x", json=RAW)
    assert (answer.status_code, answer.text) == (400, "Invalid maxburnamount")
