"""Two explorers side by side, each a process of its own, on one chain: both tell every fact, whichever is asked."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.mempool.outbox import Outbox
from shared.bus.open_broker import connect
from shared.config import load
from shared.process.shutdown import ExitFlag
from tests.builders import key
from tests.integration.explorer.chain import TestChain
from tests.integration.explorer.streams import Stream
from tests.integration.explorer.test_service import get, wait_for
from tests.servers import free_ports

ROOT = Path(__file__).parents[3]
ALICE = key("alice")
BROKERS = [
    pytest.param("embedded", marks=pytest.mark.redis),
    pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
]


@pytest.fixture(params=BROKERS)
def settings(request, redis, redis_url) -> dict[str, str]:
    values = {"WARREN_REDIS_URL": redis_url, "WARREN_BROKER": request.param}
    if request.param == "rabbitmq":
        values["WARREN_AMQP_URL"] = request.getfixturevalue("rabbitmq")
    return values


@pytest.fixture
def chain(redis) -> TestChain:
    chain = TestChain(redis)
    chain.mine(ALICE)
    return chain


@pytest.fixture
def relay(redis, chain, settings) -> Iterator[None]:
    """The writer's outbox: relays committed events to the broker."""
    stop = ExitFlag()
    broker = connect(load(settings), "test")
    outbox = Outbox(redis, chain.keys, broker, stop)
    outbox.start()
    yield
    stop.set()
    outbox.join()
    broker.close()


@pytest.fixture
def explorers(chain, settings) -> Iterator[dict[int, subprocess.Popen]]:
    processes = {}
    with contextlib.ExitStack() as stack:
        for port in free_ports(2):
            environment = os.environ | settings | {"WARREN_EXPLORER_PORT": str(port)}
            process = subprocess.Popen(
                [sys.executable, "-m", "services.explorer"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
            )
            processes[port] = stack.enter_context(process)
            stack.callback(process.kill)
        for port in processes:
            wait_for(lambda port=port: get(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        yield processes
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        assert [process.wait(timeout=30) for process in processes.values()] == [0, 0]


def facts_heard(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return b'warren_explorer_facts_total{type="block.connected"}' in answer.read()


def test_both_tell_everything_and_a_client_may_change_between_them(chain, relay, explorers):
    ports = list(explorers)
    began = chain.view.tip().seq
    streams = [Stream(port, last_event_id=began) for port in ports]
    for _ in range(10):
        chain.mine(ALICE)
    for stream in streams:
        assert [stream.next().id for _ in range(10)] == list(range(began + 1, began + 11))
    wait_for(lambda: all(facts_heard(port) for port in ports))  # so the broker brings facts to each
    streams[0].close()
    for _ in range(5):
        chain.mine(ALICE)
    elsewhere = Stream(ports[1], last_event_id=streams[0].last_id)
    assert [elsewhere.next().id for _ in range(5)] == list(range(began + 11, began + 16))
    elsewhere.close()
    streams[1].close()


def test_a_process_with_fifty_open_streams_stops_in_order(chain, explorers):
    streams = [Stream(port) for port in explorers for _ in range(50)]
    for stream in streams:
        stream.next_block()
    for process in explorers.values():
        process.send_signal(signal.SIGTERM)
    assert [process.wait(timeout=10) for process in explorers.values()] == [0, 0]
    for stream in streams:
        with pytest.raises(EOFError):  # an end in order: no connection is reset
            stream.next()
        stream.close()
