"""Reads the URLs of servers: `scheme://user:password@host:port,host:port/path?name=value`, one host or a list.

`WARREN_AMQP_URL` and `WARREN_REDIS_URL` are such URLs. They hold passwords, so no error shows any part of one but host
names and the names of query parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from shared.errors import ConfigError

REDIS_PORTS = {"redis": 6379, "rediss": 6379, "redis+sentinel": 26379, "rediss+sentinel": 26379}
AMQP_PORTS = {"amqp": 5672, "amqps": 5671}
"""Schemes, and the port that each has unless the URL says otherwise."""

TLS_FILES = ("cacertfile", "certfile", "keyfile")
"""Query parameters that name PEM files: whom to trust, and our own certificate with its key. RabbitMQ's names."""


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """The parts of a URL, decoded except for `path`."""

    scheme: str
    addresses: tuple[tuple[str, int], ...]
    """Hosts and ports, in the order of the URL."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    path: str = ""
    """Without its leading slash."""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> str:
        """The addresses in words, for errors and logs."""
        return ", ".join(f"{host} port {port}" for host, port in self.addresses)


def parse_server_url(url: str, ports: Mapping[str, int], what: str = "the URL") -> ServerUrl:
    """Return the parts of a URL whose scheme is one of `ports`, which has each scheme's default port.

    `ConfigError` if it is malformed, names a parameter twice, or a PEM file of it cannot be read.
    """
    try:
        parts = urlsplit(url)
        default = ports[parts.scheme]
        login, _, hosts = parts.netloc.rpartition("@")
        username, colon, password = login.partition(":")
        addresses = tuple(_address(host, default) for host in hosts.split(","))
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except (ValueError, KeyError):
        schemes = " or ".join(f"{scheme}://" for scheme in ports)
        raise ConfigError(
            f"{what} is not a URL that starts with {schemes}, or it is malformed (not shown: it may hold a password)"
        ) from None
    query = dict(pairs)
    if len(query) < len(pairs):
        raise ConfigError(f"{what} names a parameter twice")
    for name in TLS_FILES:
        if name in query:
            _check_readable(f"{what}: {name}", query[name])
    return ServerUrl(
        parts.scheme,
        addresses,
        unquote(username) if login else None,
        unquote(password) if colon else None,
        parts.path.removeprefix("/"),
        query,
    )


def _address(text: str, default_port: int) -> tuple[str, int]:
    """Return host and port of `host`, `host:port` or `[IPv6 address]:port`; no host is this machine."""
    parts = urlsplit(f"//{text}")
    if parts.port == 0 or (text and not parts.hostname):
        raise ValueError(text)
    return parts.hostname or "127.0.0.1", parts.port or default_port


def _check_readable(what: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{what}: cannot read {path}: {error.strerror}") from None
