"""The miner as a process: receives work, publishes solutions, on both backends; it stops on a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from shared.bus import events
from shared.bus.broker import Broker, Consumer, Delivery
from shared.bus.events import BlockMined, BlockTemplate
from shared.bus.open_broker import connect
from shared.bus.topics import MEMPOOL_BLOCKS
from shared.config import Settings
from shared.consensus.pow import bits_to_target
from shared.primitives.block import BlockHeader
from tests.servers import free_port
from tests.unit.miner.test_job import template

PATIENCE = 30.0
BACKENDS = [
    pytest.param("embedded", marks=pytest.mark.redis),
    pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
]


@pytest.fixture(params=BACKENDS)
def settings(request: pytest.FixtureRequest) -> Settings:
    if request.param == "rabbitmq":
        return Settings(broker="rabbitmq", amqp_url=request.getfixturevalue("rabbitmq") + "?heartbeat=1")
    request.getfixturevalue("redis")
    return Settings(redis_url=request.getfixturevalue("redis_url"))


@pytest.fixture
def broker(settings: Settings) -> Iterator[Broker]:
    broker = connect(settings, "mempool")
    yield broker
    broker.close()


@contextmanager
def miner(settings: Settings, name: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ,
        "WARREN_BROKER": settings.broker,
        "WARREN_REDIS_URL": settings.redis_url,
        "WARREN_AMQP_URL": settings.amqp_url,
        "WARREN_MINER_NAME": name,
        "WARREN_METRICS_PORT": str(settings.metrics_port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.miner"], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def claims(broker: Broker, consumer: Consumer, work: BlockTemplate, count: int) -> list[tuple[Delivery, BlockMined]]:
    """Offer a template again and again, as the mempool service does, until `count` miners have answered it."""
    taken: list[tuple[Delivery, BlockMined]] = []
    deadline = time.monotonic() + PATIENCE
    while len({claim.miner for _, claim in taken}) < count:
        assert time.monotonic() < deadline, f"claims of {[claim.miner for _, claim in taken]}"
        broker.publish(work)
        for delivery in consumer.receive(10, 0.3):
            message = events.decode(delivery.type, delivery.body)
            assert isinstance(message, BlockMined)
            taken.append((delivery, message))
            consumer.ack([delivery])
    return [(delivery, claim) for delivery, claim in taken if claim.template_id == work.id]


def test_every_miner_answers_a_template_with_a_block_of_its_own(settings: Settings, broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_BLOCKS])
    with ExitStack() as stack:
        for name in ("rig-1", "rig-2", "rig-3"):
            stack.enter_context(miner(settings, name))
        answers = claims(broker, consumer, template(), 3)
    assert len({claim.coinbase for _, claim in answers}) == len(answers)
    for delivery, claim in answers:
        header = BlockHeader.parse(bytes.fromhex(claim.header or ""))
        assert int.from_bytes(header.hash, "little") <= bits_to_target(0x207FFFFF)
        assert f"/{claim.miner}/".encode() in bytes.fromhex(claim.coinbase or "")
        assert delivery.reply_address is None


def test_a_busy_miner_keeps_its_connection_takes_newer_work_and_stops_when_told(
    settings: Settings, broker: Broker
) -> None:
    """The first template is far too hard; with RabbitMQ a heartbeat is due every second."""
    consumer = broker.consumer([MEMPOOL_BLOCKS])
    with miner(settings, "rig-1") as process:
        assert len(claims(broker, consumer, template(), 1)) >= 1
        broker.publish(template(id="hard", height=6, bits=0x1B00FFFF))
        assert [d for d in consumer.receive(1, 5.0) if b'"hard"' in d.body] == []
        answers = claims(broker, consumer, template(id="easy", height=7), 1)
        assert answers[0][1].template_id == "easy"
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "block found miner=rig-1 height=7" in log
    assert "lost" not in log


def test_a_malformed_setting_stops_the_miner_with_a_message() -> None:
    environment = {**os.environ, "WARREN_MINER_NAME": "a name that is too long"}
    done = subprocess.run(
        [sys.executable, "-m", "services.miner"], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 2
    assert "WARREN_MINER_NAME" in done.stderr


@pytest.mark.redis
def test_a_miner_shows_its_metrics_on_a_port_of_its_own(redis: object, redis_url: str) -> None:
    settings = Settings(redis_url=redis_url, metrics_port=free_port())
    with miner(settings, "seen") as process:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{settings.metrics_port}/metrics", timeout=5) as answer:
                    text = answer.read().decode()
                break
            except OSError:
                assert time.monotonic() < deadline
                assert process.poll() is None
        assert "warren_miner_hashes_total 0.0" in text
        with miner(settings, "second") as second:
            assert second.wait(PATIENCE) == 2
            assert second.stderr is not None
            assert f"cannot listen on 127.0.0.1 port {settings.metrics_port}" in second.stderr.read()
