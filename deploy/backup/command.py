"""`./warren backup FILE` and `./warren restore FILE`: which Redis, which directory, and what people are told."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.backup.archive import STANDARD, new_archive, open_archive
from deploy.backup.records import Header
from deploy.backup.restore import check, restore
from deploy.backup.save import save
from deploy.console import Console
from deploy.errors import LaunchError
from deploy.files import make_private_dir
from deploy.launcher.options import resolve_chain
from deploy.launcher.preflight import check_directory
from deploy.launcher.private_redis import running_private_redis
from deploy.stack import state
from shared.chain.store import StoreClient, check_server, connect
from shared.consensus import chain_file
from shared.consensus.params import ChainParams
from shared.errors import NoChain


def run_backup(options: argparse.Namespace, console: Console) -> int:
    """Write a backup of a chain, at work or not."""
    params = _chain(options)
    chain_dir = _chain_dir(options, params)
    with _store(options, params, may_run=True) as client, new_archive(options.file) as archive:
        try:
            header = save(client, params, chain_dir, archive)
        except NoChain:
            raise LaunchError(f"there is no chain {params.name} to back up") from None
    where = "" if options.file == STANDARD else f" in {options.file}"
    console.say(f"backed up{where}: {_summary(header)}")
    return 0


def run_restore(options: argparse.Namespace, console: Console) -> int:
    """Write a chain and its wallets from a backup; the services of the stack must not run."""
    params = _chain(options)
    with open_archive(options.file) as archive:
        check(archive, params)
        with _store(options, params, may_run=False) as client:
            header = restore(
                client,
                params,
                _chain_dir(options, params),
                archive,
                replace=options.force,
                progress=console.waiting,
            )
    console.say(f"restored: {_summary(header)}")
    return 0


def _chain(options: argparse.Namespace) -> ChainParams:
    chain, _ = resolve_chain(options.chain)
    return chain_file.load(chain)


def _chain_dir(options: argparse.Namespace, params: ChainParams) -> Path:
    return Path(options.data_dir).absolute() / params.name


@contextmanager
def _store(options: argparse.Namespace, params: ChainParams, *, may_run: bool) -> Iterator[StoreClient]:
    """Yield a client of the Redis that holds the chain: the one that is named, the running stack's, or the private one.

    Unless `may_run`, raises `LaunchError` while a stack runs on the data directory, and keeps it from being started.
    """
    data_dir = Path(options.data_dir).absolute()
    with contextlib.ExitStack() as stack:
        url = options.redis_url
        running = state.read(data_dir)
        if running is not None and running.launcher.is_alive() and may_run and not url:
            if running.chain != params.name:
                raise LaunchError(f"the stack on {data_dir} runs the chain {running.chain}: --chain names another")
            url = (data_dir / params.name / "secrets" / "redis-url").read_text(encoding="utf-8").strip()
        elif not url or not may_run:
            if may_run and not (data_dir / params.name / "redis").is_dir():
                raise LaunchError(f"there is no chain {params.name} in {data_dir}")
            check_directory(data_dir)
            make_private_dir(data_dir)
            stack.enter_context(state.exclusive(data_dir))
        if not url:
            url = stack.enter_context(running_private_redis(data_dir / params.name))
        client = stack.enter_context(connect(url))
        check_server(client)
        yield client


def _summary(header: Header) -> str:
    return (
        f"chain {header.chain} at height {header.height}, {header.pool} transactions in the pool, "
        f"{header.wallets} wallets"
    )
