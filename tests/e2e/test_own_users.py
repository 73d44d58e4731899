"""The whole stack with the users and rights of compose.yaml: it works, nobody is refused, and it mends its topology."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pika
import pytest

from deploy.demo.run import walk
from deploy.demo.target import StackTarget
from deploy.setup import access
from deploy.stack import healthcheck
from deploy.stack.control import running
from shared.bus.rabbit.topology import EXCHANGES, QUEUES
from tests.conftest import run_server
from tests.e2e.conftest import Stack, eventually
from tests.e2e.own_users import password_of
from tests.integration.deploy.deployed_redis import DeployedRedis
from tests.servers import rabbitmq_server, redis_binary

pytestmark = [pytest.mark.rabbitmq, pytest.mark.redis]

GUEST = "a-shop"
REFUSALS = re.compile(r"ACCESS_REFUSED|NOPERM|[Nn]o permission")


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """Host, port and virtual host of a RabbitMQ with all users, and a guest."""
    passwords = {user: password_of(user) for user in (*access.RIGHTS, access.OPERATOR, access.TOPOLOGY)}
    for server in run_server(rabbitmq_server):
        server.define(json.dumps(access.rabbitmq_definitions(passwords)))
        server.define(json.dumps(access.guest_definitions(GUEST, password_of(GUEST))))
        place = f"127.0.0.1:{urlsplit(server.url).port}/{access.VHOST}"
        eventually(lambda place=place: connect(place, GUEST).close() or True, what="the users are there")
        yield place


@pytest.fixture(scope="module")
def own_users(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    store = DeployedRedis(redis_binary(""), tmp_path_factory.mktemp("redis"))
    amqp_url = f"amqp://topology:{password_of('topology')}@{broker}"
    redis_url = f"redis://mempool:{password_of('mempool')}@127.0.0.1:{store.port}/0"
    arguments = ("--broker", "rabbitmq", "--amqp-url", amqp_url, "--redis-url", redis_url, "--mempools", "2")
    try:
        folder = tmp_path_factory.mktemp("stack")
        with running(folder, *arguments, program="tests.e2e.own_users") as state:
            yield Stack(state)
    finally:
        store.stop()


def connect(place: str, user: str) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(f"amqp://{user}:{password_of(user)}@{place}"))


def walked(stack: Stack) -> dict[str, str]:
    state = stack.state
    target = StackTarget(state.wallet_url, state.explorer_url, state.rpc_url, stack.creator_password)
    return dict(walk(target, lambda _: None))


def test_everything_works_and_nobody_is_refused_anything(own_users: Stack, broker: str) -> None:
    with contextlib.closing(connect(broker, GUEST)) as guest:
        channel = guest.channel()
        queue = f"{GUEST}.{uuid.uuid4().hex}"
        channel.queue_declare(queue, exclusive=True)
        for topic in ("block.connected", "tx.accepted"):
            channel.queue_bind(queue, "warren.events", topic)
        assert walked(own_users)["paid"].endswith("to demo")
        funded = own_users.explorer.post("/faucet", {"address": own_users.explorer.get("/getnewaddress")["address"]})
        assert own_users.explorer.get(f"/tx/{funded['txId']}/status")["confirmed"]
        heard = set()
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            heard.add(got[1].type)
        assert heard == {"block.connected", "tx.accepted"}
    assert refusals(own_users) == []


def refusals(stack: Stack) -> list[str]:
    logs = [Path(service.log).read_text(encoding="utf-8") for service in stack.state.services]
    return [line for log in logs for line in log.splitlines() if REFUSALS.search(line)]


def test_a_loss_of_the_topology_is_seen_at_every_readyz_and_mended_without_a_restart(
    own_users: Stack, broker: str
) -> None:
    keeper = own_users.state.service("topology").process.pid
    os.kill(keeper, signal.SIGSTOP)
    try:
        with contextlib.closing(connect(broker, access.OPERATOR)) as operator:
            for queue in QUEUES:
                operator.channel().queue_delete(queue.name)
            for exchange in EXCHANGES:
                operator.channel().exchange_delete(exchange)
        eventually(lambda: all(health.status == 503 for health in healths(own_users)), what="all services see it")
        assert all("broker" in healthcheck.missing(health) for health in healths(own_users))
    finally:
        os.kill(keeper, signal.SIGCONT)
    eventually(lambda: all(health.status == 200 for health in healths(own_users)), 15, "the topology is there again")
    assert walked(own_users)["paid"].endswith("to demo")
    assert refusals(own_users) == []


def healths(stack: Stack) -> list[healthcheck.Health]:
    return [healthcheck.get(service.ready_url) for service in stack.state.services if service.ready_url]
