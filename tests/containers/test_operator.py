"""The commands of an operator in the containers of compose.yaml, as docs/operations.md has them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.load.client import Client
from tests.containers.compose import ComposeStack, mined, wait_until

OPERATOR = ("docker", "compose", "run", "--rm", "-T", "operator")
BURY = """
import pika, sys
connection = pika.BlockingConnection(pika.URLParameters(open("/run/warren/explorer/amqp-url").read().strip()))
channel = connection.channel()
channel.confirm_delivery()
properties = pika.BasicProperties(type="tx.submitted", message_id="from-a-test", delivery_mode=2)
channel.basic_publish("from.explorer", "tx.submitted", b"no message", properties, mandatory=True)
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[ComposeStack]:
    stack = ComposeStack("operator")
    try:
        stack.up("--build")
        wait_until(lambda: mined(stack).get("height", 0) >= 110, 120, "creator's first blocks")
        yield stack
    finally:
        stack.close()


def operator(stack: ComposeStack, *arguments: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [*OPERATOR, *arguments], env=stack.environment, input=given, capture_output=True, timeout=300, check=False
    )
    return done.returncode, done.stdout, done.stderr


def mine(stack: ComposeStack, payee: Mapping[str, Any]) -> None:
    """Mine a block; on a busy machine the answer may come later than a client waits."""
    height = mined(stack)["height"]
    stack.node().post_json("/", {"id": 1, "method": "generatetoaddress", "params": [1, payee["address"]]})
    wait_until(lambda: mined(stack).get("height", 0) > height, 60, "another block")


def test_a_backup_is_taken_from_the_running_stack_and_restored_into_a_new_one(
    stack: ComposeStack, tmp_path: Path
) -> None:
    creator = mined(stack)
    password = stack.creator()
    status, backup, said = operator(stack, "backup", "-")
    assert status == 0, said
    assert f"backed up: chain regtest at height {creator['height']}".encode() in said
    mine(stack, creator)
    status, _, said = operator(stack, "restore", "-", "--force", given=backup)
    assert status == 1
    assert b"a mempool service writes to this chain: stop all services first" in said

    stack.compose("stop", "mempool", "wallet", "explorer", "miner")
    stack.compose("run", "--rm", "-T", "--entrypoint", "rm", "operator", "/data/regtest/creator-password")
    status, _, said = operator(stack, "restore", "-", given=backup)
    assert status == 1
    assert b"--force removes it and its wallets" in said
    status, done, said = operator(stack, "restore", "-", "--force", given=backup)
    assert status == 0, said
    assert f"restored: chain regtest at height {creator['height']}".encode() in done
    stack.up()
    wait_until(lambda: mined(stack).get("height") == creator["height"], 60, "the height of the backup")
    assert mined(stack)["balance"] == creator["balance"]
    assert stack.creator() == password
    client = Client(stack.wallet_url)
    assert client.post_json("/api/wallets/creator/unlock", {"password": password}).status == 200
    mine(stack, creator)


def test_dead_letters_are_listed_and_removed_by_the_operators_user(stack: ComposeStack) -> None:
    stack.exec("explorer", "python", "-c", BURY)

    def letters() -> list[dict]:
        status, out, said = operator(stack, "dead", "list", "--json")
        assert status == 0, said
        return json.loads(out)

    wait_until(lambda: bool(letters()), 60, "the dead letter")
    [letter] = letters()
    assert (letter["service"], letter["queue"], letter["message_id"]) == ("mempool", "mempool.txs", "from-a-test")
    assert letter["body"] == "no message"
    assert operator(stack, "dead", "replay", letter["id"])[0] == 0
    wait_until(lambda: bool(letters()), 60, "it comes again, for it is no better")
    assert operator(stack, "dead", "purge", "--all")[:2] == (0, b"removed: 1 message\n")
    assert letters() == []


def test_prometheus_can_ask_every_service_and_rabbitmq(stack: ComposeStack) -> None:
    for host, metric in (
        ("mempool:18443/metrics", "warren_lease_held 1.0"),
        ("wallet:8080/metrics", "warren_ready"),
        ("explorer:3000/metrics", "warren_explorer_facts_total"),
        ("miner:9100/metrics", "warren_miner_hashes_total"),
        ("rabbitmq:15692/metrics", "rabbitmq_alarms_memory_used_watermark 0"),
        ("rabbitmq:15692/metrics/detailed?family=queue_coarse_metrics&vhost=warren", 'queue="dead.mempool"} 0'),
    ):
        code = f"import urllib.request as r; print(r.urlopen('http://{host}', timeout=20).read().decode())"
        assert metric in stack.exec("mempool", "python", "-c", code)
