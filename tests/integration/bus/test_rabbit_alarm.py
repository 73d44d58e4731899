"""RabbitMQ low on memory or disk takes no messages: whoever sends is told so at once, and /readyz says why."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from deploy.setup import topology
from shared.bus.events import MineRequested
from shared.bus.rabbit.broker import RabbitBroker
from shared.config import Settings
from shared.errors import BrokerUnavailable
from shared.web.app import create_app
from tests.conftest import run_server
from tests.integration.bus.helpers import PATIENCE, mine, until
from tests.servers import NativeRabbitMQ

pytestmark = pytest.mark.rabbitmq

SOON = 5.0
"""Seconds within which a client is told to come again."""
ALARMS = {
    "low on memory": (("set_vm_memory_high_watermark", "0.000001"), ("set_vm_memory_high_watermark", "0.4")),
    "low on disk": (("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "50MB")),
}


@pytest.fixture(scope="module")
def server() -> Iterator[NativeRabbitMQ]:
    for server in run_server(NativeRabbitMQ):
        assert isinstance(server, NativeRabbitMQ)
        topology.make(server.url)
        yield server


@pytest.mark.parametrize("alarm", ALARMS)
def test_a_broker_that_takes_no_messages_is_told_soon_with_the_reason_and_used_again(
    server: NativeRabbitMQ, alarm: str
) -> None:
    with contextlib.closing(RabbitBroker(server.url)) as broker:
        app = create_app("tests.alarm", Settings(), "regtest", {"broker": broker.trouble}, 1_000)
        app.add_url_rule("/mine", "mine", lambda: str(broker.request(mine(1), PATIENCE)))
        client = app.test_client()
        broker.publish(mine(1))
        until(lambda: client.get("/readyz").status_code == 200, "ready")
        begin, end = ALARMS[alarm]
        server.control(*begin)
        try:
            for _ in range(2):  # RabbitMQ tells a connection of the alarm when it publishes for the first time
                began = time.monotonic()
                answer = client.get("/mine")
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
                assert time.monotonic() - began < SOON
            answer = client.get("/readyz")
            assert answer.status_code == 503
            assert answer.get_json()["reasons"] == {"broker": f"RabbitMQ takes no messages: {alarm}"}
            with pytest.raises(BrokerUnavailable, match=alarm):
                broker.publish(MineRequested(count=1, script_pubkey="51"))
        finally:
            server.control(*end)
        until(lambda: client.get("/readyz").status_code == 200, "ready again")
        broker.publish(mine(2))
