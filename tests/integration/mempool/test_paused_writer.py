"""A writer's process that is stopped where it is (SIGSTOP), and a standby: what the writer holds comes free in time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis as redis_py

from shared.bus.broker import Broker
from shared.bus.events import TemplateRequested, TxSubmitted, TxVerdicts, WorkTemplate
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.chain.lease import TIME_LIMIT
from shared.chain.redis_keys import Keys
from shared.consensus.params import REGTEST
from tests.chaos.stack.proxy import Proxy
from tests.servers import free_port

KEYS = Keys(REGTEST.name)
REQUESTS = 1_000
DEADLINE = 4 * TIME_LIMIT
"""Seconds until everything is answered. It takes 6, and took 55 on RabbitMQ while consumers had the usual heartbeat."""


class Mempool:
    """A mempool process with its log."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        folder.mkdir()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
        environment |= settings | {"WARREN_DATA_DIR": str(folder), "WARREN_RPC_PORT": str(free_port())}
        self._log = folder / "log"
        with self._log.open("wb") as out:
            command = [sys.executable, "-m", "services.mempool"]
            self.process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)

    def wait_for(self, words: str) -> None:
        """Wait until it has logged these words."""
        deadline = time.monotonic() + 60
        while words not in self._log.read_text():
            assert time.monotonic() < deadline, f"never said {words!r}:\n{self._log.read_text()}"
            time.sleep(0.02)

    def close(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, dict[str, str]], Mempool]]:
    """Start a mempool process, by a name of its own."""
    with contextlib.ExitStack() as stack:

        def start_one(name: str, settings: dict[str, str]) -> Mempool:
            mempool = Mempool(tmp_path / name, settings)
            stack.callback(mempool.close)
            return mempool

        yield start_one


@pytest.fixture(params=["rabbitmq", "embedded"])
def bus(request: pytest.FixtureRequest, redis_url: str) -> Iterator[tuple[Broker, dict[str, str]]]:
    """The test's broker, and the settings of a service that uses the same."""
    settings = {"WARREN_REDIS_URL": redis_url, "WARREN_BROKER": request.param}
    if request.param == "rabbitmq":
        settings["WARREN_AMQP_URL"] = request.getfixturevalue("rabbitmq")
        broker: Broker = RabbitBroker(settings["WARREN_AMQP_URL"])
    else:
        broker = RedisStreamsBroker(redis_url, prefix=f"warren-bus:{REGTEST.name}")
    with contextlib.closing(broker):
        yield broker, settings


def test_everything_that_a_paused_writer_holds_is_answered_by_the_next(
    redis: redis_py.Redis, bus: tuple[Broker, dict[str, str]], start: Callable[[str, dict[str, str]], Mempool]
) -> None:
    """RabbitMQ goes on to deliver to the paused process; on Redis it holds what it had just taken."""
    broker, settings = bus
    writer = start("writer", settings)
    writer.wait_for("chain loaded")
    start("standby", settings).wait_for("standing by")
    assert len(broker.request_many(_requests(1), timeout=30)) == 1
    with ThreadPoolExecutor() as threads:
        asked = [threads.submit(broker.request_many, _requests(REQUESTS), 5 * DEADLINE)]
        began = time.monotonic()
        writer.process.send_signal(signal.SIGSTOP)
        asked += [threads.submit(broker.request_many, _requests(count), 5 * DEADLINE) for count in (1, REQUESTS)]
        waits = []
        for each in asked[1], asked[2], asked[0]:
            assert all(isinstance(reply, TxVerdicts) for reply in each.result())
            waits.append(time.monotonic() - began)
    print(f"{settings['WARREN_BROKER']}: one answer after {waits[0]:.1f} s, the last of all after {waits[-1]:.1f} s")
    assert redis.get(KEYS.writer_epoch) == b"2", "the standby took over"
    assert waits[-1] < DEADLINE


def _requests(count: int) -> list[TxSubmitted]:
    return [TxSubmitted(txs=(f"{number:08x}",)) for number in range(count)]


def test_a_writer_that_is_cut_off_from_redis_leaves_its_messages_to_the_next(
    redis: redis_py.Redis, rabbitmq: str, redis_url: str, start: Callable[[str, dict[str, str]], Mempool]
) -> None:
    """It lives, and RabbitMQ hears from it: it must know by itself that its lease has run out."""
    port = urlsplit(redis_url).port
    assert port is not None
    proxy = Proxy(free_port(), lambda: port)
    proxy.start()
    settings = {"WARREN_REDIS_URL": redis_url, "WARREN_BROKER": "rabbitmq", "WARREN_AMQP_URL": rabbitmq}
    with contextlib.closing(proxy), contextlib.closing(RabbitBroker(rabbitmq)) as broker:
        writer = start("writer", settings | {"WARREN_REDIS_URL": redis_url.replace(f":{port}/", f":{proxy.port}/")})
        writer.wait_for("chain loaded")
        start("standby", settings).wait_for("standing by")
        proxy.cut()
        began = time.monotonic()
        replies = broker.request_many([TemplateRequested()] * 100, timeout=5 * DEADLINE)  # which read Redis
        print(f"cut off: the last answer after {time.monotonic() - began:.1f} s")
        assert all(isinstance(reply, WorkTemplate) for reply in replies)
        assert redis.get(KEYS.writer_epoch) == b"2", "the standby took over"
        assert time.monotonic() - began < DEADLINE
        writer.wait_for("the lease has run out")
        proxy.mend()
        writer.wait_for("standing by")
