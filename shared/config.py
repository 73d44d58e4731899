"""Settings, from `WARREN_*` environment variables, parsed once at start.

All services read the same variables; an unknown or malformed one stops the service with a message that names it. A
secret may come from a file instead (`WARREN_REDIS_URL_FILE=/run/secrets/redis_url`); `repr` never shows it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from shared.durations import DAY
from shared.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of all services; each service uses some of them."""

    chain: str = "regtest"
    """A built-in network's name, or the path of a chain file (TOML)."""
    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    redis_replicas: int = 0
    """Number of replicas that must have a change of the chain, or of a wallet, before anybody is told of it."""
    broker: str = "embedded"
    """`embedded` (Redis Streams on `redis_url`) or `rabbitmq`."""
    amqp_url: str = field(default="amqp://guest:guest@127.0.0.1:5672/%2F", repr=False)
    host: str = "127.0.0.1"
    """Address that HTTP services bind to."""
    wallet_port: int = 8080
    explorer_port: int = 3000
    rpc_port: int = 18443
    metrics_port: int = 0
    """Port on which a miner shows its metrics; 0 for none. Other services show theirs on their own ports."""
    wallet_url: str = "http://127.0.0.1:8080"
    """The wallet's address for browsers, for links between pages; the next two are the explorer's and the node's."""
    explorer_url: str = "http://127.0.0.1:3000"
    rpc_url: str = "http://127.0.0.1:18443"
    data_dir: Path = Path("data")
    """Directory for files that the services write: the RPC cookie, the creator's password."""
    rpc_user: str = ""
    """With `rpc_password`: HTTP basic auth for JSON-RPC. Without: a random cookie in `data_dir`/<chain>/.cookie."""
    rpc_password: str = field(default="", repr=False)
    miner_name: str = field(default_factory=lambda: socket.gethostname()[:12])
    """At most 12 letters, digits, `.`, `_`, `-`: written into the coinbase of the blocks that this miner finds."""
    kernel: str = "hashlib"
    """How a miner searches: `hashlib`; `llvm`, compiled for the processor; or `auto`, the latter if it is installed."""
    mine_timeout: float = 60.0
    """Seconds after which a mining request is answered with the blocks found so far."""
    creator_blocks: int = 110
    """Blocks that the wallet `creator` mines at the first start; with 0 there is no such wallet."""
    creator_password_command: str = ""
    """Command that prints the password of `creator`; its page shows the command, or if empty the name of the file."""
    faucet: str = "on"
    """`off` switches the faucet of a test chain off; other chains have no faucet."""
    http_threads: int = 8
    max_streams: int = 500
    """The most event streams and websockets that one explorer keeps open."""
    trusted_hosts: str = ""
    """Comma-separated host names, beside loopback names, under which pages may be requested; `*` for any. Stops DNS
    rebinding."""
    trusted_origins: str = ""
    """Comma-separated origins (`https://app.example`) whose pages may make a browser mine, ask the faucet, and call
    wallet and node; pages of all others may read, and send signed transactions."""
    rate_limit: int = -1
    """Requests per second that the explorer accepts from one client; 0: no limit; -1: no limit on a loopback `host`, 50
    elsewhere."""
    drain_seconds: float = 0.0
    """Seconds for which a service that was told to stop goes on serving, with 503 at `/readyz`, so that a proxy sends
    requests elsewhere before the port closes."""
    trusted_proxies: str = ""
    """Comma-separated addresses and networks of proxies whose `X-Forwarded-For` header gives the client's address."""
    otlp_endpoint: str = ""
    """Base URL of an OpenTelemetry collector (OTLP over HTTP), which gets the spans of requests; empty: none."""
    log_level: str = "INFO"
    log_format: str = "text"
    """`text` or `json`."""


MAX_MINER_NAME = 12
SECRETS = ("redis_url", "amqp_url", "rpc_password")

_CHOICES = {
    "broker": ("embedded", "rabbitmq"),
    "faucet": ("on", "off"),
    "kernel": ("auto", "hashlib", "llvm"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR"),
    "log_format": ("text", "json"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "redis_replicas": (0, 100),
    "wallet_port": (0, 65535),
    "explorer_port": (0, 65535),
    "rpc_port": (0, 65535),
    "metrics_port": (0, 65535),
    "mine_timeout": (1, DAY),
    "creator_blocks": (0, 10_000),
    "http_threads": (1, 1_000),
    "max_streams": (1, 100_000),
    "rate_limit": (-1, 1_000_000),
    "drain_seconds": (0, 300),
}
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

_PREFIX = "WARREN_"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings from the environment; ConfigError names the variable that is wrong."""
    environ = os.environ if environ is None else environ
    parsers: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "Path": Path, "str": str}
    known = {f.name: parsers[str(f.type)] for f in fields(Settings)}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX):
            continue
        name = variable.removeprefix(_PREFIX).lower()
        if name.endswith("_file") and name.removesuffix("_file") in SECRETS:
            name, text = name.removesuffix("_file"), _read_secret(variable, text)
        if name not in known:
            raise ConfigError(f"unknown setting {variable}")
        if name in values:
            raise ConfigError(f"{_PREFIX}{name.upper()} is set twice, directly and by file")
        try:
            values[name] = known[name](text)
        except ValueError:
            raise ConfigError(f"{variable}: not a number") from None
    settings = Settings(**values)
    _check(settings)
    return settings


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{variable}: cannot read {path}: {error.strerror}") from None


def _check(settings: Settings) -> None:
    for name, choices in _CHOICES.items():
        if getattr(settings, name) not in choices:
            raise ConfigError(f"{_PREFIX}{name.upper()} must be one of {', '.join(choices)}")
    for name, (low, high) in _RANGES.items():
        if not low <= getattr(settings, name) <= high:
            raise ConfigError(f"{_PREFIX}{name.upper()} must be from {low:g} to {high:g}")
    if not 1 <= len(settings.miner_name) <= MAX_MINER_NAME or not _NAME_CHARACTERS.issuperset(settings.miner_name):
        raise ConfigError(f"{_PREFIX}MINER_NAME must be 1 to 12 letters, digits, '.', '_' or '-'")
    if bool(settings.rpc_user) != bool(settings.rpc_password):
        raise ConfigError(f"{_PREFIX}RPC_USER and {_PREFIX}RPC_PASSWORD go together")
