"""The walk of the classroom project through the public HTTP interfaces, and the state that a restart must keep."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.demo.client import HttpProblem, JsonClient
from deploy.demo.run import walk
from deploy.demo.target import StackTarget
from shared.primitives.hex import display_hash
from tests.e2e.conftest import COIN, Stack, StartStack, eventually


def target(stack: Stack) -> StackTarget:
    state = stack.state
    return StackTarget(state.wallet_url, state.explorer_url, state.rpc_url, stack.creator_password)


def test_the_creator_has_mature_rewards_at_the_first_start(stack: Stack) -> None:
    assert stack.height() >= 110
    creator = stack.balance("creator")
    assert creator["balance"] >= 110 * 50 * COIN
    assert creator["balance"] - creator["immature"] >= 10 * 50 * COIN


def test_the_demo_pays_a_wallet_of_its_own_that_the_creators_password_opens(stack: Stack) -> None:
    stack.wallet.post("/api/wallets", {"id": "demo", "password": "somebody else's"})
    said: list[str] = []
    rows = dict(walk(target(stack), said.append))
    assert rows["paid"] == "50 BTC from creator to demo-2"
    assert any("mined block" in line for line in said)
    assert stack.creator_password not in "".join((*said, *rows.values()))
    stack.wallet.post("/api/wallets/demo-2/unlock", {"password": stack.creator_password})
    assert stack.balance("demo")["balance"] == 0
    with pytest.raises(HttpProblem, match="404"):
        stack.balance("wallet_1")  # README and walkthrough have it made by hand


def test_the_demo_can_be_repeated_with_the_same_wallet(stack: Stack) -> None:
    before = stack.balance("demo-2")["balance"]
    rows = dict(walk(target(stack), lambda _: None))
    assert rows["paid"] == "50 BTC from creator to demo-2"
    assert stack.balance("demo-2")["balance"] == before + 50 * COIN


def test_each_block_is_found_by_one_of_the_miners_and_names_it(stack: Stack) -> None:
    address = stack.balance("creator")["address"]
    hashes = stack.mine(address, 30)
    names = set()
    for block_hash in hashes:
        coinbase = bytes.fromhex(stack.rpc("getblock", block_hash, 2)["tx"][0]["vin"][0]["coinbase"])
        found = re.search(rb"/(miner-\d)/", coinbase)
        assert found, coinbase
        names.add(found[1])
    assert names <= {b"miner-1", b"miner-2", b"miner-3"}
    log = Path(stack.state.service("mempool").log).read_text(encoding="utf-8")
    assert "miner=miner-" in log


def test_cores_engine_accepts_every_block_that_the_stack_produced(stack: Stack, tmp_path: Path) -> None:
    from tests.kernel import KernelChain  # this test alone is skipped where the engine is not to be had

    kernel = KernelChain(tmp_path)
    height = stack.height()
    for number in range(1, height + 1):
        assert kernel.accepts(stack.block(number))
    assert [display_hash(block_hash) for block_hash in kernel.hashes][-1] == stack.rpc("getbestblockhash")
    assert len(kernel.hashes) == height + 1


def test_an_answer_to_a_mining_request_can_be_read_at_once_everywhere(stack: Stack) -> None:
    address = stack.balance("creator")["address"]
    for _ in range(10):
        before = stack.height()
        (block_hash,) = stack.mine(address)
        assert stack.height() == before + 1
        assert stack.rpc("getbestblockhash") == block_hash
        assert stack.explorer.get(f"/api/block/{block_hash}")["height"] == before + 1


def test_mining_and_paying_at_the_same_time_never_forks_or_loses_a_payment(stack: Stack) -> None:
    stack.wallet.post("/api/wallets", {"id": "busy", "password": "correct horse"})
    address = stack.balance("busy")["address"]
    creator = stack.balance("creator")["address"]
    stack.mine(creator, 5)
    before = stack.height()

    def mine(_: int) -> int:
        return len(JsonClient(stack.state.rpc_url).post(f"/mine?blocks=3&address={creator}", None)["blocks"])

    def pay(_: int) -> str:
        client = JsonClient(stack.state.wallet_url)
        client.post("/api/wallets/creator/unlock", {"password": stack.creator_password})
        return str(client.post("/api/wallets/creator/send", {"to": address, "amount": "1"})["txid"])

    with ThreadPoolExecutor(8) as pool:
        mined = [pool.submit(mine, n) for n in range(4)]
        paid = [pool.submit(pay, n) for n in range(6)]
        assert sum(future.result() for future in mined) == 12
        txids = {future.result() for future in paid}
    assert stack.height() == before + 12
    stack.mine(creator)
    assert len(txids) == 6
    assert all(stack.explorer.get(f"/api/tx/{txid}")["status"]["confirmed"] for txid in txids)
    assert stack.balance("busy")["confirmed"] == 6 * COIN


def test_a_refused_payment_says_why_and_changes_nothing(stack: Stack) -> None:
    stack.wallet.post("/api/wallets/creator/unlock", {"password": stack.creator_password})
    before = stack.balance("creator")
    for body in (
        {"to": before["address"], "amount": "1000000"},
        {"to": before["address"], "amount": "0"},
        {"to": before["address"], "amount": "-1"},
        {"to": "", "amount": "1"},
        {"to": "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "amount": "1"},
    ):
        with pytest.raises(HttpProblem) as problem:
            stack.wallet.post("/api/wallets/creator/send", body)
        assert 400 <= problem.value.status < 500, body
    after = stack.balance("creator")
    assert {**after, "unlocked_seconds": 0} == {**before, "unlocked_seconds": 0}


def test_no_secret_is_in_a_log_or_in_the_arguments_of_a_process(stack: Stack) -> None:
    secrets = [stack.creator_password, Path(stack.state.cookie_file).read_text(encoding="utf-8").split(":")[1]]
    chain_dir = Path(stack.state.creator_password_file).parent
    secrets += [file.read_text(encoding="utf-8").strip() for file in chain_dir.glob("secrets/*")]
    logs = [path.read_text(encoding="utf-8", errors="replace") for path in chain_dir.glob("logs/*")]
    arguments = [
        path.read_bytes().decode("utf-8", "replace") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    ]
    assert logs
    for secret in secrets:
        assert len(secret) >= 8
        assert not any(secret in text for text in (*logs, *arguments))


def test_chain_pool_and_wallets_survive_a_restart(start_stack: StartStack, tmp_path: Path) -> None:
    with start_stack(tmp_path) as state:
        first = Stack(state)
        first.wallet.post("/api/wallets", {"id": "alice", "password": "correct horse"})
        address = first.balance("alice")["address"]
        first.wallet.post("/api/wallets/creator/unlock", {"password": first.creator_password})
        paid = first.wallet.post("/api/wallets/creator/send", {"to": address, "amount": "50"})
        height, creator = first.height(), first.balance("creator")
    began = time.monotonic()
    with start_stack(tmp_path) as state:
        print(f"restarted in {time.monotonic() - began:.1f} s")
        again = Stack(state)
        assert again.height() == height, "no second set of first blocks"
        assert again.balance("alice")["unconfirmed"] == 50 * COIN
        left = again.balance("creator")
        assert {k: left[k] for k in ("balance", "unconfirmed", "address")} == {
            k: creator[k] for k in ("balance", "unconfirmed", "address")
        }
        again.mine(address)
        assert again.explorer.get(f"/api/tx/{paid['txid']}")["status"]["confirmed"]
        eventually(lambda: again.balance("alice")["confirmed"] >= 50 * COIN, 5)
        with pytest.raises(HttpProblem, match="403"):
            again.wallet.post("/api/wallets/alice/unlock", {"password": "wrong horse"})
        again.wallet.post("/api/wallets/alice/unlock", {"password": "correct horse"})
