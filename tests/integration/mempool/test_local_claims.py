"""Claims of the port of the writer's own process: nothing acknowledged is lost, everything that waits is answered."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from services.mempool.rpc.server.auth import cookie_path
from services.mempool.transactions import submit as submit_module
from shared.bus import events
from shared.bus.broker import Broker
from shared.bus.events import BlockMined, BlockTemplate, Message, MineRequested, TxSubmitted, TxVerdicts
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.bus.topics import Topic, transient_queue
from shared.chain.redis_keys import Keys
from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.errors import BrokerUnavailable
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction, TxOut
from shared.process.shutdown import ExitFlag
from tests.builders import key, make_block, output_of, p2wpkh, pay, spend
from tests.conftest import run_server
from tests.integration.mempool.instance import Instance, eventually
from tests.integration.mempool.test_mining import solve
from tests.servers import free_port, redis_server

KEYS = Keys(REGTEST.name)
OWNER = key("owner")
PAYEE = p2wpkh(OWNER)
PATIENCE = 30.0


def blocks_with_coins(count: int) -> tuple[list[Block], list[Transaction]]:
    """Return a chain, and payments of `count` coins of it, none of which depends on another."""
    blocks = [REGTEST.genesis]
    for height in range(1, REGTEST.coinbase_maturity + 2):
        blocks.append(make_block(blocks[-1].header, height, PAYEE))
    coin = output_of(blocks[1].transactions[0], 0, OWNER)
    fan = spend([coin], [TxOut(1_000_000, PAYEE)] * count)
    blocks.append(make_block(blocks[-1].header, len(blocks), PAYEE, [fan]))
    return blocks[1:], [pay(output_of(fan, vout, OWNER), key("alice"), 400_000) for vout in range(count)]


def claim(tx: Transaction) -> TxSubmitted:
    return TxSubmitted(txs=(tx.serialize().hex(),))


def feed(broker: Broker, blocks: Sequence[Block]) -> None:
    replies = broker.request_many([BlockMined(block=block.serialize().hex()) for block in blocks], PATIENCE)
    assert all(reply.accepted for reply in replies)


def is_writing(instance: Instance) -> bool:
    intake = instance.claims._intake
    return intake is not None and intake._is_open


def heard(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Return the list that gets every request of an instance's process that goes over the bus from now on."""
    asked: list[Message] = []
    ask_many = instance.broker.ask_many

    async def listening(messages: Any, timeout: float, ids: Any = ()) -> Any:
        asked.extend(messages)
        return await ask_many(messages, timeout, ids)

    monkeypatch.setattr(instance.broker, "ask_many", listening)
    return asked


class Slow:
    """Makes the writer wait before it commits transactions, until the test lets it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        commit = submit_module._commit

        def slow(node: Any, batch: Any) -> None:
            self.reached.set()
            assert self.go_on.wait(PATIENCE)
            commit(node, batch)

        monkeypatch.setattr(submit_module, "_commit", slow)


@contextlib.contextmanager
def miner(broker: Broker) -> Iterator[threading.Event]:
    """Hear every template from now on, and solve the newest and all that follow once the event is set."""
    begin, stop = threading.Event(), ExitFlag()
    consumer = broker.consumer([transient_queue("miner", Topic.BLOCK_TEMPLATE)])

    def mine() -> None:
        begin.wait()
        solved = ""
        while not stop.is_set():
            deliveries = consumer.receive(100, 0.1)
            for delivery in deliveries[-1:]:
                template = events.decode(delivery.type, delivery.body)
                assert isinstance(template, BlockTemplate)
                if template.id != solved:
                    solved = template.id
                    broker.publish(solve(template))
            consumer.ack(deliveries)
        consumer.close()

    thread = threading.Thread(target=mine)
    thread.start()
    try:
        yield begin
    finally:
        stop.set()
        begin.set()
        thread.join(PATIENCE)


def test_when_the_lease_is_lost_the_claims_that_wait_are_answered_by_the_next_writer(
    start: Callable[[], Instance], redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start()
    eventually(lambda: is_writing(first))
    blocks, txs = blocks_with_coins(20)
    feed(first.claims, blocks)
    start()
    over_bus = heard(first, monkeypatch)
    slow = Slow(monkeypatch)
    with ThreadPoolExecutor(len(txs)) as threads:
        asked: list[Future[TxVerdicts]] = [threads.submit(first.claims.request, claim(txs[0]), PATIENCE)]
        assert slow.reached.wait(PATIENCE)
        asked += [threads.submit(first.claims.request, claim(tx), PATIENCE) for tx in txs[1:]]
        eventually(lambda: sum(len(lane.local) for lane in first.claims._intake._lanes.values()) == len(txs) - 1)
        redis.delete(KEYS.writer)
        eventually(lambda: redis.get(KEYS.writer_epoch) == b"2")
        slow.go_on.set()
        verdicts = [each.result(PATIENCE).verdicts[0] for each in asked]
    assert [(verdict.txid, verdict.accepted) for verdict in verdicts] == [(tx.txid_hex, True) for tx in txs]
    assert set(redis.hkeys(KEYS.pool_txs)) == {tx.txid for tx in txs}
    assert len(over_bus) == len(txs), "the fenced writer committed none of them"


def test_a_standby_uses_the_bus_until_it_is_the_writer_and_again_when_it_no_longer_is(
    start: Callable[[], Instance], redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start()
    eventually(lambda: is_writing(first))
    blocks, txs = blocks_with_coins(4)
    feed(first.claims, blocks)
    second = start()
    over_bus = heard(second, monkeypatch)

    def send(tx: Transaction) -> int:
        before = len(over_bus)
        assert second.claims.request(claim(tx), PATIENCE).verdicts[0].accepted
        return len(over_bus) - before

    assert send(txs[0]) == 1
    first.close()
    first.close = lambda: None  # type: ignore[method-assign]
    eventually(lambda: is_writing(second))
    assert send(txs[1]) == 0
    redis.set(KEYS.writer, "somebody else", px=1_500)
    redis.incr(KEYS.writer_epoch)
    assert send(txs[2]) == 1, "it was asked again over the bus, and answered when the lease was back"
    eventually(lambda: is_writing(second))
    assert send(txs[3]) == 0
    assert set(redis.hkeys(KEYS.pool_txs)) == {tx.txid for tx in txs}


def test_blocks_that_are_requested_here_are_mined_once_and_told_though_another_writer_finishes_them(
    start: Callable[[], Instance], redis: redis_py.Redis
) -> None:
    first = start()
    eventually(lambda: is_writing(first))
    request = MineRequested(count=3, script_pubkey=PAYEE.hex())
    second = start()
    with miner(second.broker) as begin, ThreadPoolExecutor() as threads:
        asked = threads.submit(first.claims.request, request, PATIENCE)
        eventually(lambda: redis.hlen(KEYS.jobs) == 1)
        first.writer._keeper._lease.take = lambda: None  # type: ignore[method-assign]  # the other is always quicker
        redis.delete(KEYS.writer)
        eventually(lambda: is_writing(second) and not is_writing(first))
        begin.set()
        assert len(asked.result(PATIENCE).hashes) == 3
    assert redis.hget(KEYS.tip, "height") == b"3"


def test_blocks_that_are_requested_here_are_told_here(start: Callable[[], Instance], monkeypatch) -> None:
    instance = start()
    eventually(lambda: is_writing(instance))
    over_bus = heard(instance, monkeypatch)
    with miner(instance.broker) as begin:
        begin.set()
        assert len(instance.claims.request(MineRequested(count=3, script_pubkey=PAYEE.hex()), PATIENCE).hashes) == 3
    assert not over_bus


@pytest.fixture
def own_redis() -> Iterator[str]:
    """URL of a Redis that a test may spoil, for store and bus."""
    for server in run_server(redis_server):
        yield server.url


def test_a_store_that_is_full_is_an_error_at_once_and_afterwards_all_is_well(own_redis: str) -> None:
    instance = Instance(own_redis, f"test-bus-{uuid.uuid4().hex}")
    with redis_py.Redis.from_url(own_redis) as operator:
        try:
            eventually(lambda: is_writing(instance))
            blocks, txs = blocks_with_coins(3)
            feed(instance.claims, blocks)
            operator.config_set("maxmemory", "1")
            for tx in txs:
                began = time.monotonic()
                with pytest.raises(BrokerUnavailable, match="OOM"):
                    instance.claims.request(claim(tx), PATIENCE)
                assert time.monotonic() - began < PATIENCE / 2
            operator.config_set("maxmemory", "0")
            eventually(lambda: is_writing(instance))
            for tx in txs:
                assert instance.claims.request(claim(tx), PATIENCE).verdicts[0].accepted
        finally:
            operator.config_set("maxmemory", "0")
            instance.close()


class Process:
    """A mempool process, and its port."""

    def __init__(self, redis_url: str, data_dir: Path) -> None:
        self.port, self._data_dir = free_port(), data_dir
        settings = {"WARREN_REDIS_URL": redis_url, "WARREN_DATA_DIR": str(data_dir), "WARREN_RPC_PORT": str(self.port)}
        command = [sys.executable, "-m", "services.mempool"]
        self._log = data_dir / f"{self.port}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)

    def call(self, method: str, *params: object) -> Any:
        """Return the reply; `OSError` or `HTTPException` if the process is gone."""
        cookie = cookie_path(self._data_dir, REGTEST.name).read_bytes()
        headers = {"Authorization": "Basic " + b64encode(cookie).decode()}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request("POST", "/", json.dumps({"method": method, "params": params}), headers)
            return json.loads(connection.getresponse().read())

    def answers(self) -> bool:
        """Whether it writes."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return bool(self.call("submitblock", REGTEST.genesis.serialize().hex())["result"] == "duplicate")
        return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> str:
        """Stop it in order; returns its log."""
        self.process.terminate()
        self.process.wait(PATIENCE)
        return self._log.read_text()


def test_a_writer_that_is_killed_takes_nothing_acknowledged_with_it_and_its_blocks_are_mined_once(
    redis: redis_py.Redis, redis_url: str, tmp_path: Path
) -> None:
    blocks, txs = blocks_with_coins(200)
    first = Process(redis_url, tmp_path)
    acknowledged: list[bytes] = []

    def send(part: Sequence[Transaction]) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            for tx in part:
                assert first.call("sendrawtransaction", tx.serialize().hex())["error"] is None
                acknowledged.append(tx.txid)

    try:
        eventually(first.answers, PATIENCE)
        for block in blocks:
            assert first.call("submitblock", block.serialize().hex())["error"] is None
        with ThreadPoolExecutor() as threads:
            generating = threads.submit(first.call, "generatetoaddress", 2, encode_address(PAYEE, REGTEST.address))
            eventually(lambda: redis.hlen(KEYS.jobs) == 1)
            sending = [threads.submit(send, txs[part::4]) for part in range(4)]
            eventually(lambda: len(acknowledged) >= 20, PATIENCE)
            first.kill()
            for each in sending:
                each.result(PATIENCE)
            assert isinstance(generating.exception(PATIENCE), (OSError, http.client.HTTPException))
    finally:
        first.kill()
    assert 20 <= len(acknowledged) < len(txs)
    assert set(acknowledged) <= set(redis.hkeys(KEYS.pool_txs))

    broker = RedisStreamsBroker(redis_url, prefix=f"warren-bus:{REGTEST.name}")
    second = None
    try:
        with miner(broker) as begin:
            second = Process(redis_url, tmp_path)
            begin.set()
            eventually(second.answers, PATIENCE)
            eventually(lambda: int(redis.hget(KEYS.tip, "height")) == len(blocks) + 2, PATIENCE)
            eventually(lambda: redis.hlen(KEYS.pool_txs) == 0)
        for tx in txs:
            reply = second.call("sendrawtransaction", tx.serialize().hex())
            assert reply["error"] is None or "already in utxo set" in reply["error"]["message"], reply
        assert int(redis.hget(KEYS.tip, "height")) == len(blocks) + 2, "the blocks were mined once"
    finally:
        broker.close()
        log = second.stop() if second else ""
    assert "Traceback" not in log
