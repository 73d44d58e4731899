"""Finds the stack for `./warren demo`: at the given URLs, of the data directory, or in containers."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from deploy.errors import LaunchError
from deploy.stack import state
from shared.config import Settings

COMPOSE_FILE = Path(__file__).resolve().parents[1] / "compose.yaml"


@dataclass(frozen=True, slots=True)
class StackTarget:
    """URLs of a stack, without trailing slashes, and the password of the creator's wallet."""

    wallet_url: str
    explorer_url: str
    rpc_url: str
    creator_password: str = field(repr=False)
    password_place: str = "the stack's data directory"  # noqa: S105
    """The place in words, for people."""


def find_target(options: argparse.Namespace, compose_file: Path = COMPOSE_FILE) -> StackTarget:
    """Return the stack that the options name, or else the running one; `LaunchError` if there is none."""
    wallet_url, explorer_url, rpc_url = (
        str(url).rstrip("/") for url in (options.wallet_url, options.explorer_url, options.rpc_url)
    )
    password_file = options.creator_password_file
    if wallet_url:
        return StackTarget(wallet_url, explorer_url, rpc_url, _read(password_file), password_file)
    data_dir = Path(options.data_dir).absolute()
    found = state.read(data_dir)
    if found is not None and found.launcher.is_alive():
        if not found.ready:
            raise LaunchError(f"the stack on {data_dir} is still starting (see `warren status`)")
        place = password_file or found.creator_password_file
        return StackTarget(found.wallet_url, found.explorer_url, found.rpc_url, _read(place), place)
    password = _read(password_file) if password_file else password_in_containers(compose_file)
    if not password:
        raise LaunchError(f"no stack runs on {data_dir}, and none in containers (start one with `./warren up`)")
    published = Settings()
    place = password_file or "the wallet's container: /data/<chain>/creator-password"
    return StackTarget(published.wallet_url, published.explorer_url, published.rpc_url, password, place)


def password_in_containers(compose_file: Path) -> str:
    """Return the creator's password from the wallet's container; empty if there is no such container."""
    docker = shutil.which("docker")
    if docker is None:
        return ""
    show = 'cat "/data/$WARREN_CHAIN/creator-password"'
    command = [docker, "compose", "-f", str(compose_file), "exec", "-T", "wallet", "sh", "-c", show]
    reply = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return reply.stdout.strip() if reply.returncode == 0 else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise LaunchError(f"cannot read the creator's password from {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LaunchError(f"cannot read the creator's password from {path}: it is no text") from None
