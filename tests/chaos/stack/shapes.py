"""The shapes of a stack: how each is started and stopped, and where faults find its processes and servers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit, urlunsplit

import pika
import redis

from deploy.errors import LaunchError
from deploy.processes.process import end_all, spawn, wait_until
from deploy.setup.environment import ROOT
from deploy.stack import healthcheck, state
from deploy.stack.control import STOP_SECONDS
from shared.bus.redis_streams.consumer import StreamKeys
from shared.bus.topics import MEMPOOL_TXS, SERVICES, dead_letter_queue
from shared.consensus.params import REGTEST
from tests.chaos.stack.proxy import Proxy
from tests.clusters import RabbitCluster, RedisCluster
from tests.servers import NativeRabbitMQ, NativeServer, free_port, redis_server

READY_SECONDS = 120.0
_EPOCH = re.compile(rb"chain loaded.*\bepoch=(\d+)")


class Stack:
    """Two mempools, two miners, wallet and explorer on the embedded bus, with the launcher's own Redis."""

    name = "embedded"
    settings: ClassVar[Mapping[str, str]] = {}
    """Of the services, beside those that `./warren up` has options for."""

    def __init__(self, folder: Path) -> None:
        """Everything is kept in `folder`, which exists."""
        self.data_dir = folder / "data"
        self.temporary = folder / "tmp"
        self.store_proxy = Proxy(free_port(), self._store_port)
        self._output = folder / "launcher.log"
        self._launcher: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start everything and return when it is ready; `LaunchError` if it does not become so."""
        self.temporary.mkdir()
        self.store_proxy.start()
        ports = ("--wallet-port", "0", "--explorer-port", "0", "--rpc-port", "0")
        up = ("up", "--data-dir", str(self.data_dir), *ports, "--mempools", "2", "--miners", "2", *self._options())
        by_proxy = (str(self.temporary), str(self._proxied_port()))
        command = (sys.executable, "-m", "tests.chaos.stack.launcher", *by_proxy, *up)
        self._launcher = launcher = spawn(
            command, cwd=ROOT, environment=_environment() | self.settings, log=self._output
        )
        wait_until(lambda: launcher.poll() is not None or self.is_started(), READY_SECONDS)
        if launcher.poll() is not None or not self.is_started():
            raise LaunchError(f"the stack did not start:\n{self._output.read_text(encoding='utf-8')}")

    def down(self) -> str:
        """Run `./warren down`, and end what it left; returns its complaint, empty if there is none."""
        if self._launcher is None:
            return ""
        command = [ROOT / "warren", "down", "--data-dir", self.data_dir]
        done = subprocess.run(
            command, env=_environment(), capture_output=True, text=True, check=False, timeout=2 * STOP_SECONDS
        )
        complaint = done.stderr.strip() if done.returncode else ""
        try:
            self._launcher.wait(5.0)
        except subprocess.TimeoutExpired:
            complaint = complaint or "the launcher still runs"
            end_all([self._launcher], STOP_SECONDS, lambda: False)
        return complaint

    def close(self) -> None:
        """Stop what the stack was given to run on; after `down`."""
        self.store_proxy.close()

    def is_started(self) -> bool:
        found = state.read(self.data_dir)
        return found is not None and found.ready

    @property
    def state(self) -> state.StackState:
        """What runs now. `LaunchError` if nothing does."""
        found = state.read(self.data_dir)
        if found is None:
            raise LaunchError("the launcher says that no stack runs")
        return found

    def not_ready(self) -> list[str]:
        """Return the services that do not say that they are ready, each with what it lacks."""
        found = []
        for service in self.state.services:
            if not service.process.is_alive():
                found.append(f"{service.name}: not running")
            elif service.ready_url:
                health = healthcheck.get(service.ready_url)
                if health.status != 200:
                    found.append(f"{service.name}: {health.status} {health.body.decode('utf-8', 'replace')}")
        return found

    def service_of(self, role: str) -> state.ServiceState:
        """Return the process that a fault is meant for. Writer is the mempool that last took the lease."""
        names = {"miner": "miner-1", "wallet": "wallet", "explorer": "explorer"}
        if role in names:
            return self.state.service(names[role])
        mempools = [service for service in self.state.services if service.name.startswith("mempool")]
        by_epoch = sorted(mempools, key=lambda service: _last_epoch(Path(service.log)))
        return by_epoch[-1] if role == "writer" else by_epoch[0]

    @property
    def store_url(self) -> str:
        """The store's, without a proxy."""
        return (self.data_dir / REGTEST.name / "secrets" / "redis-url").read_text(encoding="utf-8").strip()

    def store(self) -> redis.Redis:
        """Return a client of the store that does not wait long."""
        return redis.Redis.from_url(self.store_url, socket_timeout=5, socket_connect_timeout=5)

    def store_pid(self) -> int:
        with contextlib.closing(self.store()) as client:
            return int(client.info("server")["process_id"])

    def kill_store(self) -> None:
        os.kill(self.store_pid(), signal.SIGKILL)

    def revive_store(self) -> None:
        """Start it again, where the launcher does not."""

    def dead_letters(self) -> list[str]:
        """Return what the dead-letter queue says of each of its messages."""
        keys = StreamKeys(f"warren-bus:{REGTEST.name}")
        with contextlib.closing(self.store()) as client:
            entries = [entry for service in SERVICES for entry in client.xrange(keys.dead_letters(service))]
        return [
            " ".join(fields.get(name, b"").decode() for name in (b"t", b"queue", b"reason")) for _, fields in entries
        ]

    def _options(self) -> list[str]:
        return []

    def _proxied_port(self) -> int:
        """Return the proxy's port if the launcher's own server is behind it, else 0."""
        return self.store_proxy.port

    def _store_port(self) -> int:
        port = urlsplit(self.store_url).port
        assert port is not None
        return port


class RabbitStack(Stack):
    """The same on RabbitMQ and a Redis that are not the launcher's, each behind a proxy."""

    name = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._redis = redis_server()
        self.broker = NativeRabbitMQ()
        broker_port = urlsplit(self.broker.url).port
        assert broker_port is not None
        self.broker_proxy = Proxy(free_port(), lambda: broker_port)

    def start(self) -> None:
        self._redis.start()
        self.broker.start()
        self.broker_proxy.start()
        super().start()

    def close(self) -> None:
        super().close()
        self.broker_proxy.close()
        self.broker.close()
        self._redis.close()

    @property
    def store_url(self) -> str:
        return self._redis.url

    def kill_store(self) -> None:
        self._redis.kill()

    def revive_store(self) -> None:
        self._redis.start()

    def dead_letters(self) -> list[str]:
        return _dead_letters(self.broker.url)

    def _options(self) -> list[str]:
        amqp_url = _with_port(self.broker.url, self.broker_proxy.port)
        redis_url = _with_port(self._redis.url, self.store_proxy.port)
        return ["--broker", "rabbitmq", "--amqp-url", amqp_url, "--redis-url", redis_url]

    def _proxied_port(self) -> int:
        return 0


class ClusterStack(Stack):
    """The same on three nodes of RabbitMQ and on a Redis primary with two replicas and three Sentinels."""

    name = "cluster"
    settings: ClassVar[Mapping[str, str]] = {"WARREN_REDIS_REPLICAS": "1"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._redis = RedisCluster(proxied=True)
        self._rabbitmq = RabbitCluster(proxied=True)

    def start(self) -> None:
        self._redis.start()
        self._rabbitmq.start()
        super().start()

    def close(self) -> None:
        super().close()
        self._rabbitmq.close()
        self._redis.close()

    @property
    def store_url(self) -> str:
        return self._redis.primary().url

    def member(self, role: str) -> tuple[NativeServer, Proxy | None]:
        """Return the server that a fault is meant for, and the proxy before it: the primary, the leader of the queue
        of transactions, or another one of their kind.
        """
        if role == "sentinel":
            return self._redis.sentinels[0], None
        if role in ("primary", "replica"):
            node = self._redis.primary() if role == "primary" else self._redis.replicas()[0]
            return node, self._redis.proxies[node]
        leader = self._rabbitmq.leader(MEMPOOL_TXS.name)
        broker = leader if role == "leader" else next(each for each in self._rabbitmq.nodes if each is not leader)
        return broker, self._rabbitmq.proxies[broker]

    def dead_letters(self) -> list[str]:
        return _dead_letters(self._rabbitmq.nodes[0].url)

    def _options(self) -> list[str]:
        return ["--broker", "rabbitmq", "--amqp-url", self._rabbitmq.url, "--redis-url", self._redis.url]

    def _proxied_port(self) -> int:
        return 0


SHAPES: dict[str, type[Stack]] = {shape.name: shape for shape in (Stack, RabbitStack, ClusterStack)}


def _dead_letters(amqp_url: str) -> list[str]:
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(amqp_url))) as connection:
        channel = connection.channel()
        found = []
        for service in SERVICES:
            while (got := channel.basic_get(dead_letter_queue(service)))[0] is not None:
                found.append(f"{got[1].type} {got[1].headers}")
        return found


def _environment() -> dict[str, str]:
    """Return this shell's, without settings of Warren: a run is the same everywhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}


def _with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")))


def _last_epoch(log: Path) -> int:
    found = _EPOCH.findall(log.read_bytes())
    return int(found[-1]) if found else -1
