"""A Redis that is paused: calls that begin on the event loop wait for it on threads, and all else is answered."""

from __future__ import annotations

import http.client
import json
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.mempool.rpc.app import create_rpc_app
from services.mempool.rpc.server.auth import Credentials
from shared.chain import store
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.process.shutdown import ExitFlag
from shared.web.server import HttpServer
from tests import builders
from tests.conftest import run_server
from tests.integration.explorer.chain import TestChain
from tests.servers import redis_server
from tests.unit.bus.fake_broker import FakeBroker

THREADS = 2
AUTH = {"Authorization": "Basic " + b64encode(b"user:password").decode()}


def ask(server: HttpServer, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, body, AUTH)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def call(server: HttpServer, method: str, *params: object) -> Any:
    return json.loads(ask(server, "POST", "/", json.dumps({"method": method, "params": params}))[1])["result"]


def test_calls_wait_for_a_paused_server_and_liveness_does_not() -> None:
    for redis in run_server(redis_server):
        chain = TestChain(store.connect(redis.url))
        block = chain.mine(builders.key("alice"))
        (reward,) = block.transactions
        credentials = Credentials("user", "password")
        app = create_rpc_app(Settings(), REGTEST, chain.view, FakeBroker(), credentials, {}, ExitFlag())
        server = HttpServer(app, "127.0.0.1", 0, THREADS)
        reads: list[tuple[str, list[object], object]] = [
            ("getblockcount", [], 1),
            ("getbestblockhash", [], block.hash_hex),
            ("getblockhash", [1], block.hash_hex),
            ("getrawtransaction", [reward.txid_hex], reward.serialize().hex()),
        ]
        assert [call(server, method, *params) for method, params, _ in reads] == [result for *_, result in reads]
        redis.pause()
        try:
            with ThreadPoolExecutor(3 * len(reads)) as pool:
                waiting = [pool.submit(call, server, method, *params) for method, params, _ in reads * 3]
                for _ in range(20):
                    began = time.monotonic()
                    assert ask(server, "GET", "/healthz") == (200, b"ok\n")
                    assert time.monotonic() - began < store.SOCKET_TIMEOUT / 2
                assert not any(asked.done() for asked in waiting)
                redis.resume()
                assert [asked.result(30) for asked in waiting] == [result for *_, result in reads * 3]
        finally:
            redis.resume()
        assert call(server, "getblockcount") == 1
        server.close()
