"""Requests that wait for the mempool or the wallet service hold no thread of the explorer."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from shared.bus.events import (
    AddressRequested,
    AddressResult,
    CoinsRequested,
    CoinsResult,
    Message,
    MineRequested,
    MineResult,
    TxSubmitted,
    TxVerdict,
    TxVerdicts,
    WalletsRequested,
    WalletsResult,
)
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.web import async_flask
from tests.builders import p2wpkh
from tests.integration.explorer.conftest import BOB
from tests.integration.explorer.streams import running
from tests.unit.web.test_waiting_views import until

PATIENCE = 20.0
HASH = "ab" * 32
ADDRESS = encode_address(p2wpkh(BOB), REGTEST.address) or ""


class Held:
    """Answers each request of the bus when it is let go."""

    def __init__(self, broker) -> None:
        self.futures: list[tuple[Future[Message], Message]] = []
        self._replies = {
            CoinsRequested: CoinsResult(txid=HASH),
            AddressRequested: AddressResult(address=ADDRESS),
            MineRequested: MineResult(hashes=(HASH,)),
            WalletsRequested: WalletsResult(wallets=()),
            TxSubmitted: TxVerdicts(verdicts=(TxVerdict(txid=HASH, wtxid=HASH, accepted=True, fee=1, vsize=1),)),
        }
        broker.answers = dict.fromkeys(self._replies, self._hold)

    def _hold(self, message: Message) -> Future[Message]:
        future: Future[Message] = Future()
        self.futures.append((future, self._replies[type(message)]))
        return future

    def release(self) -> None:
        while self.futures:
            future, reply = self.futures.pop()
            future.set_result(reply)


@pytest.fixture
def held(broker) -> Held:
    return Held(broker)


def ask(port: int, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.getheader("Retry-After", "")


def test_requests_that_wait_leave_the_threads_to_others(story, broker, held):
    raw = story.payment.serialize().hex()
    wanted = [
        ("POST", "/tx", raw),
        ("POST", "/api/tx", raw),
        ("GET", f"/broadcast?tx={raw}", None),
        ("POST", "/txs/package", f'["{raw}"]'),
        ("POST", "/txs/test", f'["{raw}"]'),
        ("POST", "/faucet", f'{{"address": "{ADDRESS}"}}'),
        ("GET", "/getnewaddress", None),
        ("POST", "/1/t/push", raw),
        ("POST", "/1/r/generate", None),
        ("POST", f"/1/r/faucet?address={ADDRESS}&value=1000", None),
        ("POST", f"/1/r/faucetScript?script={p2wpkh(BOB).hex()}&value=1000", None),
    ]
    with running(story.chain.view, broker=broker) as explorer, ThreadPoolExecutor(len(wanted) + 1) as pool:
        answers = [pool.submit(ask, explorer.port, *request) for request in wanted]
        page = pool.submit(ask, explorer.port, "GET", "/faucet", Accept="text/html")
        until(lambda: len(held.futures) == len(wanted) + 1, "all of them wait")
        assert ask(explorer.port, "GET", "/blocks/tip/height")[0] == 200

        def release() -> bool:
            held.release()
            return all(answer.done() for answer in [*answers, page])

        until(release, "all of them are answered")
        assert [answer.result()[0] for answer in answers] == [200] * len(wanted)
        assert page.result()[0] == 200


def test_one_client_of_many_holds_a_share_of_the_waits(story, broker, held, monkeypatch):
    monkeypatch.setattr("services.explorer.rate_limit.MAX_WAITING", 8)
    monkeypatch.setattr(async_flask, "MAX_WAITING", 8)
    settings = Settings(rate_limit=1000, trusted_proxies="127.0.0.1")
    with running(story.chain.view, settings, broker) as explorer, ThreadPoolExecutor(8) as pool:
        first = {"X-Forwarded-For": "10.0.0.1"}
        held_by_one = [pool.submit(ask, explorer.port, "GET", "/getnewaddress", **first) for _ in range(2)]
        until(lambda: len(held.futures) == 2, "its share waits")
        status, text, again = ask(explorer.port, "GET", "/getnewaddress", **first)
        assert (status, text, again) == (503, "too many requests wait already, try again when one of them is done", "1")
        other = pool.submit(ask, explorer.port, "GET", "/getnewaddress", **{"X-Forwarded-For": "10.0.0.2"})
        until(lambda: len(held.futures) == 3, "another client may still wait")
        held.release()
        assert [answer.result()[0] for answer in [*held_by_one, other]] == [200] * 3
