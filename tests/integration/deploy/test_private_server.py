"""The private server as `up` runs it: each Redis and Valkey of this machine keeps all commits."""

import contextlib
import shutil
import subprocess
import sys

import pytest
import redis

from deploy.errors import LaunchError
from deploy.launcher import redis_server
from deploy.launcher.plan import ROOT
from deploy.processes import ports
from deploy.processes.process import wait_until
from shared.chain.store import check_server
from tests.servers import servers

pytestmark = pytest.mark.redis

PASSWORD = "not-a-secret-4711"
COMMIT = "redis.call('HSET', KEYS[1], 'height', ARGV[1]) redis.call('XADD', KEYS[2], '7-0', 'topic', 'block.connected')"
TIP, EVENTS = "{warren:regtest}:tip", "{warren:regtest}:events"


@contextlib.contextmanager
def running(binary, directory):
    """Run a server on a data directory, and crash it in the end."""
    port = ports.choose("127.0.0.1", {"redis": 0})["redis"]
    config = redis_server.prepare(directory, port, PASSWORD)
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [binary, config.name], cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        assert wait_until(lambda: redis_server.answers(port, PASSWORD), 20), (directory / "log").read_text()
        with redis.Redis(port=port, password=PASSWORD, decode_responses=True) as client:
            yield client
    finally:
        process.kill()
        process.wait(20)


@pytest.mark.parametrize("binary", servers().values(), ids=servers().keys())
def test_a_commit_is_there_after_a_crash(binary, tmp_path):
    with running(binary, tmp_path / "redis") as client:
        check_server(client)
        client.eval(COMMIT, 2, TIP, EVENTS, 111)
    with running(binary, tmp_path / "redis") as client:
        assert client.hget(TIP, "height") == "111"
        assert client.xrange(EVENTS) == [("7-0", {"topic": "block.connected"})]
    written = redis_server.written_by(tmp_path / "redis")
    assert written == redis_server.engine_of(binary)


@pytest.mark.parametrize("binary", servers().values(), ids=servers().keys())
def test_the_server_that_is_chosen_reads_what_any_other_wrote(binary, tmp_path):
    with running(binary, tmp_path / "redis") as client:
        client.eval(COMMIT, 2, TIP, EVENTS, 111)
    with running(redis_server.find_binary(tmp_path / "redis"), tmp_path / "redis") as client:
        assert client.hget(TIP, "height") == "111"


def test_data_of_valkey_are_not_given_to_redis(tmp_path, monkeypatch):
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no redis-server on PATH")
    with running(redis_server.find_binary(), tmp_path / "redis") as client:
        client.eval(COMMIT, 2, TIP, EVENTS, 111)
    monkeypatch.setattr(redis_server.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(redis_server.shutil, "which", {"redis-server": found}.get)
    with pytest.raises(LaunchError, match="does not read what Valkey"):
        redis_server.find_binary(tmp_path / "redis")


def test_up_refuses_a_server_that_is_not_fit_in_one_line_and_starts_nothing(tmp_path):
    with running(redis_server.find_binary(), tmp_path / "redis") as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        port = client.connection_pool.connection_kwargs["port"]
        url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
        command = [sys.executable, "-m", "deploy.cli", "up", "--data-dir", tmp_path / "data", "--redis-url", url]
        command += [f"--{name}-port=0" for name in ("wallet", "explorer", "rpc")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    problem = "this Redis may evict keys: maxmemory-policy is 'allkeys-lru', it must be noeviction"
    assert done.stderr == f"warren: --redis-url: the server at 127.0.0.1 port {port}: {problem}\n"
    assert not (tmp_path / "data").exists()
