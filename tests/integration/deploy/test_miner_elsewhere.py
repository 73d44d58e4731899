"""`./warren miner` with a user of RabbitMQ who may do nothing but mine, on a RabbitMQ as deployed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.processes.process import wait_until
from deploy.setup import topology
from deploy.setup.access import RIGHTS, TOPOLOGY, VHOST, guest_definitions, rabbitmq_definitions
from deploy.setup.environment import ROOT
from shared.bus import events
from shared.bus.broker import Broker, Consumer
from shared.bus.events import BlockMined, MinerReport
from shared.bus.open_broker import connect
from shared.bus.topics import MEMPOOL_BLOCKS, Topic, transient_queue
from shared.config import Settings
from tests.conftest import run_server
from tests.integration.deploy.rabbitmq_users import PASSWORDS, RIG, User
from tests.servers import rabbitmq_server
from tests.unit.miner.test_job import template

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(240)]

PATIENCE = 60.0


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    """Host and port of a RabbitMQ with the users of compose.yaml and a miner elsewhere."""
    for server in run_server(rabbitmq_server):
        server.define(json.dumps(rabbitmq_definitions(PASSWORDS)))
        server.define(json.dumps(guest_definitions(RIG, PASSWORDS[RIG], RIGHTS["miner"])))
        port = urlsplit(server.url).port
        assert port is not None
        assert wait_until(lambda port=port: may_log_in(port), PATIENCE)
        topology.make(f"amqp://{TOPOLOGY}:{PASSWORDS[TOPOLOGY]}@127.0.0.1:{port}/{VHOST}")
        yield f"127.0.0.1:{port}"


def may_log_in(port: int) -> bool:
    import pika.exceptions

    try:
        for name in ("mempool", RIG, TOPOLOGY):
            User(name, port).connection.close()
    except pika.exceptions.AMQPError:
        return False
    return True


@pytest.fixture
def broker(place: str) -> Iterator[Broker]:
    url = f"amqp://mempool:{PASSWORDS['mempool']}@{place}/{VHOST}"
    broker = connect(Settings(broker="rabbitmq", amqp_url=url), "mempool")
    yield broker
    broker.close()


def received(consumer: Consumer, kind: type, until: int, offer: object = None) -> dict[str, list[events.Message]]:
    """Take messages of a kind until so many miners have sent one; return them by miner."""
    found: dict[str, list[events.Message]] = {}
    deadline = time.monotonic() + PATIENCE
    while len(found) < until:
        assert time.monotonic() < deadline, found
        if callable(offer):
            offer()
        for delivery in consumer.receive(10, 0.3):
            message = events.decode(delivery.type, delivery.body)
            consumer.ack([delivery])
            if isinstance(message, kind):
                found.setdefault(getattr(message, "miner", "") or getattr(message, "name", ""), []).append(message)
    return found


def test_workers_mine_with_the_brokers_address_alone(place: str, broker: Broker, tmp_path: Path) -> None:
    blocks = broker.consumer([MEMPOOL_BLOCKS])
    reports = broker.consumer([transient_queue("mempool", Topic.MINER_REPORT)])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    environment["WARREN_AMQP_URL_FILE"] = str(tmp_path / "url")
    (tmp_path / "url").write_text(f"amqp://{RIG}:{PASSWORDS[RIG]}@{place}/{VHOST}\n")
    command = [sys.executable, "-m", "deploy.cli", "miner", "--threads", "2", "--name", "rig"]
    command += ["--data-dir", str(tmp_path), "--kernel", "auto" if sys.platform == "linux" else "hashlib"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            work = template()
            claims = received(blocks, BlockMined, 2, lambda: broker.publish(work))
            assert claims.keys() == {"rig-1", "rig-2"}
            seen = received(reports, MinerReport, 2)
            assert seen.keys() == {"rig-1", "rig-2"}
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
    assert process.returncode == 0, output
    host, _, port = place.partition(":")
    assert f"2 workers for {host} port {port}; logs: {tmp_path / 'miner' / 'logs'}" in output
    assert "stopped; " in output
    assert PASSWORDS[RIG] not in output
    for name in ("rig-1", "rig-2"):
        log = (tmp_path / "miner" / "logs" / f"{name}.log").read_text()
        assert "block found" in log
        assert PASSWORDS[RIG] not in log


def test_a_wrong_password_is_told_and_tried_again(place: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.cli", "miner", "--kernel", "hashlib", "--data-dir", str(tmp_path)]
    command += ["--amqp-url", f"amqp://{RIG}:wrong-secret@{place}/{VHOST}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "refused" in line or "no connection" in line:
                process.send_signal(signal.SIGTERM)
                break
        rest, _ = process.communicate(timeout=PATIENCE)
    output = "".join(lines) + rest
    assert "refused" in output or "no connection to RabbitMQ" in output
    assert "wrong-secret" not in output
