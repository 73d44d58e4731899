"""compose.cluster.yaml: one container after another is lost under load, and nothing acknowledged goes with it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.containers.compose import ComposeStack, mined, wait_until
from tests.containers.load import Load, lost
from tests.containers.test_rolling import all_ready

SOON = 120
"""Seconds for payments to go on: far above what it takes, on a machine that has other things to do."""


@pytest.fixture(scope="module")
def stack() -> Iterator[ComposeStack]:
    network = f"10.{215 + os.getpid() // 256 % 16}.{os.getpid() % 256}"  # outside of the networks that Docker gives
    stack = ComposeStack("cluster", files=("compose.yaml", "compose.cluster.yaml"), CLUSTER_NETWORK=network)
    try:
        stack.up("--build")
        wait_until(lambda: mined(stack).get("height", 0) >= 110, 120, "creator's first blocks")
        yield stack
    finally:
        stack.close()


def list_queues(stack: ComposeStack, *columns: str) -> list[dict[str, Any]]:
    """Return name and columns of each queue, as a node says that runs."""
    command = ("rabbitmqctl", "-q", "--formatter", "json", "list_queues", "-p", "warren", "name", *columns)
    listed: list[dict[str, Any]] = json.loads(stack.exec("rabbitmq-2", *command))
    return listed


def test_every_durable_queue_has_a_member_on_each_node(stack: ComposeStack) -> None:
    queues = {queue["name"]: queue for queue in list_queues(stack, "type", "members") if queue["type"] == "quorum"}
    assert {"mempool.txs", "mempool.blocks", "wallet.inbox", "dead.mempool"} <= queues.keys()
    assert {len(queue["members"]) for queue in queues.values()} == {3}


def primary(stack: ComposeStack) -> str:
    """Return the service that the Sentinels call the primary."""
    ask = "REDISCLI_AUTH=$(cat /run/warren/passwords/sentinel-sentinel.servers) redis-cli -p 26379 --user sentinel"
    answer = stack.exec(
        "sentinel-1", "sh", "-c", f"{ask} sentinel get-master-addr-by-name primary 2>/dev/null", user="0:0"
    )
    return {"11": "redis", "12": "redis-2", "13": "redis-3"}[answer.split()[0].rpartition(".")[2]]


def queue_leader(stack: ComposeStack) -> str:
    """Return the service with the node that leads the queue of transactions."""
    (leader,) = [queue["leader"] for queue in list_queues(stack, "leader") if queue["name"] == "mempool.txs"]
    return str(leader).removeprefix("rabbit@")


def assert_payments_go_on(load: Load, fault: str) -> None:
    began, before = time.monotonic(), len(load.payments)
    wait_until(lambda: len(load.payments) > before + 2, SOON, f"payments after {fault}")
    print(f"{fault}: payments went on after {time.monotonic() - began:.1f} s")


def test_nothing_acknowledged_is_lost_with_any_container(stack: ComposeStack) -> None:
    with Load(stack) as load:
        assert_payments_go_on(load, "nothing")
        was = primary(stack)
        for service in (was, queue_leader(stack), "sentinel-2"):
            stack.compose("kill", service)
            assert_payments_go_on(load, f"the loss of {service}")
            if service == was:
                wait_until(lambda: primary(stack) != was, SOON, "another primary")
            stack.compose("start", service)
            wait_until(lambda: all_ready(stack), SOON, f"all services ready with {service} again")
        for service in ("mempool", "mempool", "wallet", "explorer"):
            (first, *_) = stack.containers(service)[service]
            stack.run("docker", "kill", first)
            assert_payments_go_on(load, f"the loss of a {service}")
            stack.run("docker", "start", first)
            wait_until(lambda: all_ready(stack), SOON, f"all services ready with the {service} again")
    print(f"{load.answered} answers, {len(load.refused)} refused, {len(load.payments)} payments")
    assert lost(stack, load.payments) == []
    assert len(set(load.payments)) == len(load.payments)


def test_a_cluster_comes_up_again_as_it_was(stack: ComposeStack) -> None:
    height, was = mined(stack)["height"], primary(stack)
    stack.compose("down", "--timeout", "30")
    stack.up()
    wait_until(lambda: all_ready(stack), SOON, "all services ready")
    assert mined(stack)["height"] == height
    assert primary(stack) == was
    with Load(stack) as load:
        assert_payments_go_on(load, "a restart of everything")
