"""Chain files: describe a new chain in TOML by its differences from one of Bitcoin's networks.

docs/consensus.md lists the settings.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.consensus.limits import MAX_HEIGHT, MAX_MONEY
from shared.consensus.params import BUILT_IN, SATOSHI_SCRIPT, ChainParams, genesis_block
from shared.crypto.address import AddressPrefix, decode_address
from shared.crypto.hashes import sha256d
from shared.errors import ConfigError, DecodeError
from shared.primitives.block import Block
from shared.primitives.target import bits_to_target, target_to_bits

_GENESIS_TRIES = 1 << 20
"""Nonces to try if the file sets none for its genesis block; if none meets the target, the file must set one."""
_MAX_GENESIS_MESSAGE = 80  # bytes


def load(name_or_path: str) -> ChainParams:
    """Return a built-in chain by name, or the chain of a TOML chain file.

    Raises ConfigError that names the file and the setting that is wrong, missing or unknown.
    """
    if name_or_path in BUILT_IN:
        return BUILT_IN[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(sorted(BUILT_IN))
        raise ConfigError(f"chain {name_or_path!r} is neither a known network ({known}) nor a file")
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"chain file {path}: {error}") from None


def parse(text: str, *, genesis_tries: int = _GENESIS_TRIES) -> ChainParams:
    """Return the chain that the text of a chain file describes; ConfigError names the setting that is wrong.

    If the file has no nonce for the genesis block, up to `genesis_tries` nonces are tried.
    """
    top = _Table("", _from_toml(text))
    params = _with_genesis(_rules(top), top.table("genesis"), genesis_tries)
    magic = top.text("magic", sha256d(params.genesis.hash)[:4].hex(), r"[0-9a-fA-F]{8}")
    top.finish()
    return replace(params, magic=bytes.fromhex(magic))


def parse_rules(text: str) -> ChainParams:
    """Return the chain that the text of a chain file describes, with magic and genesis block of its base.

    The file's own magic and genesis settings are not read, and may be missing. ConfigError names a wrong setting.
    """
    return _rules(_Table("", _from_toml(text)))


def _from_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(error)) from None


class _Table:
    """One table of a chain file: returns its settings and refuses unknown ones."""

    def __init__(self, where: str, content: object) -> None:
        if not isinstance(content, dict):
            raise ConfigError(f"{where.rstrip('.')} must be a table")
        self._where = where
        self._left: dict[str, Any] = dict(content)

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """Return an integer from `low` to `high`."""
        value = self._left.pop(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self.error(key, f"must be an integer from {low} to {high}, not {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self._left.pop(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {value!r}")
        return value

    def text(self, key: str, default: str, pattern: str) -> str:
        """Return a text that matches `pattern`."""
        value = self._left.pop(key, default)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.error(key, f"must be a text that matches {pattern}, not {value!r}")
        return value

    def table(self, key: str) -> _Table:
        """Return the table under `key`, empty if there is none."""
        return _Table(f"{self._where}{key}.", self._left.pop(key, {}))

    def has(self, key: str) -> bool:
        """Tell whether the file sets `key`."""
        return key in self._left

    def finish(self) -> None:
        """Raise ConfigError if the table has a setting that was not read: it is unknown."""
        if self._left:
            raise ConfigError(f"unknown setting {self._where}{min(self._left)}")

    def error(self, key: str, problem: str) -> ConfigError:
        """Return the ConfigError for `key` with this problem."""
        return ConfigError(f"{self._where}{key} {problem}")


_HEX = r"(?:[0-9a-fA-F]{2})*"


def _rules(top: _Table) -> ChainParams:
    if not top.has("name"):
        raise ConfigError("name is missing")
    name = top.text("name", "", r"[a-z][a-z0-9-]{0,31}")
    if name in BUILT_IN:
        raise ConfigError(f"name must differ from the built-in network {name!r}")
    base_name = top.text("base", "regtest", r".+")
    if base_name not in BUILT_IN:
        raise ConfigError(f"base must be one of {', '.join(sorted(BUILT_IN))}, not {base_name!r}")
    # A chain from a file has no signet challenge: its blocks need proof of work alone.
    params = replace(BUILT_IN[base_name], name=name, signet_challenge=b"")
    params = _with_pow(params, top.table("pow"))
    params = _with_subsidy(params, top.table("subsidy"))
    params = _with_address(params, top.table("address"))
    return _with_activation(params, top.table("activation"))


def _with_pow(base: ChainParams, table: _Table) -> ChainParams:
    limit = table.text("limit", f"{base.pow_limit:064x}", r"[0-9a-fA-F]{64}")
    spacing = table.integer("spacing", base.pow_spacing, 1, 1 << 31)
    timespan = table.integer("timespan", base.pow_timespan, 1, 1 << 31)
    params = replace(
        base,
        pow_limit=int(limit, 16),
        pow_spacing=spacing,
        pow_timespan=timespan,
        pow_no_retargeting=table.flag("no_retargeting", base.pow_no_retargeting),
        pow_allow_min_difficulty=table.flag("allow_min_difficulty", base.pow_allow_min_difficulty),
        enforce_bip94=table.flag("enforce_bip94", base.enforce_bip94),
    )
    if params.pow_limit == 0:
        raise table.error("limit", "must not be zero")
    if timespan < 4 or timespan % spacing:
        raise table.error("timespan", f"must be at least 4 and a multiple of the spacing ({spacing} s)")
    table.finish()
    return params


def _with_subsidy(base: ChainParams, table: _Table) -> ChainParams:
    params = replace(
        base,
        subsidy=table.integer("initial", base.subsidy, 0, MAX_MONEY),
        halving_interval=table.integer("halving_interval", base.halving_interval, 1, MAX_HEIGHT),
        coinbase_maturity=table.integer("coinbase_maturity", base.coinbase_maturity, 1, MAX_HEIGHT),
    )
    table.finish()
    return params


def _with_address(base: ChainParams, table: _Table) -> ChainParams:
    known = base.address
    prefix = AddressPrefix(
        pubkey_hash=table.integer("pubkey_hash", known.pubkey_hash, 0, 255),
        script_hash=table.integer("script_hash", known.script_hash, 0, 255),
        wif=table.integer("wif", known.wif, 0, 255),
        hrp=table.text("hrp", known.hrp, r"[a-z0-9]{1,20}"),
        bip32_public=bytes.fromhex(table.text("bip32_public", known.bip32_public.hex(), r"[0-9a-fA-F]{8}")),
        bip32_private=bytes.fromhex(table.text("bip32_private", known.bip32_private.hex(), r"[0-9a-fA-F]{8}")),
    )
    if len({prefix.pubkey_hash, prefix.script_hash, prefix.wif}) < 3:
        raise table.error("pubkey_hash", "script_hash and wif must differ from each other")
    if prefix.bip32_public == prefix.bip32_private:
        raise table.error("bip32_public", "and bip32_private must differ from each other")
    table.finish()
    return replace(base, address=prefix)


def _with_activation(base: ChainParams, table: _Table) -> ChainParams:
    params = replace(
        base,
        bip34_height=table.integer("bip34", base.bip34_height, 0, MAX_HEIGHT),
        bip65_height=table.integer("bip65", base.bip65_height, 0, MAX_HEIGHT),
        bip66_height=table.integer("bip66", base.bip66_height, 0, MAX_HEIGHT),
        csv_height=table.integer("csv", base.csv_height, 0, MAX_HEIGHT),
        segwit_height=table.integer("segwit", base.segwit_height, 0, MAX_HEIGHT),
        taproot_height=table.integer("taproot", base.taproot_height, 0, MAX_HEIGHT),
    )
    table.finish()
    return params


def _with_genesis(base: ChainParams, table: _Table, tries: int) -> ChainParams:
    """Make the genesis block; its default message contains the chain's name, so that no two chains share a block."""
    header = base.genesis.header
    message = table.text("message", f"Warren chain {base.name}", r"[\s\S]+").encode()
    if len(message) > _MAX_GENESIS_MESSAGE:
        raise table.error("message", f"must have at most {_MAX_GENESIS_MESSAGE} bytes")
    pays_someone = table.has("payee") or table.has("script")
    script_pubkey = _payee_script(table, base) if pays_someone else SATOSHI_SCRIPT
    bits = table.integer("bits", target_to_bits(base.pow_limit), 1, 0xFFFFFFFF)
    target = bits_to_target(bits)
    if not 0 < target <= base.pow_limit:
        raise table.error("bits", "must be a target of at most the chain's limit")
    needs_nonce = not table.has("nonce")
    block = genesis_block(
        message=message,
        script_pubkey=script_pubkey,
        time=table.integer("time", header.time, 0, 0xFFFFFFFF),
        nonce=table.integer("nonce", 0, 0, 0xFFFFFFFF),
        bits=bits,
        reward=table.integer("reward", base.subsidy, 0, MAX_MONEY),
        version=table.integer("version", header.version, 1, 0x7FFFFFFF),
    )
    block = _with_work(block, target, tries if needs_nonce else 1)
    spendable = table.flag("spendable", pays_someone)
    table.finish()
    return replace(base, genesis=block, genesis_spendable=spendable)


def _payee_script(table: _Table, base: ChainParams) -> bytes:
    if table.has("payee") and table.has("script"):
        raise table.error("payee", "and script cannot both be given")
    if table.has("script"):
        return bytes.fromhex(table.text("script", "", _HEX))
    try:
        return decode_address(table.text("payee", "", r".+"), base.address)
    except DecodeError as error:
        raise table.error("payee", f"is not an address of this chain: {error}") from None


def _with_work(block: Block, target: int, tries: int) -> Block:
    header = block.header
    head = header.serialize()[:-4]
    for nonce in range(header.nonce, header.nonce + tries):
        if int.from_bytes(sha256d(head + nonce.to_bytes(4, "little")), "little") <= target:
            return Block(replace(header, nonce=nonce), block.transactions)
    if tries == 1:
        raise ConfigError(f"genesis.nonce {header.nonce} does not meet the target of genesis.bits")
    raise ConfigError(f"genesis.nonce is missing: {tries} nonces were tried for these bits without success")
