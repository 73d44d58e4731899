"""kill -9 of any one service in the middle of the walk: nothing is lost, and the stack recovers by itself."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.client import HttpProblem, JsonClient
from deploy.stack import state as stack_state
from tests.e2e.conftest import COIN, Stack, StartStack, eventually

_MANY = 640
"""Blocks of a request that is under way for as long as it takes to kill a process: ten templates of 64 blocks."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crashes")


@pytest.fixture(scope="module")
def stack(start_stack: StartStack, folder: Path) -> Iterator[Stack]:
    with start_stack(folder, "--mempools", "2") as state:
        yield Stack(state)


def pid_of(folder: Path, name: str) -> int:
    state = stack_state.read(folder)
    assert state is not None
    return state.service(name).process.pid


def kill(folder: Path, name: str) -> int:
    pid = pid_of(folder, name)
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.fixture(autouse=True)
def _everything_answers(stack: Stack, folder: Path) -> None:
    """Each test begins with a whole stack."""
    state = stack_state.read(folder)
    assert state is not None
    for service in state.services:
        if service.ready_url:
            client = JsonClient(service.ready_url)
            eventually(lambda client=client: client.get(""), what=f"readiness of {service.name}")


def unlock(stack: Stack) -> JsonClient:
    """A client with the creator's wallet unlocked; its session outlives a killed wallet service or Redis."""
    client = JsonClient(stack.state.wallet_url)
    client.post("/api/wallets/creator/unlock", {"password": stack.creator_password})
    return client


@pytest.mark.parametrize("name", ["mempool", "mempool-2", "miner-1", "wallet", "explorer", "redis"])
def test_a_killed_service_comes_back_and_nothing_is_lost(stack: Stack, folder: Path, name: str) -> None:
    payee = f"payee_{name}"
    stack.wallet.post("/api/wallets", {"id": payee, "password": "correct horse"})
    address = stack.balance(payee)["address"]
    height = stack.height()
    client = unlock(stack)
    sent = [client.post("/api/wallets/creator/send", {"to": address, "amount": "1"})["txid"]]

    killed = kill(folder, name)

    def pay() -> bool:
        sent.append(client.post("/api/wallets/creator/send", {"to": address, "amount": "2"})["txid"])
        return True

    eventually(lambda: pid_of(folder, name) != killed, what="a restart")
    eventually(pay, what="a payment")
    eventually(lambda: stack.mine(address), what="a block")
    eventually(lambda: stack.height() > height, what="the explorer's answer")
    for txid in sent:
        assert stack.explorer.get(f"/api/tx/{txid}")["status"]["confirmed"], "an acknowledged payment is lost"
    eventually(lambda: stack.balance(payee)["confirmed"] >= 3 * COIN, what="the balance")


@pytest.mark.parametrize("name", ["mempool", "miner-1", "redis"])
def test_a_mining_request_survives_the_death_of_who_works_on_it(stack: Stack, folder: Path, name: str) -> None:
    address = stack.balance("creator")["address"]
    before = stack.height()
    outcome: list[object] = []

    def request() -> None:
        try:
            outcome.append(stack.mine(address, _MANY))
        except HttpProblem as problem:
            outcome.append(problem)

    thread = threading.Thread(target=request)
    thread.start()
    eventually(lambda: stack.height() >= before + 20, what="some blocks")
    killed = kill(folder, name)
    eventually(lambda: pid_of(folder, name) != killed, what="a restart")
    eventually(lambda: stack.height() >= before + _MANY, what="all the blocks")
    thread.join(90)
    assert not thread.is_alive()
    assert stack.height() == before + _MANY, "the request is mined once"
    if isinstance(outcome[0], list):
        assert len(outcome[0]) == _MANY
        assert outcome[0][-1] == stack.rpc("getbestblockhash")
    else:
        assert name in {"mempool", "redis"}, "only whoever carried the connection may have lost the answer"


def test_the_standby_takes_over_within_seconds(stack: Stack, folder: Path) -> None:
    """Both instances are stopped dead in turn, so one of them is the writer: the remaining instance goes on."""
    address = stack.balance("creator")["address"]
    for name in ("mempool", "mempool-2"):
        pid = pid_of(folder, name)
        os.kill(pid, signal.SIGSTOP)
        try:
            before = stack.height()
            request = threading.Thread(target=lambda: _mine_through(stack, folder, address))
            request.start()
            eventually(lambda height=before: stack.height() > height, 20, f"a block while {name} is stopped")
            request.join(60)
        finally:
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: stack.mine(address), what="a block when both are awake")


def _mine_through(stack: Stack, folder: Path, address: str) -> None:
    """Mine through the wallet: the instance behind the node's port may be stopped."""
    client = unlock(stack)
    client.post("/api/wallets/creator/mine", {"count": 1})
