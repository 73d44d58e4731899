"""What `./warren up` was asked for: from the command line, and from the same `WARREN_*` variables as the services."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deploy.errors import LaunchError
from shared.config import SECRETS, Settings
from shared.params import BUILT_IN, load

MAX_MINERS = 64
MAX_MEMPOOLS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """A stack to run; a port of 0 means any free one, an empty `redis_url` a private Redis."""

    data_dir: Path
    chain: str
    """A built-in network's name, or the absolute path of a chain file."""
    chain_name: str
    host: str
    wallet_port: int
    explorer_port: int
    rpc_port: int
    miners: int
    mempools: int
    broker: str
    redis_url: str = field(repr=False)
    amqp_url: str = field(repr=False)
    rpc_user: str
    rpc_password: str = field(repr=False)
    creator_blocks: int

    @property
    def chain_dir(self) -> Path:
        """Where everything of this chain lies."""
        return self.data_dir / self.chain_name


def default_secret(name: str, settings: Settings, environ: Mapping[str, str]) -> str:
    """Return a setting that is secret if the environment has it (directly or by file), else nothing."""
    variable = f"WARREN_{name.upper()}"
    return str(getattr(settings, name)) if variable in environ or f"{variable}_FILE" in environ else ""


def resolve_chain(chain: str) -> tuple[str, str]:
    """Return a chain's setting for the services and its name, which is its folder's.

    Raises `LaunchError` if there is no such chain, `ConfigError` if its file is wrong.
    """
    if chain in BUILT_IN:
        return chain, chain
    path = Path(chain).absolute()
    if not path.is_file():
        raise LaunchError(f"--chain {chain}: neither one of {', '.join(BUILT_IN)} nor a chain file")
    return str(path), load(str(path)).name


def check(options: UpOptions) -> None:
    """Refuse what cannot work; `LaunchError` names the option."""
    ports = {"wallet": options.wallet_port, "explorer": options.explorer_port, "rpc": options.rpc_port}
    for name, port in ports.items():
        _check_range(f"--{name}-port", port, 0, 65535)
    _check_range("--miners", options.miners, 1, MAX_MINERS)
    _check_range("--mempools", options.mempools, 1, MAX_MEMPOOLS)
    if bool(options.rpc_user) != bool(options.rpc_password):
        raise LaunchError("--rpc-user and --rpc-password go together")
    if options.redis_url:
        _check_url("--redis-url", options.redis_url, ("redis", "rediss", "unix"))
    if options.broker == "rabbitmq":
        if not options.amqp_url:
            raise LaunchError("--broker rabbitmq needs --amqp-url (amqp://user:password@host:port/vhost)")
        _check_url("--amqp-url", options.amqp_url, ("amqp", "amqps"))


def server_address(url: str) -> tuple[str, int] | None:
    """Return host and port of a Redis or AMQP URL; None for a Unix socket."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return None
    default = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}[parts.scheme]
    return parts.hostname or "127.0.0.1", parts.port or default


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment that services start from: without secrets, which they get by file."""
    hidden = {f"WARREN_{name.upper()}{suffix}" for name in SECRETS for suffix in ("", "_FILE")}
    return {name: value for name, value in environ.items() if name not in hidden and name != "WARREN_RPC_USER"}


def _check_range(option: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise LaunchError(f"{option} must be from {low} to {high}, not {value}")


def _check_url(option: str, url: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in schemes and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise LaunchError(f"{option} is not a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}")
