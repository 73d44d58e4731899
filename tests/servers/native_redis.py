"""Redis and Valkey of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import redis

from deploy.launcher.redis_server import binaries, engine_of
from shared.chain.server_version import OLDEST
from shared.servers.open_redis import open_redis
from tests.servers.process import NativeServer, Process
from tests.servers.server import NoServer, free_port, wait_for

ENGINE = os.environ.get("WARREN_TEST_ENGINE", "")
if ENGINE not in ("", "redis", "valkey"):
    raise ValueError(f"WARREN_TEST_ENGINE is 'redis' or 'valkey', not {ENGINE!r}")
AOF = ("--save", "''", "--appendonly", "yes", "--appendfsync", "always")
"""Every write is on disk before it is confirmed."""


def redis_answers(url: str) -> bool:
    with contextlib.closing(open_redis(url, redis.Redis, socket_timeout=2)) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


class NativeRedis(NativeServer):
    """A Redis of this machine. `options` go to its command line; of `url`, `{port}` is replaced by its port."""

    def __init__(self, *options: str, url: str = "redis://127.0.0.1:{port}/0") -> None:
        self._binary = redis_binary(ENGINE)
        self._directory = Path(tempfile.mkdtemp(prefix="warren-redis-"))
        self.port = free_port()
        self.url = url.format(port=self.port)
        self._options = [option.format(port=self.port) for option in options or ("--port", "{port}")]

    def start(self) -> None:
        log = self._directory / "log"
        options = [*self._options, "--bind", "127.0.0.1", "--dir", str(self._directory), *AOF]
        command = [str(self._binary), *(option.strip("'") for option in options)]
        self._process = Process(command, log, self._directory)
        wait_for(redis_answers, self.url, 20, self._process.alive, log)

    def close(self) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGTERM)
        shutil.rmtree(self._directory, ignore_errors=True)


def servers() -> dict[str, Path]:
    """Return the servers of this machine that may hold a chain, by kind and version."""
    found = [(engine_of(binary), binary) for binary in binaries()]
    return {str(engine): binary for engine, binary in found if engine is not None and engine.version >= OLDEST}


def redis_binary(kind: str) -> Path:
    """Return the first server of a kind that this machine has; of any kind, a Redis before a Valkey."""
    for wanted in [kind] if kind else ["redis", "valkey"]:
        for name, binary in servers().items():
            if name.lower().startswith(wanted):
                return binary
    raise NoServer(f"install {kind or 'redis'}-server or Docker")
