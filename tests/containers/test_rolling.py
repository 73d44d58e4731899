"""compose.yaml with two of each service: upgrades, new passwords and an operator's changes, under load."""

from __future__ import annotations

import http.client
import json
from base64 import b64encode
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from tests.chaos.load.client import Client
from tests.containers.compose import DEPLOY, ComposeFailure, ComposeStack, mined, wait_until
from tests.containers.load import Load, lost

HTTP_SERVICES = ("mempool", "wallet", "explorer")
SERVERS = ("redis", "rabbitmq", "proxy")


@pytest.fixture(scope="module")
def stack() -> Iterator[ComposeStack]:
    stack = ComposeStack("rolling", MEMPOOLS="2", WALLETS="2", EXPLORERS="2", MINERS="2")
    try:
        stack.up("--build")
        wait_until(lambda: mined(stack).get("height", 0) >= 110, 120, "creator's first blocks")
        yield stack
    finally:
        stack.close()


def assert_all_is_there(stack: ComposeStack, load: Load) -> None:
    assert not load.refused, "\n".join([*load.refused, *stack.warnings("mempool", "wallet", "proxy")])
    assert load.answered > 1000
    assert len(load.payments) > 20
    assert lost(stack, load.payments) == []


def test_every_port_is_shared_by_all_instances_of_its_service(stack: ComposeStack) -> None:
    assert {service: len(ids) for service, ids in stack.containers(*HTTP_SERVICES, "miner").items()} == {
        "mempool": 2,
        "wallet": 2,
        "explorer": 2,
        "miner": 2,
    }
    assert all_ready(stack)
    with connect(stack.explorer_url.replace("http", "ws") + "/api/v1/ws") as socket:
        socket.send('{"action": "init"}')
        assert "blocks" in json.loads(socket.recv(timeout=10))
    stream = http.client.HTTPConnection(stack.explorer_url.removeprefix("http://"), timeout=20)
    stream.request("GET", "/events")
    assert stream.getresponse().readline() != b""
    stream.close()


def test_an_upgrade_refuses_no_request_and_touches_no_server(stack: ComposeStack) -> None:
    before = stack.containers(*SERVERS, *HTTP_SERVICES, "miner")
    stack.next_image()
    with Load(stack) as load:
        print(stack.run(str(DEPLOY / "rolling"), "upgrade"))
    assert_all_is_there(stack, load)
    after = stack.containers(*SERVERS, *HTTP_SERVICES, "miner")
    assert {service: after[service] for service in SERVERS} == {service: before[service] for service in SERVERS}
    for service in (*HTTP_SERVICES, "miner"):
        assert len(after[service]) == 2
        assert not set(after[service]) & set(before[service])
        image = stack.environment["SERVICE_IMAGE"] + ("-miner" if service == "miner" else "")
        assert {stack.inspect(container)["Config"]["Image"] for container in after[service]} == {image}


def test_new_passwords_refuse_no_request_and_the_former_ones_end(stack: ComposeStack) -> None:
    url = "/run/warren/explorer/redis-url"
    former = stack.exec("explorer", "cat", url)
    with Load(stack) as load:
        stack.run(str(DEPLOY / "rolling"), "new-passwords")
    assert_all_is_there(stack, load)
    assert stack.exec("explorer", "cat", url) != former
    ping = "import os, redis, sys; redis.Redis.from_url(sys.argv[1]).info('memory')"
    stack.exec("explorer", "python", "-c", ping, stack.exec("explorer", "cat", url))
    with pytest.raises(ComposeFailure, match="invalid username-password pair"):
        stack.exec("explorer", "python", "-c", ping, former)


def test_a_plain_up_with_a_new_image_replaces_no_server_and_keeps_what_the_operator_changed(
    stack: ComposeStack,
) -> None:
    held = '{"delivery-limit":20,"max-length":7777}'
    control = ("rabbitmqctl", "-q", "set_policy", "-p", "warren", "--apply-to", "queues", "--priority", "3")
    stack.exec("rabbitmq", *control, "transactions", r"^mempool\.txs$", held)
    stack.exec("rabbitmq", "rabbitmqctl", "-q", "clear_policy", "-p", "warren", "durable")
    before = stack.containers(*SERVERS)
    stack.next_image()
    stack.up()
    assert stack.containers(*SERVERS) == before
    policies = stack.exec("rabbitmq", "rabbitmqctl", "-q", "list_policies", "-p", "warren")
    (transactions,) = [line for line in policies.splitlines() if "\ttransactions\t" in line]
    assert '"max-length":7777' in transactions
    assert transactions.endswith("\t3")
    assert "\tdurable\t" in policies, "a policy that is missing is made again"
    stack.compose("restart", "rabbitmq")
    wait_until(lambda: all_ready(stack), 120, "all services ready after a restart of RabbitMQ")
    assert '"max-length":7777' in stack.exec("rabbitmq", "rabbitmqctl", "-q", "list_policies", "-p", "warren")


def all_ready(stack: ComposeStack) -> bool:
    return all(
        Client(url).get("/readyz").status == 200 for url in (stack.wallet_url, stack.explorer_url, stack.rpc_url)
    )


def test_while_no_instance_is_ready_each_answers_for_itself(stack: ComposeStack) -> None:
    stack.compose("stop", "redis")
    explorer = Client(stack.explorer_url)
    wait_until(lambda: explorer.get("/readyz").json.get("redis") is False, 60, "an answer that names Redis")
    assert explorer.get("/healthz").status == 200
    stack.compose("start", "redis")
    wait_until(lambda: all_ready(stack), 60, "all services ready with Redis")


def test_every_container_has_its_limits(stack: ComposeStack) -> None:
    for service, containers in stack.containers(*SERVERS, *HTTP_SERVICES, "miner").items():
        for container in containers:
            config = stack.inspect(container)["HostConfig"]
            assert config["Memory"] > 0, service
            assert config["LogConfig"]["Config"] == {"max-size": "20m", "max-file": "5"}, service
            assert config["ReadonlyRootfs"], service
            assert config["CapDrop"] == ["ALL"], service


def test_the_management_pages_are_published_when_asked_for_and_admit_the_operator_alone(stack: ComposeStack) -> None:
    def status(user: str, password: str) -> int:
        login = b64encode(f"{user}:{password}".encode()).decode()
        return Client(stack.management_url, {"Authorization": f"Basic {login}"}).get("/api/overview").status

    password = stack.exec("rabbitmq", "cat", "/run/warren/passwords/rabbitmq-operator", user="0:0")
    of_explorer = stack.exec("rabbitmq", "cat", "/run/warren/passwords/rabbitmq-explorer", user="0:0")
    assert status("operator", password) == 0, "nothing is published"
    stack.environment["COMPOSE_FILE"] += f":{DEPLOY / 'compose.management.yaml'}"
    stack.up()
    wait_until(lambda: status("operator", password) == 200, 60, "the management pages")
    assert status("explorer", of_explorer) == 401
    assert status("operator", of_explorer) == 401
