"""RabbitMQ's own plugin has the metrics that alerts and dashboard name; those of the chain are true."""

from __future__ import annotations

import contextlib
import re
import time
import urllib.request

import pika
import pytest

from services.mempool.chain_metrics import GAUGES, ChainCollector
from shared import metrics
from shared.chain.redis_keys import Keys
from shared.chain.store import connect
from shared.consensus.params import REGTEST
from tests.conftest import run_server
from tests.integration.mempool.conftest import Chain
from tests.servers import NativeRabbitMQ, free_port
from tests.unit.deploy.test_observe import OBSERVE, RABBITMQ

KEYS = Keys(REGTEST.name)


def values(client) -> dict[str, float]:
    return {family.name: family.samples[0].value for family in ChainCollector(client, KEYS).collect()}


@pytest.fixture(scope="module")
def rabbitmq_metrics():
    """The address of the metrics of a RabbitMQ with its plugin."""
    port = free_port()

    def make() -> NativeRabbitMQ:
        settings = "listeners.tcp.default = 127.0.0.1:{port}\nprometheus.tcp.ip = 127.0.0.1\n"
        server = NativeRabbitMQ(settings + f"prometheus.tcp.port = {port}")
        server.enable("rabbitmq_prometheus")
        return server

    for server in run_server(make):
        with contextlib.closing(pika.BlockingConnection(pika.URLParameters(server.url))) as connection:
            channel = connection.channel()
            channel.queue_declare("dead.mempool", durable=True, arguments={"x-queue-type": "quorum"})
            channel.confirm_delivery()
            channel.basic_publish("", "dead.mempool", b"{}")
        yield f"http://127.0.0.1:{port}"


def scrape(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


@pytest.mark.rabbitmq
def test_rabbitmq_shows_what_the_queries_name(rabbitmq_metrics):
    config = (OBSERVE / "prometheus.yaml").read_text()
    assert "metrics_path: /metrics/detailed" in config
    assert "family: [queue_coarse_metrics]" in config
    deadline = time.monotonic() + 30
    while True:
        text = scrape(f"{rabbitmq_metrics}/metrics")
        text += scrape(f"{rabbitmq_metrics}/metrics/detailed?family=queue_coarse_metrics&vhost=%2F")
        lengths = re.findall(r'^rabbitmq_detailed_queue_messages\{vhost="/",queue="dead.mempool"\} (\d+)', text, re.M)
        if lengths == ["1"]:  # the plugin looks at queues every few seconds
            break
        assert time.monotonic() < deadline, text[-3000:]
        time.sleep(0.1)
    for name in RABBITMQ:
        assert re.search(rf"^{name}[ {{]", text, re.M), f"RabbitMQ does not show {name}"


@pytest.mark.redis
def test_the_metrics_of_the_chain_are_those_of_redis(redis):
    assert values(redis)["warren_lease_held"] == 0
    assert "warren_chain_height" not in values(redis)
    chain = Chain(redis)
    commits = metrics.COMMIT_SECONDS._sum.get()
    chain.mine(2)
    assert metrics.COMMIT_SECONDS._sum.get() > commits
    found = values(redis)
    assert found.keys() == GAUGES.keys()
    assert found["warren_lease_held"] == found["warren_store_up"] == 1
    assert found["warren_chain_height"] == 2
    assert found["warren_outbox_waiting"] == chain.view.tip().seq == 2
    redis.set(KEYS.relayed, 1)
    assert values(redis)["warren_outbox_waiting"] == 1
    assert found["warren_store_used_bytes"] > 100_000
    redis.hset(KEYS.pool_stats, mapping={"count": 3, "vsize": 500, "fees": 70})
    found = values(redis)
    assert [found[f"warren_pool_{name}"] for name in ("transactions", "virtual_bytes", "fees_satoshis")] == [3, 500, 70]


def test_without_redis_there_is_only_that_it_is_away():
    with connect(f"redis://127.0.0.1:{free_port()}/0") as client:
        assert values(client) == {"warren_store_up": 0}
