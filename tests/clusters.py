"""Native clusters on 127.0.0.1 for tests: three nodes of RabbitMQ; a Redis primary, two replicas, three Sentinels.

Each node is a `Server`: it can be killed, paused and started again by itself, and keeps its port and data. Proxies
before the nodes, if asked for, can cut them off: a Redis from everybody, a node of RabbitMQ from its clients.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis

from shared.servers.open_redis import open_redis
from tests.chaos.stack.proxy import Proxy
from tests.servers import (
    ENGINE,
    NameServer,
    NativeRabbitMQ,
    NativeRedis,
    NativeServer,
    NoServer,
    Process,
    free_port,
    redis_answers,
    redis_binary,
    uses_docker,
    wait_for,
)

PRIMARY = "chain"
"""The name by which the Sentinels know the primary."""
SETTLE_SECONDS = 60.0


class Sentinel(NativeServer):
    """Watches a primary, and with two of three agrees on another one."""

    def __init__(self, primary_port: int, settings: Sequence[str] = (), url: str = "redis://127.0.0.1:{port}") -> None:
        self.port = free_port()
        self.url = url.format(port=self.port)
        self._directory = Path(tempfile.mkdtemp(prefix="warren-sentinel-"))
        lines = [
            *(line.format(port=self.port) for line in settings or ("port {port}",)),
            "bind 127.0.0.1",
            f"dir {self._directory}",
            f"sentinel monitor {PRIMARY} 127.0.0.1 {primary_port} 2",
            f"sentinel down-after-milliseconds {PRIMARY} 2000",
            f"sentinel failover-timeout {PRIMARY} 6000",
            f"sentinel parallel-syncs {PRIMARY} 2",
        ]
        (self._directory / "sentinel.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        log = self._directory / "log"
        command = [str(redis_binary(ENGINE)), str(self._directory / "sentinel.conf"), "--sentinel"]
        self._process = Process(command, log, self._directory)
        wait_for(redis_answers, self.url, 20, self._process.alive, log)
        with contextlib.closing(open_redis(self.url, redis.Redis, socket_timeout=2.0)) as client:
            client.execute_command("SENTINEL", "DEBUG", "info-period", "500", "publish-period", "500")

    def close(self) -> None:
        if self._process is not None:
            self._process.stop(signal.SIGTERM)
        shutil.rmtree(self._directory, ignore_errors=True)


class RedisCluster:
    """A primary, two replicas and three Sentinels.

    `settings` are lines of the configuration of all; of them and the URLs' query, which clients need to reach them, the
    scheme says whether it is with TLS.
    """

    def __init__(
        self, settings: Sequence[str] = (), scheme: str = "redis", query: str = "", *, proxied: bool = False
    ) -> None:
        _native_only()
        self._scheme, self._query = scheme, query
        self._folder = Path(tempfile.mkdtemp(prefix="warren-redis-cluster-"))
        url = f"{scheme}://127.0.0.1:{{port}}/0{query}"
        self.nodes: list[NativeRedis] = []
        self.proxies: dict[NativeRedis, Proxy] = {}
        for number in range(3):
            file = self._folder / f"{number}.conf"  # Sentinel writes into it
            node = NativeRedis(str(file), url=url)
            lines = [line.format(port=node.port) for line in settings or ("port {port}",)]
            if proxied:
                self.proxies[node] = Proxy(free_port(), _port_of(node))
                lines += ["replica-announce-ip 127.0.0.1", f"replica-announce-port {self._known_port(node)}"]
            if number:
                lines.append(f"replicaof 127.0.0.1 {self._known_port(self.nodes[0])}")
            file.write_text("\n".join([*lines, "repl-diskless-sync-delay 0"]) + "\n")
            self.nodes.append(node)
        self.sentinels = [
            Sentinel(self._known_port(self.nodes[0]), settings, f"{scheme}://127.0.0.1:{{port}}{query}")
            for _ in range(3)
        ]

    @property
    def url(self) -> str:
        """The URL of the primary, by its Sentinels."""
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"{self._scheme}+sentinel://{places}/{PRIMARY}/0{self._query}"

    def start(self) -> None:
        """Start all, and return when everybody knows everybody."""
        for server in (*self.proxies.values(), *self.nodes, *self.sentinels):
            server.start()
        until(self.is_whole, "the Sentinels know two replicas and each other")

    def revive(self) -> None:
        """Let every server run again, and wait until the cluster is whole."""
        for server in (*self.nodes, *self.sentinels):
            server.revive()
        until(self.is_whole, "the Sentinels know two replicas and each other")

    def is_whole(self) -> bool:
        """Whether every Sentinel sees two replicas in order, and both of its fellows."""
        return all(_sees_all(sentinel) for sentinel in self.sentinels)

    def primary(self) -> NativeRedis:
        """Return the node that the Sentinels take for the primary."""
        with contextlib.closing(open_redis(self._a_sentinel().url, redis.Redis, socket_timeout=2.0)) as client:
            _, port = client.sentinel_get_master_addr_by_name(PRIMARY)
        return next(node for node in self.nodes if self._known_port(node) == int(port))

    def replicas(self) -> list[NativeRedis]:
        """Return the other nodes."""
        primary = self.primary()
        return [node for node in self.nodes if node is not primary]

    def close(self) -> None:
        for server in (*self.sentinels, *self.nodes, *self.proxies.values()):
            server.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _known_port(self, node: NativeRedis) -> int:
        """Return the port by which everybody knows a node."""
        return self.proxies[node].port if node in self.proxies else node.port

    def _a_sentinel(self) -> Sentinel:
        return next(sentinel for sentinel in self.sentinels if redis_answers(sentinel.url))


class RabbitCluster:
    """Three nodes of RabbitMQ that know each other; the minority of a divided cluster stops working."""

    _SETTINGS = "listeners.tcp.default = 127.0.0.1:{port}\ncluster_partition_handling = pause_minority"
    _ERLANG = "-kernel net_ticktime 4"
    """Seconds after which a silent node counts as down; the default is 60."""

    def __init__(self, *, proxied: bool = False) -> None:
        _native_only()
        self._names, cookie = NameServer(), secrets.token_hex(16).upper()
        self.nodes = [NativeRabbitMQ(self._SETTINGS, self._ERLANG, names=self._names, cookie=cookie) for _ in range(3)]
        self.proxies = {node: Proxy(free_port(), _port_of(node)) for node in self.nodes} if proxied else {}
        for node in self.nodes:
            node.configure(
                "cluster_formation.peer_discovery_backend = classic_config",
                *(f"cluster_formation.classic_config.nodes.{n} = {each.node}" for n, each in enumerate(self.nodes, 1)),
            )

    @property
    def url(self) -> str:
        """The URL with all three hosts."""
        first = urlsplit(self.nodes[0].url)
        login = first.netloc.rpartition("@")[0]
        doors = list(self.proxies.values()) or self.nodes
        hosts = ",".join(f"127.0.0.1:{door.port}" for door in doors)
        return urlunsplit(first._replace(netloc=f"{login}@{hosts}"))

    def start(self) -> None:
        """Start the first node, then the others, which join it."""
        self._names.start()
        for proxy in self.proxies.values():
            proxy.start()
        self.nodes[0].start()
        for node in self.nodes[1:]:
            node.begin()
        for node in self.nodes[1:]:
            node.wait()

    def revive(self) -> None:
        """Let every node run again."""
        for node in self.nodes:
            node.revive()

    def leader(self, queue: str) -> NativeRabbitMQ:
        """Return the node that leads a quorum queue, as soon as one does."""
        leaders: list[NativeRabbitMQ] = []

        def is_known() -> bool:
            leaders[:] = [node for node in self.nodes if node.node == self._queue(queue)[0]]
            return bool(leaders)

        until(is_known, f"a leader of {queue}")
        return leaders[0]

    def members(self, queue: str) -> set[str]:
        """Return the names of the nodes that keep a quorum queue and are up."""
        return self._queue(queue)[1]

    def close(self) -> None:
        for server in (*self.nodes, *self.proxies.values()):
            server.close()
        self._names.close()

    def _queue(self, name: str) -> tuple[str, set[str]]:
        """Return the leader and the members of a quorum queue that are up; nothing if no node knows of it."""
        for node in self.nodes:
            if node.answers():
                found = json.loads(
                    node.control("list_queues", "--silent", "--formatter", "json", "name", "leader", "online")
                )
                for queue in found:
                    if queue["name"] == name:
                        return queue["leader"], set(queue["online"])
        return "", set()


def until(condition: Callable[[], bool], what: str, seconds: float = SETTLE_SECONDS) -> None:
    """Wait until a condition holds; `AssertionError` if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.05)


def _port_of(node: NativeRedis | NativeRabbitMQ) -> Callable[[], int]:
    return lambda: node.port


def _native_only() -> None:
    if uses_docker():
        raise NoServer("clusters are of native servers: WARREN_TEST_SERVERS=native")


def _sees_all(sentinel: Sentinel) -> bool:
    try:
        with contextlib.closing(open_redis(sentinel.url, redis.Redis, socket_timeout=2.0)) as client:
            primary = client.sentinel_master(PRIMARY)
            replicas = client.sentinel_slaves(PRIMARY)
    except redis.RedisError:
        return False
    well = [each for each in replicas if not each["is_sdown"] and each["master-link-status"] == "ok"]
    return not primary["is_sdown"] and len(well) == 2 and primary["num-other-sentinels"] == 2
