"""Calls that wait for the writer, the miners or the next block hold no thread of the node's port."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest
from flask import Flask

from shared.bus.events import (
    BlockMined,
    BlockVerdict,
    ChainControl,
    ControlResult,
    Message,
    MineRequested,
    MineResult,
    TemplateRequested,
    TxSubmitted,
    TxVerdict,
    TxVerdicts,
    WalletsRequested,
    WalletsResult,
)
from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.web.server import HttpServer
from tests import builders
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import ALICE, PASSWORD, USER, Chain, work_on
from tests.unit.web.test_waiting_views import until

THREADS = 2
PATIENCE = 20.0
HASH = "ab" * 32
AUTH = {"Authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()}


class Held:
    """Answers each request of the bus when it is let go."""

    def __init__(self, broker: FakeBroker) -> None:
        self.futures: list[tuple[Future[Message], Message]] = []
        self._replies = {
            MineRequested: MineResult(hashes=(HASH,)),
            ChainControl: ControlResult(done=True),
            BlockMined: BlockVerdict(hash=HASH, accepted=True),
        }
        broker.answers = dict.fromkeys((*self._replies, TxSubmitted), self._hold)
        broker.answers[WalletsRequested] = lambda message: WalletsResult(wallets=())

    def _hold(self, message: Message) -> Future[Message]:
        reply = self._replies.get(type(message))
        if isinstance(message, TxSubmitted):
            reply = TxVerdicts(
                verdicts=tuple(TxVerdict(txid="", wtxid="", accepted=True, fee=1, vsize=1) for _ in message.txs)
            )
        assert reply is not None
        future: Future[Message] = Future()
        self.futures.append((future, reply))
        return future

    def release(self) -> None:
        for future, reply in self.futures:
            future.set_result(reply)


@pytest.fixture
def held(broker: FakeBroker) -> Held:
    return Held(broker)


@pytest.fixture
def server(app: Flask, held: Held) -> Iterator[HttpServer]:
    server = HttpServer(app, "127.0.0.1", 0, THREADS)  # type: ignore[arg-type]
    yield server
    server.close()


def post(server: HttpServer, body: object, path: str = "/") -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("POST", path, json.dumps(body), AUTH)
    answer = connection.getresponse()
    data = json.loads(answer.read())
    connection.close()
    return answer.status, data


def call(server: HttpServer, method: str, *params: object) -> Any:
    return post(server, {"method": method, "params": params})[1]


def calls(chain: Chain) -> list[tuple[str, list[object]]]:
    """Return a call of each kind that waits, with its params."""
    address = encode_address(builders.p2wpkh(ALICE), REGTEST.address)
    tip = chain.blocks[-1]
    block = builders.make_block(tip.header, 4, builders.p2wpkh(ALICE)).serialize().hex()
    payment = chain.payment.serialize().hex()
    return [
        ("generatetoaddress", [1, address]),
        ("generateblock", [address, []]),
        ("sendrawtransaction", [payment]),
        ("testmempoolaccept", [[payment]]),
        ("submitpackage", [[payment]]),
        ("submitblock", [block]),
        ("invalidateblock", [tip.hash_hex]),
        ("setmocktime", [1_700_000_000]),
        ("prioritisetransaction", [chain.payment.txid_hex, 0, 1]),
    ]


def test_calls_that_wait_leave_the_threads_to_others(server: HttpServer, held: Held, chain: Chain) -> None:
    wanted = calls(chain)
    address = encode_address(builders.p2wpkh(ALICE), REGTEST.address)
    with ThreadPoolExecutor(3 * len(wanted)) as pool:
        single = [pool.submit(call, server, method, *params) for method, params in wanted]
        batch = [{"method": method, "params": params, "id": place} for place, (method, params) in enumerate(wanted)]
        together = pool.submit(post, server, batch[:2])
        page = pool.submit(post, server, {}, f"/mine?address={address}")
        until(lambda: len(held.futures) == len(wanted) + 2, "all of them wait")
        assert call(server, "getblockcount")["result"] == 3
        held.release()
        until(lambda: len(held.futures) == len(wanted) + 3, "the batch goes on to its second call")
        held.futures[-1][0].set_result(held.futures[-1][1])
        replies = [one.result(PATIENCE) for one in single]
        assert [reply["error"] for reply in replies] == [None] * len(wanted)
        assert [reply["error"] for reply in together.result(PATIENCE)[1]] == [None, None]
        assert page.result(PATIENCE) == (200, {"message": "success", "blocks": [HASH]})


def test_calls_that_wait_for_a_block_leave_the_threads_to_others(
    server: HttpServer, chain: Chain, broker: FakeBroker
) -> None:
    broker.answers[TemplateRequested] = lambda message: work_on(chain)
    block = builders.make_block(chain.blocks[-1].header, 4, builders.p2wpkh(ALICE))
    rules = {"rules": ["segwit"], "longpollid": chain.blocks[-1].hash_hex + "9"}
    waits = [("waitfornewblock",), ("waitforblock", block.hash_hex), ("waitforblockheight", 4)] * THREADS
    with ThreadPoolExecutor(len(waits) + 1) as pool:
        answers = [pool.submit(call, server, *wait) for wait in waits]
        poll = pool.submit(call, server, "getblocktemplate", rules)
        assert call(server, "getblockcount")["result"] == 3
        assert not any(answer.done() for answer in [*answers, poll])
        chain.view.connect(block)
        for answer in answers:
            assert answer.result(PATIENCE)["result"] == {"hash": block.hash_hex, "height": 4}
        assert poll.result(PATIENCE)["result"]["height"] == 5
