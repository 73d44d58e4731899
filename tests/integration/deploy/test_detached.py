"""A stack in the background, through the command line: up --detach, status, down."""

import socket
import subprocess
import sys

import pytest

from deploy.launcher.plan import ROOT
from deploy.stack import state

pytestmark = [pytest.mark.redis, pytest.mark.stack]

FREE_PORTS = ("--wallet-port", "0", "--explorer-port", "0", "--rpc-port", "0")


@pytest.fixture
def warren(tmp_path):
    """Runs a command on a data directory of its own; no stack is left in the end."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "deploy.cli", *arguments, "--data-dir", str(tmp_path / "data")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    yield run
    run("down")


def test_a_detached_stack_runs_until_it_is_told_to_stop(warren, tmp_path):
    up = warren("up", "--detach", *FREE_PORTS)
    assert up.returncode == 0, up.stdout + up.stderr
    assert up.stdout.splitlines()[-1].startswith("ready in ")
    status = warren("status")
    assert status.returncode == 0, status.stdout
    services = state.read(tmp_path / "data").services
    assert {service.name for service in services} == {"wallet", "explorer", "miner-1", "mempool", "redis"}
    down = warren("down")
    assert (down.returncode, down.stdout) == (0, "stopped; chain, pool and wallets are kept\n")
    assert not any(service.process.is_alive() for service in services)
    assert warren("status").returncode == 1


def test_what_keeps_a_detached_stack_from_starting_is_told_at_once(warren, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        up = warren("up", "--detach", "--wallet-port", port, "--explorer-port", "0", "--rpc-port", "0")
    assert up.returncode == 1
    assert up.stderr == f"warren: port {port} (wallet) is in use; choose another with --wallet-port\n"
    assert up.stdout == ""
    assert not (tmp_path / "data").exists()


def test_what_ends_a_detached_start_is_told_as_an_error(warren, tmp_path):
    """It comes to light only in the background: a file stands where the server's directory should be."""
    (tmp_path / "data" / "regtest").mkdir(parents=True)
    (tmp_path / "data" / "regtest" / "redis").write_text("")
    up = warren("up", "--detach", *FREE_PORTS)
    assert up.returncode == 1
    assert up.stderr == f"warren: {tmp_path}/data/regtest/redis: File exists\n"
    assert "warren:" not in up.stdout
