"""The options of `./warren up`, checked and complete."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.command_line import did_you_mean
from deploy.errors import LaunchError
from shared.config import SECRETS, Settings
from shared.consensus.chain_file import load
from shared.consensus.params import BUILT_IN
from shared.crypto.address import decode_address
from shared.errors import DecodeError


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
    mining: str = ""
    """The mining mode to set; empty: as it was."""
    mining_address: str = ""

    @property
    def chain_dir(self) -> Path:
        """The directory of everything that belongs to this chain."""
        return self.data_dir / self.chain_name


def up_options(options: argparse.Namespace, settings: Settings) -> UpOptions:
    """Return the options of `up`; `LaunchError` or `ConfigError` if its chain or an address of it is wrong."""
    chain, chain_name = resolve_chain(options.chain)
    if options.mining_address:
        _check_address(options.mining_address, chain)
    return UpOptions(
        data_dir=Path(options.data_dir).absolute(),
        chain=chain,
        chain_name=chain_name,
        host=options.host,
        wallet_port=options.wallet_port,
        explorer_port=options.explorer_port,
        rpc_port=options.rpc_port,
        miners=options.miners,
        mempools=options.mempools,
        broker=options.broker,
        redis_url=options.redis_url,
        amqp_url=options.amqp_url,
        rpc_user=options.rpc_user,
        rpc_password=options.rpc_password,
        creator_blocks=settings.creator_blocks,
        mining=options.mining or "",
        mining_address=options.mining_address,
    )


def resolve_chain(chain: str) -> tuple[str, str]:
    """Return a chain's setting for the services, and its name, which its folder has too.

    Raises `LaunchError` for an unknown chain, `ConfigError` if its file is wrong.
    """
    if chain in BUILT_IN:
        return chain, BUILT_IN[chain].name
    path = Path(chain).absolute()
    if not path.is_file():
        near = did_you_mean(chain, BUILT_IN)
        raise LaunchError(f"--chain {chain}: neither one of {', '.join(BUILT_IN)} nor a chain file{near}")
    return str(path), load(str(path)).name


def _check_address(address: str, chain: str) -> None:
    try:
        decode_address(address, load(chain).address)
    except DecodeError as error:
        raise LaunchError(f"--mining-address: not an address of this chain: {error}") from None


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment that all services inherit: without secrets, which they read from files."""
    hidden = {f"WARREN_{name.upper()}{suffix}" for name in SECRETS for suffix in ("", "_FILE")}
    return {name: value for name, value in environ.items() if name not in hidden and name != "WARREN_RPC_USER"}
