"""The explorer as a process of its own: it starts, serves, receives facts, and stops on a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_py

import services.explorer.__main__ as service
from shared.bus.events import TxRemoved
from shared.bus.open_broker import connect
from shared.config import load
from shared.process.shutdown import ExitFlag
from tests.builders import key
from tests.integration.explorer.chain import TestChain
from tests.servers import free_port
from tests.unit.bus.fake_broker import FakeBroker

ROOT = Path(__file__).parents[3]
DEADLINE = 30.0


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


@pytest.fixture
def environment(redis_url: str) -> dict[str, str]:
    return {"WARREN_REDIS_URL": redis_url, "WARREN_EXPLORER_PORT": str(free_port())}


@pytest.fixture
def process(redis: redis_py.Redis, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    TestChain(redis).mine(key("alice"))
    with subprocess.Popen(
        [sys.executable, "-m", "services.explorer"],
        cwd=ROOT,
        env=os.environ | environment,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield process
        process.kill()


def test_it_serves_hears_facts_and_stops_in_order(process, environment):
    base = f"http://127.0.0.1:{environment['WARREN_EXPLORER_PORT']}"
    wait_for(lambda: get(f"{base}/readyz")[0] == 200)
    assert get(f"{base}/blocks/tip/height") == (200, "1")
    broker = connect(load(environment), "test")
    try:
        seqs = iter(range(1, 1_000_000))

        def heard() -> bool:
            # The service may subscribe after a fact was published: another one always follows.
            broker.publish(TxRemoved(seq=next(seqs), txid="ab" * 32, why="mined"))
            return 'warren_explorer_facts_total{type="tx.removed"}' in get(f"{base}/metrics")[1]

        wait_for(heard)
    finally:
        broker.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=DEADLINE) == 0


def test_a_wrong_setting_is_named_and_nothing_starts():
    result = subprocess.run(
        [sys.executable, "-m", "services.explorer"],
        cwd=ROOT,
        env=os.environ | {"WARREN_EXPLORER_PROT": "1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert result.returncode == 2
    assert "WARREN_EXPLORER_PROT" in result.stderr
    assert "Traceback" not in result.stderr


def test_it_serves_while_the_broker_keeps_it_waiting(redis, environment, monkeypatch):
    TestChain(redis).mine(key("alice"))
    asked, release, flag = threading.Event(), threading.Event(), ExitFlag()

    class SlowBroker(FakeBroker):
        def consumer(self, queues, prefetch=1000):
            asked.set()
            assert release.wait(DEADLINE)
            return super().consumer(queues, prefetch)

    monkeypatch.setattr(service, "connect", lambda settings, name: SlowBroker())
    settings = load(environment)
    thread = threading.Thread(target=service.run, args=(settings, flag))
    thread.start()
    try:
        assert asked.wait(DEADLINE)
        assert get(f"http://127.0.0.1:{settings.explorer_port}/blocks/tip/height") == (200, "1")
    finally:
        release.set()
        flag.set()
        thread.join(DEADLINE)
