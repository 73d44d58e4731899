"""The walk of `test_walk` on the deployed bus: RabbitMQ instead of Redis Streams, with a standby writer."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from deploy.demo.run import walk
from deploy.demo.target import StackTarget
from tests.e2e.conftest import Stack, StartStack, eventually


def test_the_demo_walks_on_rabbitmq_and_again_when_the_writer_is_killed(
    start_stack: StartStack, tmp_path: Path, rabbitmq: str
) -> None:
    arguments = ("--broker", "rabbitmq", "--amqp-url", rabbitmq, "--miners", "2", "--mempools", "2")
    with start_stack(tmp_path, *arguments) as state:
        stack = Stack(state)
        target = StackTarget(state.wallet_url, state.explorer_url, state.rpc_url, stack.creator_password)
        rows = dict(walk(target, lambda _: None))
        assert rows["paid"].endswith("to demo")
        funded = stack.explorer.post("/faucet", {"address": stack.explorer.get("/getnewaddress")["address"]})
        assert stack.explorer.get(f"/tx/{funded['txId']}/status")["confirmed"]
        height = stack.height()
        os.kill(state.service("mempool").process.pid, signal.SIGKILL)
        eventually(lambda: walk(target, lambda _: None), what="the walk with the standby")
        assert stack.height() > height
