"""Esplora's resources of the pool, of fees and of the next block."""

from __future__ import annotations

from services.explorer.chain.fee_estimates import TARGETS
from shared.bus.events import TemplateRequested, TxVerdicts
from shared.errors import RequestTimeout
from tests.integration.explorer.conftest import COIN, TEMPLATE


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
