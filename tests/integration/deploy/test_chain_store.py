"""Which Redis a command works on, and when it must not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from deploy.errors import LaunchError
from deploy.launcher.chain_store import redis_url_of
from deploy.processes.process import Identity, identify
from deploy.stack import state
from shared.chain.store import connect

pytestmark = pytest.mark.redis


def write_state(data_dir, launcher: Identity, *services: Identity) -> None:
    data_dir.mkdir(exist_ok=True)
    found = tuple(state.ServiceState(name="redis", process=service) for service in services)
    urls = dict.fromkeys(("wallet_url", "explorer_url", "rpc_url", "creator_password_file", "cookie_file"), "")
    state.write(data_dir, state.StackState(launcher=launcher, chain="regtest", ready=True, services=found, **urls))


def test_no_second_server_is_started_on_the_data_of_one_that_still_runs(tmp_path):
    """A killed launcher's Redis takes a moment to stop: two servers would write into one file."""
    (tmp_path / "regtest" / "redis").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as left:
        gone = Identity(left.pid, "another start")
        write_state(tmp_path, gone, identify(left.pid))
        for writes in (False, True):
            with (
                pytest.raises(LaunchError, match="services of a killed launcher still run"),
                redis_url_of(tmp_path, "regtest", "", writes=writes),
            ):
                pass
        left.kill()
    assert left.returncode is not None
    with redis_url_of(tmp_path, "regtest", "") as url, connect(url) as client:
        assert client.ping()
        with pytest.raises(LaunchError, match="a stack already runs on"), redis_url_of(tmp_path, "regtest", ""):
            pass
        port = client.connection_pool.connection_kwargs["port"]
    with connect(f"redis://127.0.0.1:{port}/0") as client, pytest.raises(Exception, match="Redis is away"):
        client.ping()


def test_a_running_stacks_redis_is_used_for_reading_and_never_for_restoring(tmp_path):
    (tmp_path / "regtest" / "secrets").mkdir(parents=True)
    (tmp_path / "regtest" / "secrets" / "redis-url").write_text("redis://its-own\n")
    write_state(tmp_path, identify(os.getpid()))
    with state.exclusive(tmp_path):
        with redis_url_of(tmp_path, "regtest", "") as url:
            assert url == "redis://its-own"
        with redis_url_of(tmp_path, "regtest", "redis://named") as url:
            assert url == "redis://named"
        for named in ("", "redis://named"):
            with pytest.raises(LaunchError, match="a stack already runs on"):
                redis_url_of(tmp_path, "regtest", named, writes=True).__enter__()
        with pytest.raises(LaunchError, match="runs the chain regtest: --chain names another"):
            redis_url_of(tmp_path, "signet", "").__enter__()
