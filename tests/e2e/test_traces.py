"""One grep follows a payment through the log files of four services, on both brokers."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from shared import trace
from tests.e2e.conftest import Stack, StartStack, eventually

SERVICES = ("wallet", "mempool", "miner", "explorer")


def post(url: str, body: object, traceparent: str = "") -> tuple[Any, str]:
    """Return the answer, and the traceparent that it names."""
    headers = {"Content-Type": "application/json"} | ({"traceparent": traceparent} if traceparent else {})
    with urlopen(Request(url, json.dumps(body).encode(), headers, method="POST"), timeout=60) as reply:
        return json.load(reply), reply.headers["traceresponse"]


def pay(stack: Stack, traceparent: str = "") -> tuple[str, str]:
    """Let the creator pay itself; return the txid, and the traceparent that the answer names."""
    to = stack.balance("creator")["address"]
    body = {"to": to, "amount": "1", "password": stack.creator_password}
    sent, answered = post(f"{stack.state.wallet_url}/api/wallets/creator/send", body, traceparent)
    return str(sent["txid"]), answered


def mine(stack: Stack, traceparent: str) -> str:
    address = stack.balance("creator")["address"]
    mined, _ = post(f"{stack.state.rpc_url}/mine?blocks=1&address={address}", None, traceparent)
    return str(mined["blocks"][0])


def lines(stack: Stack, traceparent: str) -> dict[str, list[str]]:
    """Return the log lines of each service that a grep for the trace id finds."""
    found: dict[str, list[str]] = {service: [] for service in SERVICES}
    for service in stack.state.services:
        kind = service.name.split("-")[0]
        for line in Path(service.log).read_text(encoding="utf-8").splitlines():
            if f"trace={trace.trace_id(traceparent)}" in line:
                found[kind].append(line)
    return found


def sampled() -> str:
    return f"00-{uuid.uuid4().hex}-{'a' * 16}-01"


def test_one_grep_follows_a_payment_through_four_services(stack: Stack) -> None:
    follow(stack)


@pytest.mark.rabbitmq
def test_one_grep_follows_a_payment_on_rabbitmq_too(start_stack: StartStack, tmp_path: Path, rabbitmq: str) -> None:
    with start_stack(tmp_path, "--broker", "rabbitmq", "--amqp-url", rabbitmq) as state:
        follow(Stack(state))


def follow(stack: Stack) -> None:
    """Pay and mine with one traceparent, as one client does, and find both in the log of every service."""
    given = sampled()
    txid, answered = pay(stack, given)
    assert answered == given
    block_hash = mine(stack, given)
    for service, text, subject in (
        ("wallet", "payment accepted", txid),
        ("mempool", "transaction accepted", txid),
        ("mempool", "blocks requested", "count=1"),
        ("miner", "block found", block_hash),
        ("mempool", "block connected", block_hash),
        ("explorer", "heard tx.accepted", txid),
        ("explorer", "heard block.connected", block_hash),
        ("wallet", "payment confirmed", txid),
    ):
        eventually(
            lambda service=service, text=text, subject=subject: any(
                text in line and subject in line for line in lines(stack, given)[service]
            ),
            20,
            f"{text!r} of {subject} in the log of the {service}",
        )


def test_a_payment_that_others_mine_is_still_found_by_its_own_trace(stack: Stack) -> None:
    mined_by = sampled()
    txid, answered = pay(stack)  # without a traceparent: the service begins one, and names it
    assert trace.parse(answered) == answered
    assert answered.endswith("-00")
    block_hash = mine(stack, mined_by)
    eventually(lambda: "payment confirmed" in str(lines(stack, answered)["wallet"]), 20, "the confirmation")
    payment, mining = lines(stack, answered), lines(stack, mined_by)
    assert all(txid in line for line in payment["wallet"])
    assert "payment accepted" in payment["wallet"][0]
    assert payment["mempool"] == payment["explorer"] == []  # a line for each transaction is for sampled traces alone
    assert any(block_hash in line for line in mining["miner"])
    assert any(block_hash in line for line in mining["mempool"])
