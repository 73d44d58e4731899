"""What a stack that was stopped has left on this machine: processes, ports, temporary files. Linux only."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from pathlib import Path

_PORTS_FILE = "warren-ports-"
"""Reserves ports for as long as a process lives, and stays (deploy/processes/ports.py)."""


def processes(folder: Path) -> list[str]:
    """Return the processes that were given this folder, by environment or arguments, or work in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            arguments = (entry / "cmdline").read_bytes()
            known = arguments + (entry / "environ").read_bytes() + os.fsencode(os.readlink(entry / "cwd"))
            if os.fsencode(folder) in known:
                found.append(f"process {entry.name}: {arguments.replace(bytes(1), b' ').decode()}")
    return found


def listeners(ports: Iterable[int]) -> list[str]:
    """Return which of these ports of 127.0.0.1 still take connections."""
    found = []
    for port in sorted(set(ports)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(f"port {port} is open")
    return found


def files(data_dir: Path, temporary: Path) -> list[str]:
    """Return the files that were made for a moment: in the folder of temporary files, or beside what they replace."""
    made = [path for path in temporary.rglob("*") if not path.name.startswith(_PORTS_FILE)]
    made += [path for path in data_dir.rglob(".*.*") if path.suffix[1:].isdecimal()]  # deploy/files.py
    made += list(data_dir.rglob("temp-*"))  # Redis
    made += [path for path in [data_dir / "stack.json"] if path.exists()]
    return [f"file {path}" for path in made]
