"""`./warren genesis`: mines the genesis block of a new chain, and writes it to the chain file.

Only the table `[genesis]` changes; the rest of the file, comments included, stays unchanged.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import tomlkit
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable

from deploy.errors import LaunchError
from shared.consensus.chain_file import parse, parse_rules
from shared.consensus.params import BUILT_IN, ChainParams
from shared.crypto.address import decode_address, encode_address
from shared.crypto.pem import parse_public_key
from shared.errors import ConfigError, DecodeError
from shared.script.standard import p2wpkh_script

TRIES = 1 << 32
"""The number of nonces that a header can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisOrder:
    """The wanted genesis block; fields that are not given stay as in the chain file."""

    payee: str = ""
    """An address of the chain, or a public key in hex or PEM, which is paid at its P2WPKH address."""
    name: str = ""
    """Name of the chain if the file is created."""
    reward: int | None = None
    """Satoshis."""
    bits: str | None = None
    """The target in compact form, 8 hex digits."""
    time: int | None = None
    """Seconds since 1970."""
    again: bool = False
    """Whether to replace a genesis block that was mined before, which makes another chain."""


def run(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Mine the genesis block that the options describe, and print how to run the chain.

    Raises `LaunchError` or `ConfigError` if the options or the chain file are wrong.
    """
    asked = {field.name: getattr(options, field.name) for field in fields(GenesisOrder)}
    chain = write_genesis(Path(options.chain), GenesisOrder(**asked))
    header = chain.genesis.header
    say(f"genesis {header.hash_hex} of {chain.name} (nonce {header.nonce}, time {header.time}, bits {header.bits:08x})")
    say(f"run it with: ./warren up --chain {options.chain}")
    return 0


def write_genesis(path: Path, order: GenesisOrder) -> ChainParams:
    """Mine the genesis block that file and order describe, write it to the file, return the chain.

    Raises `LaunchError` or `ConfigError`, with nothing written, if they are wrong.
    """
    document = _read(path, order.name)
    table = document.setdefault("genesis", tomlkit.table())
    if isinstance(table, OutOfOrderTableProxy):  # of dotted keys; tomlkit takes none out of it
        raise LaunchError(f"{path}: the table [genesis] is written in a way that cannot be edited here")
    if not isinstance(table, AbstractTable):
        raise ConfigError(f"chain file {path}: genesis must be a table")
    if "nonce" in table and not order.again:
        raise LaunchError(f"{path} has a genesis block already; --again replaces it, which makes another chain of it")
    table.pop("nonce", None)
    table["time"] = int(time.time()) if order.time is None else order.time
    if order.payee:
        table.pop("script", None)
        table["payee"] = _payee_address(order.payee, _parse(path, document, parse_rules))
    if order.reward is not None:
        table["reward"] = order.reward
    if order.bits is not None:
        table["bits"] = _bits(order.bits)
    header = _parse(path, document, functools.partial(parse, genesis_tries=TRIES)).genesis.header
    table["bits"], table["nonce"] = header.bits, header.nonce
    chain = _parse(path, document, parse)
    _replace(path.resolve(), tomlkit.dumps(document))
    return chain


def _parse(path: Path, document: tomlkit.TOMLDocument, parser: Callable[[str], ChainParams]) -> ChainParams:
    try:
        return parser(tomlkit.dumps(document))
    except ConfigError as error:
        raise ConfigError(f"chain file {path}: {error}") from None


def _read(path: Path, name: str) -> tomlkit.TOMLDocument:
    if path.exists():
        if name:
            raise LaunchError(f"{path} exists and has a name; --name is for a new chain file")
        try:
            document = tomlkit.parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise LaunchError(f"--chain {path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise LaunchError(f"--chain {path} is no text") from None
        except TOMLKitError as error:
            raise LaunchError(f"the chain file is not TOML: {error}") from None
        _check_writable(path, path)
        return document
    _check_writable(path, path.parent)
    name = name or path.stem
    if name in BUILT_IN:
        raise LaunchError(f"--chain {path}: {name} is a built-in network; a chain of your own has another --name")
    document = tomlkit.document()
    document.update({"name": name, "base": "regtest"})
    return document


def _check_writable(path: Path, changed: Path) -> None:
    """Raise `LaunchError` for a file that cannot be written, before the search for the nonce."""
    if not changed.exists():
        raise LaunchError(f"--chain {path}: there is no directory {changed}")
    if not os.access(changed, os.W_OK):
        raise LaunchError(f"--chain {path} cannot be written")


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, and keep its permissions."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        if path.exists():
            shutil.copymode(path, new)
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise LaunchError(f"--chain {path} cannot be written: {error.strerror}") from None


def _payee_address(payee: str, chain: ChainParams) -> str:
    """Return the address to pay; `LaunchError` if the payee is neither an address of this chain nor a public key."""
    try:
        decode_address(payee, chain.address)
    except DecodeError as address_error:
        try:
            key = parse_public_key(payee)
        except DecodeError:
            raise LaunchError(f"--payee: {address_error}") from None
        address = encode_address(p2wpkh_script(key.hash160), chain.address)
        if address is None:
            raise LaunchError("--payee: this key has no address") from None
        return address
    return payee


def _bits(text: str) -> int:
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]{8}", text):
        raise LaunchError(f"--bits {text}: must be 8 hex digits")
    return int(text, 16)
