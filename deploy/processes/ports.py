"""Ports of this machine: free ones in place of port 0, and a clear error for a port in use.

A free port is reserved for as long as this process lives: no other launcher and no test server gets it before its
service listens, or while its service restarts.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import random
import socket
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from deploy.errors import LaunchError

FREE_PORTS = range(12_000, 32_000)
"""Range of free ports: below the ports of outgoing connections. Otherwise a client that retries a crashed service would
sooner or later connect to itself and keep the port."""
_TRIES = 200


class PortInUse(LaunchError):
    """Another process listens there."""


def choose(host: str, wanted: Mapping[str, int]) -> dict[str, int]:
    """Return a port for each name: the wanted one, or a free one for 0.

    Raises `LaunchError` if two names want one port, or if a port or the host cannot be bound to.
    """
    named = [port for port in wanted.values() if port]
    for port in named:
        if named.count(port) > 1:
            names = " and ".join(name for name, other in wanted.items() if other == port)
            raise LaunchError(f"{names} cannot share port {port}")
    with ExitStack() as held:  # keeps all ports bound at once, so that no two names get one port
        return {
            name: _bind(held, host, port, name) if port else _free(held, host, name) for name, port in wanted.items()
        }


def is_open(host: str, port: int, timeout: float = 2.0) -> bool:
    """Whether a process accepts connections on this port."""
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False


def _free(held: ExitStack, host: str, name: str) -> int:
    for _ in range(_TRIES):
        try:
            port = _bind(held, host, random.choice(FREE_PORTS), name)
        except PortInUse:
            continue
        if _reserve(port):
            return port
    raise LaunchError(f"no free port found for {name}")


def _reserve(port: int) -> bool:
    """Reserve a port against other processes of this user until this one ends; False if another holds it."""
    reservations = _reservations()
    if reservations is None:
        return True
    try:
        fcntl.lockf(reservations, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):  # either, says POSIX
        return False
    return True


@functools.cache
def _reservations() -> int | None:
    """Descriptor of an empty file whose byte N is locked by the process that has reserved port N.

    It stays open: the kernel releases a process's locks on a file as soon as it closes any descriptor of that file.
    None, and no port is reserved, if there is no directory for temporary files, or another user owns the file.
    """
    try:
        path = Path(tempfile.gettempdir()) / f"warren-ports-{os.getuid()}"
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _bind(held: ExitStack, host: str, port: int, name: str) -> int:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = held.enter_context(socket.socket(family, kind, protocol))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do; refuses a live listener
        listener.bind(address)
        listener.listen()
    except UnicodeError:
        raise LaunchError(f"cannot listen at {host}: that is no host name") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            option = f"; choose another with --{name}-port" if name in ("wallet", "explorer", "rpc") else ""
            raise PortInUse(f"port {port} ({name}) is in use{option}") from None
        raise LaunchError(f"cannot listen at {host} port {port} ({name}): {error.strerror or error}") from None
    return int(listener.getsockname()[1])
