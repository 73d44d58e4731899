"""Servers of every engine of this machine, and what a chain in one of them is, whatever the engine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.backup.archive import new_archive, open_archive
from deploy.backup.records import Header
from deploy.backup.restore import restore
from deploy.backup.save import save
from deploy.launcher import redis_server
from deploy.processes import ports
from deploy.processes.process import wait_until
from shared.chain.kept_keys import OF_A_PROCESS
from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient, connect
from shared.consensus.params import REGTEST, ChainParams

KEYS = Keys(REGTEST.name)
PASSWORD = "not-a-secret-4711"
READERS = {
    b"string": lambda client, key: client.get(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    b"stream": lambda client, key: client.xrange(key),
}


@contextmanager
def running(binary: Path, directory: Path) -> Iterator[StoreClient]:
    """Run a server with an empty data directory."""
    port = ports.choose("127.0.0.1", {"redis": 0})["redis"]
    config = redis_server.prepare(directory, port, PASSWORD)
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [binary, config.name], cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        assert wait_until(lambda: redis_server.answers(port, PASSWORD), 20), (directory / "log").read_text()
        with connect(f"redis://:{PASSWORD}@127.0.0.1:{port}/0") as client:
            yield client
    finally:
        process.kill()
        process.wait(20)


def content(client: StoreClient) -> dict[bytes, object]:
    """Everything in a server, as values; without the lease and the fencing token."""
    names = set(client.keys("*")) - {(KEYS.prefix + name).encode() for name in OF_A_PROCESS}
    return {name: READERS[client.type(name)](client, name) for name in sorted(names)}


def back_up(client: StoreClient, path: Path, params: ChainParams = REGTEST) -> Header:
    with new_archive(str(path)) as archive:
        return save(client, params, path.parent, archive)


def bring_back(client: StoreClient, path: Path, params: ChainParams = REGTEST, **options) -> Header:
    with open_archive(str(path)) as archive:
        return restore(client, params, path.parent, archive, **{"replace": False, **options})
