"""A running stack is backed up, and comes back in another data directory: coins, pool, wallets and faucet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from deploy.launcher.plan import ROOT
from tests.e2e.conftest import Stack, StartStack, eventually


def warren(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "deploy.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=120, **options)


def wallet_of(stack: Stack, name: str) -> str:
    return str(stack.wallet.post("/api/wallets", {"id": name, "password": "a long password"})["address"])


def send(stack: Stack, address: str, amount: str) -> str:
    stack.wallet.post("/api/wallets/creator/unlock", {"password": stack.creator_password})
    return str(stack.wallet.post("/api/wallets/creator/send", {"to": address, "amount": amount})["txid"])


def test_a_used_stack_comes_back_elsewhere(start_stack: StartStack, tmp_path: Path) -> None:
    old, new, backup = tmp_path / "old", tmp_path / "new", tmp_path / "backup"
    with start_stack(old) as state:
        stack = Stack(state)
        address = wallet_of(stack, "alice")
        send(stack, address, "3")
        stack.mine(address)
        unmined = send(stack, address, "2")
        eventually(lambda: unmined in stack.explorer.get("/api/mempool/txids"), what="the payment in the pool")
        before = {name: Stack(state).balance(name) for name in ("alice", "creator")}
        height = stack.height()
        made = warren("backup", str(backup), "--data-dir", str(old))
        assert made.returncode == 0, made.stderr
        assert made.stdout.startswith(f"backed up in {backup}: chain regtest at height {height}, 1 tr".encode())
        refused = warren("restore", str(backup), "--data-dir", str(old))
        assert refused.returncode == 1
        assert b"a stack already runs on" in refused.stderr
        other = warren("backup", str(tmp_path / "other"), "--data-dir", str(old), "--chain", "signet")
        assert b"runs the chain regtest: --chain names another" in other.stderr
        stack.mine(address)  # after the backup
    stopped = warren("backup", "-", "--data-dir", str(old))
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stderr.startswith(f"backed up: chain regtest at height {height + 1}, 0 tr".encode())
    shutil.rmtree(old)

    done = warren("restore", "-", "--data-dir", str(new), input=stopped.stdout)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"restored: chain regtest at height {height + 1}, ".encode())
    again = warren("restore", str(backup), "--data-dir", str(new))
    assert again.returncode == 1
    assert b"--force removes it and its wallets" in again.stderr
    assert warren("restore", str(backup), "--data-dir", str(new), "--force").returncode == 0
    with start_stack(new) as state:
        stack = Stack(state)
        assert stack.height() == height
        assert {name: stack.balance(name) for name in ("alice", "creator")} == before
        assert stack.explorer.get("/api/mempool/txids") == [unmined]
        stack.mine(address)
        assert stack.explorer.get("/api/mempool/txids") == []
        send(stack, address, "1")
        stack.explorer.post("/faucet", {"address": address, "amount": 1})


def test_what_is_not_there_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    missing = warren("backup", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "none"))
    assert missing.returncode == 1
    assert missing.stderr == f"warren: there is no chain regtest in {tmp_path / 'none'}\n".encode()
    missing = warren("restore", str(tmp_path / "backup"), "--data-dir", str(tmp_path / "none"))
    assert missing.stderr == f"warren: {tmp_path / 'backup'}: No such file or directory\n".encode()
    assert list(tmp_path.iterdir()) == []
