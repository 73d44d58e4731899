"""The wallet service as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from services.wallet.bootstrap import Bootstrap, password_file
from shared.bus.broker import Broker
from shared.bus.events import AddressRequested, CoinsRequested, Message, MineRequested, TxSubmitted
from shared.bus.open_broker import connect
from shared.bus.topics import MEMPOOL_BLOCKS, MEMPOOL_TXS
from shared.bus.worker import Handler, Worker, each
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.errors import Unroutable
from shared.process.shutdown import ExitFlag
from tests.builders import key, p2wpkh
from tests.integration.wallet.conftest import COIN, PASSWORD, Stack

ROOT = Path(__file__).parents[3]
DEADLINE = 30.0
BLOCKS = REGTEST.coinbase_maturity + 1
ALICE = p2wpkh(key("alice"))


def start(tmp_path: Path, **settings: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    environment |= {"WARREN_WALLET_PORT": "0", "WARREN_DATA_DIR": str(tmp_path), "WARREN_LOG_FORMAT": "json"} | settings
    command = [sys.executable, "-m", "services.wallet"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


@contextmanager
def running(tmp_path: Path, redis_url: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process and its URL."""
    process = start(tmp_path, WARREN_REDIS_URL=redis_url, WARREN_CREATOR_BLOCKS="0", **settings)
    assert process.stderr
    try:
        for line in process.stderr:
            entry = json.loads(line)
            if entry["message"] == "listening":
                yield process, f"http://127.0.0.1:{entry['port']}"
                break
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)


@pytest.fixture
def service(stack: Stack, redis_url: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with running(tmp_path, redis_url) as found:
        yield found


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=DEADLINE) as response:
            return response.status == 200
    except urllib.error.HTTPError as error:
        error.close()
        return False


def test_it_becomes_ready_and_stops_in_order(service: tuple[subprocess.Popen[str], str]) -> None:
    process, url = service
    deadline = time.monotonic() + DEADLINE
    while not ready(url):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    body = json.dumps({"id": "w", "password": "pw"}).encode()
    request = urllib.request.Request(f"{url}/api/wallets", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=DEADLINE) as response:
        assert response.status == 201
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert json.loads(rest.splitlines()[-1])["message"] == "stopped"


def test_a_session_is_known_to_every_process_and_outlives_them(stack: Stack, redis_url: str, tmp_path: Path) -> None:
    """The cookie's name is that of the address behind which a proxy has them all, whatever their ports are."""
    address = stack.create("w")
    cookies = requests.Session()

    def states(urls: list[str]) -> list[tuple[bool, bool]]:
        """For each process: whether it says that the wallet is unlocked, and takes a payment without a password."""
        found = []
        for url in urls:
            info = cookies.get(f"{url}/api/wallets/w", timeout=DEADLINE).json()
            sent = cookies.post(f"{url}/api/wallets/w/send", json={"to": address, "amount": "1"}, timeout=DEADLINE)
            assert sent.status_code in (401, 422), sent.text  # it has no coins
            found.append((info["unlocked"], sent.status_code != 401))
        return found

    with running(tmp_path, redis_url) as (_, first):
        with running(tmp_path, redis_url) as (_, second):
            assert states([first, second]) == [(False, False)] * 2
            unlocked = cookies.post(f"{first}/api/wallets/w/unlock", json={"password": PASSWORD}, timeout=DEADLINE)
            assert unlocked.status_code == 200
            assert states([first, second]) == [(True, True)] * 2
        with running(tmp_path, redis_url) as (_, second):
            assert states([second]) == [(True, True)]
            cookies.post(f"{second}/api/wallets/w/lock", json={}, timeout=DEADLINE)
            assert states([first, second]) == [(False, False)] * 2


def test_a_wrong_setting_ends_it_with_a_clear_message(tmp_path: Path) -> None:
    process = start(tmp_path, WARREN_CHAIN="nowhere")
    _, text = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2
    assert text.startswith("wallet: chain 'nowhere' is neither")
    assert "Traceback" not in text


@pytest.mark.parametrize("backend", ["embedded", "rabbitmq"])
def test_requests_to_the_faucet_that_wait_for_blocks_hold_up_no_other(
    stack: Stack, redis_url: str, tmp_path: Path, backend: str, request: pytest.FixtureRequest
) -> None:
    """Blocks may take a minute and more, or their answer may be lost."""
    settings = Settings(data_dir=tmp_path, redis_url=redis_url, broker=backend)
    if backend == "rabbitmq":
        settings = replace(settings, amqp_url=request.getfixturevalue("rabbitmq"))
    Bootstrap(stack.new_service(), stack.view, password_file(settings, REGTEST), BLOCKS, ExitFlag()).run()
    mature = (BLOCKS - REGTEST.coinbase_maturity + 1) * 50 * COIN
    mining: list[MineRequested] = []
    with (
        mempool(settings, {TxSubmitted: each(stack.submit), MineRequested: each(mining.append)}),
        closing(connect(settings, "explorer")) as asking,
        running(tmp_path, redis_url, WARREN_BROKER=backend, WARREN_AMQP_URL=settings.amqp_url),
    ):
        until(lambda: _has_address(asking))
        for _ in range(3):
            asking.publish(CoinsRequested(script_pubkey=ALICE.hex(), amount=mature + COIN))
        until(lambda: mining)
        paid = asking.request(CoinsRequested(script_pubkey=ALICE.hex(), amount=COIN), DEADLINE)
        assert paid.txid, paid
        assert _has_address(asking)
        assert len(mining) == 1, "the others wait for the blocks of the first"


def _has_address(asking: Broker) -> bool:
    with suppress(Unroutable):
        return bool(asking.request(AddressRequested(fresh=False), DEADLINE).address)
    return False


@contextmanager
def mempool(settings: Settings, handlers: dict[type[Message], Handler[Any]]) -> Iterator[None]:
    """Answers what is asked of the mempool service."""
    stop = ExitFlag()
    with closing(connect(settings, "mempool")) as broker, ThreadPoolExecutor(1) as pool:
        worker = Worker(broker, broker.consumer([MEMPOOL_BLOCKS, MEMPOOL_TXS]), handlers, name="mempool", stop=stop)
        done = pool.submit(worker.run)
        try:
            yield
        finally:
            stop.set()
            done.result()


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_may_evict_is_refused(stack: Stack, redis_url: str, tmp_path: Path) -> None:
    stack.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        process = start(tmp_path, WARREN_REDIS_URL=redis_url, WARREN_CREATOR_BLOCKS="0")
        _, text = process.communicate(timeout=DEADLINE)
    finally:
        stack.client.config_set("maxmemory-policy", "noeviction")
    assert process.returncode == 1
    assert "may evict keys" in text
