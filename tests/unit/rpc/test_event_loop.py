"""What the event loop does of a call, and what a thread does: the loop never waits for a server."""

from __future__ import annotations

import http.client
import json
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from services.mempool.rpc import app as rpc_app
from services.mempool.rpc.app import create_rpc_app
from services.mempool.rpc.server.auth import Credentials
from shared.bus.events import TxSubmitted
from shared.chain.reads import HURRIED_BYTES, expect_bytes
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.primitives.transaction import Transaction
from shared.process.shutdown import ExitFlag
from shared.web.server import HttpServer
from tests import builders
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import ALICE, BOB, FEE, PASSWORD, USER, Chain, verdicts


class Watched(FakeBroker):
    """Notes the thread on which it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []

    async def ask_many(self, messages: Sequence[Any], timeout: float, ids: Sequence[str] = ()) -> list[Any]:
        self.threads.append(threading.current_thread().name)
        return await super().ask_many(messages, timeout, ids)


@pytest.fixture
def broker() -> Watched:
    watched = Watched()
    watched.answers[TxSubmitted] = verdicts(accepted=True)
    return watched


@pytest.fixture
def server(chain: Chain, broker: Watched) -> Iterator[HttpServer]:
    app = create_rpc_app(Settings(), REGTEST, chain.view, broker, Credentials(USER, PASSWORD), {}, ExitFlag())  # type: ignore[arg-type]
    server = HttpServer(app, "127.0.0.1", 0, 2)
    yield server
    server.close()


@pytest.fixture
def tx(chain: Chain) -> Transaction:
    return builders.pay(builders.output_of(chain.payment, 0, BOB), ALICE, 400_000_000, FEE)


def post(server: HttpServer, body: object) -> Any:
    token = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", "/", json.dumps(body), {"Authorization": f"Basic {token}"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_a_submission_is_handed_over_by_the_event_loop(server: HttpServer, broker: Watched, tx: Transaction) -> None:
    assert post(server, {"method": "sendrawtransaction", "params": [tx.serialize().hex()]})["result"] == tx.txid_hex
    assert broker.threads == ["http"]


def test_batches_and_what_is_long_are_read_by_a_thread(
    server: HttpServer, broker: Watched, tx: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = {"method": "sendrawtransaction", "params": [tx.serialize().hex()]}
    assert post(server, [call])[0]["result"] == tx.txid_hex
    length = len(json.dumps(call))
    for small in (length, length - 1):
        monkeypatch.setattr(rpc_app, "SMALL", small)
        assert post(server, call)["result"] == tx.txid_hex
    batch, short, long = broker.threads
    assert short == "http"
    assert batch.startswith("http-")
    assert long.startswith("http-")


def test_short_reads_run_on_the_event_loop_and_all_other_calls_on_threads(
    server: HttpServer, broker: Watched, tx: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    execute = rpc_app.execute

    async def noting(*arguments: Any) -> Any:
        found.append(threading.current_thread().name)
        return await execute(*arguments)

    monkeypatch.setattr(rpc_app, "execute", noting)
    for method in ("getblockchaininfo", "nonsense", "testmempoolaccept"):
        post(server, {"method": method, "params": []})
    assert len(found) == 3
    assert all(name.startswith("http-") for name in found)
    found.clear()
    for method in ("getblockcount", "getbestblockhash", "getblockhash", "getrawtransaction", "gettxout"):
        post(server, {"method": method, "params": []})
    assert found == ["http"] * 5


def test_a_read_that_is_not_answered_at_once_is_done_again_on_a_thread(
    server: HttpServer, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    tip = chain.view.tip

    def slow_tip() -> Any:
        found.append(threading.current_thread().name)
        expect_bytes(HURRIED_BYTES + 1)
        return tip()

    monkeypatch.setattr(chain.view, "tip", slow_tip)
    assert post(server, {"method": "getblockcount"})["result"] == 3
    loop, thread = found
    assert loop == "http"
    assert thread.startswith("http-")
