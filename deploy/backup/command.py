"""`./warren backup FILE` and `./warren restore FILE`: which Redis, which directory, and what people are told."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.backup.archive import STANDARD, new_archive, open_archive
from deploy.backup.records import Header
from deploy.backup.restore import check, restore
from deploy.backup.save import save
from deploy.console import Console
from deploy.errors import LaunchError
from deploy.launcher.chain_store import redis_url_of
from deploy.launcher.options import resolve_chain
from shared.chain.store import StoreClient, check_server, connect
from shared.consensus import chain_file
from shared.consensus.params import ChainParams
from shared.errors import NoChain


def run_backup(options: argparse.Namespace, console: Console) -> int:
    """Write a backup of a chain, at work or not."""
    params = _chain(options)
    chain_dir = _chain_dir(options, params)
    with _store(options, params, writes=False) as client, new_archive(options.file) as archive:
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
        with _store(options, params, writes=True) as client:
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
def _store(options: argparse.Namespace, params: ChainParams, *, writes: bool) -> Iterator[StoreClient]:
    data_dir = Path(options.data_dir).absolute()
    with redis_url_of(data_dir, params.name, options.redis_url, writes=writes) as url, connect(url) as client:
        check_server(client)
        yield client


def _summary(header: Header) -> str:
    return (
        f"chain {header.chain} at height {header.height}, {header.pool} transactions in the pool, "
        f"{header.wallets} wallets"
    )
