"""A whole node in this process: real Redis, broker, writer and HTTP port, and a miner that solves at once."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from services.mempool.intake.router import ClaimRouter
from services.mempool.rpc.app import create_rpc_app
from services.mempool.rpc.server.auth import Credentials, cookie_path
from services.mempool.writer import Writer
from shared.bus.events import BlockTemplate, decode
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.bus.topics import Topic, transient_queue
from shared.chain import store
from shared.chain.redis_keys import Keys
from shared.chain.view import ChainView
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.process.shutdown import ExitFlag
from shared.web.server import HttpServer
from tests.integration.mempool.test_mining import solve


class RunningNode:
    """Starts everything, and calls it over HTTP as bitcoin-cli does: with the cookie."""

    def __init__(self, redis_url: str, data_dir: Path) -> None:
        settings = Settings(redis_url=redis_url, data_dir=data_dir, mine_timeout=20)
        self.stop = ExitFlag()
        self.broker = ClaimRouter(RedisStreamsBroker(redis_url, prefix=f"rpc-bus-{uuid.uuid4().hex}"))
        self.view = ChainView(store.connect(redis_url), Keys(REGTEST.name))
        credentials = Credentials.load(settings, REGTEST)
        ready = {"broker": self.broker.trouble}
        app = create_rpc_app(settings, REGTEST, self.view, self.broker, credentials, ready, self.stop)
        self.server = HttpServer(app, "127.0.0.1", 0, 4)
        self.cookie = cookie_path(data_dir, REGTEST.name).read_text()
        self._threads = [
            threading.Thread(target=Writer(settings, REGTEST, self.broker, self.stop).run, daemon=True),
            threading.Thread(target=self._mine, daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        deadline = time.monotonic() + 15
        known_block = REGTEST.genesis.serialize().hex()
        while self.rpc({"method": "submitblock", "params": [known_block]})["result"] != "duplicate":
            assert time.monotonic() < deadline, "no writer"
            time.sleep(0.01)

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
        """Return status and body of a POST."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        result = response.status, response.read()
        connection.close()
        return result

    def rpc(self, body: object) -> Any:
        """Return the reply to a JSON-RPC body."""
        token = b64encode(self.cookie.encode()).decode()
        _, data = self.post("/", json.dumps(body).encode(), Authorization=f"Basic {token}")
        return json.loads(data, parse_float=Decimal)

    def call(self, method: str, *params: object) -> Any:
        """Return the result of a call that succeeds."""
        reply = self.rpc({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
        assert "error" not in reply, reply["error"]
        return reply["result"]

    def error(self, method: str, *params: object) -> tuple[int, str]:
        """Return code and message of a call that fails."""
        error = self.rpc({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})["error"]
        return error["code"], error["message"]

    def close(self) -> None:
        """Stop everything, in the order of the service."""
        self.stop.set()
        self.server.close()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        self.broker.close()

    def _mine(self) -> None:
        consumer = self.broker.consumer([transient_queue("miner", Topic.BLOCK_TEMPLATE)])
        solved = ""
        while not self.stop.is_set():
            deliveries = consumer.receive(100, 0.1)
            if deliveries:
                template = decode(deliveries[-1].type, deliveries[-1].body)
                assert isinstance(template, BlockTemplate)
                if template.id != solved:
                    solved = template.id
                    self.broker.publish(solve(template))
                consumer.ack(deliveries)
        consumer.close()


@pytest.fixture
def node(redis: redis_py.Redis, redis_url: str, tmp_path: Path) -> Iterator[RunningNode]:
    running = RunningNode(redis_url, tmp_path)
    yield running
    running.close()
