"""Nodes to compare: bitcoind and the whole embedded stack, each as its users start it, and a client of their RPC."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.stack.control import running
from tests.servers import free_port

_PATIENCE = 600.0
"""Seconds to wait for one answer."""
_CORE_OPTIONS = (
    "-regtest",
    "-txindex",
    "-checkmempool=0",
    "-checkblockindex=0",
    "-listen=0",
    "-server",
    "-dnsseed=0",
)
_TICK = os.sysconf("SC_CLK_TCK")


class Connection:
    """A connection to a node's JSON-RPC through Python's own client, which costs about 0.2 ms a call."""

    def __init__(self, port: int, cookie: bytes) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        self._headers = {
            "Authorization": "Basic " + b64encode(cookie).decode(),
            "Content-Type": "application/json",
        }

    def post(self, body: bytes) -> bytes:
        """Return the body of the answer."""
        self._connection.request("POST", "/", body, self._headers)
        return self._connection.getresponse().read()

    def call(self, method: str, *params: object) -> Any:
        """Return the result; `RuntimeError` if the node answers with an error."""
        return result(self.post(request(method, *params)))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def request(method: str, *params: object) -> bytes:
    """Return the body of a call."""
    return json.dumps({"id": 1, "method": method, "params": params}).encode()


def result(body: bytes) -> Any:
    """Return the result in an answer; `RuntimeError` if it has an error."""
    answer = json.loads(body)
    if answer["error"] is not None:
        raise RuntimeError(answer["error"])
    return answer["result"]


@dataclass(frozen=True)
class Node:
    """A node that answers, with all its processes."""

    name: str
    port: int
    cookie_file: Path
    pids: tuple[int, ...]

    def connect(self) -> Connection:
        """Open a connection."""
        return Connection(self.port, self.cookie_file.read_bytes())

    def call(self, method: str, *params: object) -> Any:
        """Return the result of one call, over a connection of its own: a node closes one that was idle for long."""
        connection = self.connect()
        try:
            return connection.call(method, *params)
        finally:
            connection.close()

    def cpu(self) -> float:
        """Return the processor time of all processes in seconds, since they began."""
        total = 0
        for pid in self._processes():
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICK

    def memory(self) -> dict[str, float]:
        """Return the largest resident size that the processes had, in MB, Redis apart."""
        sizes: dict[str, float] = {}
        for pid in self._processes():
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines())
            kind = "redis" if "redis" in status["Name"] or "valkey" in status["Name"] else self.name
            if "VmHWM" in status:
                sizes[kind] = sizes.get(kind, 0) + int(status["VmHWM"].split()[0]) / 1024
        return sizes

    def _processes(self) -> list[int]:
        """The processes and all that they have started."""
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text(encoding="ascii").rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(stat.parent.name))
        found = list(self.pids)
        for pid in found:
            found += [child for child in children.get(pid, []) if child not in found]
        return found

    def send_all(self, bodies: Sequence[bytes], connections: int) -> None:
        """Send requests one after another over each of some connections; `RuntimeError` if one fails."""
        failures: list[BaseException] = []

        def work(part: Sequence[bytes]) -> None:
            connection = self.connect()
            try:
                for body in part:
                    answer = connection.post(body)
                    if answer.count(b'"error":null') != body.count(b'"method"'):
                        raise RuntimeError(answer[:500])
            except (OSError, RuntimeError) as error:
                failures.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=work, args=(bodies[part::connections],)) for part in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


@contextmanager
def warren(*options: str) -> Iterator[Node]:
    """The embedded stack of `./warren up`, with one miner, and no block but the genesis block."""
    for name in [name for name in os.environ if name.startswith("WARREN_")]:
        del os.environ[name]
    os.environ["WARREN_CREATOR_BLOCKS"] = "0"
    with tempfile.TemporaryDirectory() as directory, running(Path(directory), *options) as state:
        port = int(state.rpc_url.rstrip("/").rpartition(":")[2])
        pids = tuple(service.process.pid for service in state.services)
        yield Node("warren", port, Path(state.cookie_file), pids)


@contextmanager
def bitcoind(path: Path, *options: str) -> Iterator[Node]:
    """Core's node in a folder of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        command = [str(path), f"-datadir={directory}", f"-rpcport={port}", "-printtoconsole=0", *_CORE_OPTIONS]
        process = subprocess.Popen([*command, *options])
        try:
            node = Node("bitcoind", port, Path(directory) / "regtest" / ".cookie", (process.pid,))
            _wait_until_warm(node, process)
            yield node
        finally:
            process.terminate()
            process.wait(60)


def _wait_until_warm(node: Node, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = node.connect()
            connection.call("getblockcount")
            connection.close()
            return
        except (OSError, RuntimeError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("bitcoind does not answer") from None
            time.sleep(0.05)
