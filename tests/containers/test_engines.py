"""The engines that compose.yaml may have, and the way from one to the next with a chain in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.load.client import Client
from tests.containers.compose import ComposeFailure, ComposeStack, call, mined, wait_until

ENGINES = [("redis:7", "rabbitmq:3-management"), ("valkey/valkey:8", "rabbitmq:4-management")]
SUCCESSORS = [("redis:7", "redis:8"), ("redis:7", "valkey/valkey:8")]


def pay_and_mine(stack: ComposeStack) -> str:
    """Return the txid of a payment that is in a block now."""
    wallet = Client(stack.wallet_url)
    payee = wallet.get("/api/wallets/creator").json["address"]
    reply = wallet.post_json("/api/wallets/creator/send", {"to": payee, "amount": "1", "password": stack.creator()})
    assert reply.status == 200, reply
    call(stack.node(), "generatetoaddress", 1, payee)
    return str(reply.json["txid"])


def started(stack: ComposeStack) -> ComposeStack:
    """Start with one of each service; return when `creator` has its first blocks."""
    stack.up("--build")
    wait_until(lambda: mined(stack).get("height", 0) >= 110, 120, "creator's first blocks")
    return stack


def transaction(stack: ComposeStack, txid: str) -> Any:
    return Client(stack.explorer_url).get(f"/tx/{txid}").json


@pytest.mark.parametrize(("redis", "rabbitmq"), ENGINES)
def test_other_engines_run_by_a_variable(redis: str, rabbitmq: str) -> None:
    stack = ComposeStack("engines", REDIS_IMAGE=redis, RABBITMQ_IMAGE=rabbitmq)
    try:
        txid = pay_and_mine(started(stack))
        assert transaction(stack, txid)["status"]["confirmed"]
    finally:
        stack.close()


@pytest.mark.parametrize(("before", "after"), SUCCESSORS)
def test_a_newer_redis_reads_the_chain_of_an_older_one(before: str, after: str) -> None:
    stack = ComposeStack("successor", REDIS_IMAGE=before)
    try:
        txid = pay_and_mine(started(stack))
        height, seen = mined(stack)["height"], transaction(stack, txid)
        stack.environment["REDIS_IMAGE"] = after
        stack.up()
        wait_until(lambda: mined(stack).get("height") == height, 60, "the same height")
        assert transaction(stack, txid) == seen
        pay_and_mine(stack)
    finally:
        stack.close()


def test_a_newer_rabbitmq_refuses_the_volume_of_one_too_old_and_starts_with_an_empty_one() -> None:
    """The stand-in for 3.13 where no registry is reached may be older: docs/deployment.md has the way for both."""
    stack = ComposeStack("broker", RABBITMQ_IMAGE="rabbitmq:3-management")
    try:
        txid = pay_and_mine(started(stack))
        version = stack.exec("rabbitmq", "rabbitmqctl", "-q", "version")
        if version >= "3.13":
            stack.exec("rabbitmq", "rabbitmqctl", "-q", "enable_feature_flag", "all")
        height = mined(stack)["height"]
        stack.environment["RABBITMQ_IMAGE"] = "rabbitmq:4-management"
        if version < "3.13":
            with pytest.raises(ComposeFailure, match="rabbitmq-1"):
                stack.up()
            stack.compose("down", "--timeout", "10")
            stack.run("docker", "volume", "rm", f"{stack.name}_rabbitmq-data")
        stack.up()
        wait_until(lambda: mined(stack).get("height") == height, 60, "the same height")
        assert transaction(stack, txid)["status"]["confirmed"]
        pay_and_mine(stack)
    finally:
        stack.close()
