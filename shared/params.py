"""The rules and constants of a chain: Bitcoin's networks, and any chain that a TOML file describes.

Validation takes a `ChainParams` as an argument; nothing reads a global one. The built-in networks are exactly
Bitcoin Core's (kernel/chainparams.cpp), with the same genesis blocks.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared.crypto.address import MAINNET_PREFIX, REGTEST_PREFIX, TESTNET_PREFIX, AddressPrefix, decode_address
from shared.crypto.hashes import sha256d
from shared.errors import ConfigError, DecodeError
from shared.primitives.block import Block, BlockHeader
from shared.primitives.hexes import parse_display_hash
from shared.primitives.serialize import pack_var_bytes
from shared.primitives.target import bits_to_target, target_to_bits
from shared.primitives.transaction import NULL_OUTPOINT, Transaction, TxIn, TxOut
from shared.script.flags import Flags
from shared.script.opcodes import OP_CHECKSIG
from shared.script.script import encode_number, push_data

COIN = 100_000_000
_TWO_WEEKS = 14 * 24 * 60 * 60
# How many nonces are tried to give a chain file's genesis its proof of work before it must bring one along.
_GENESIS_TRIES = 1 << 20
_MAX_GENESIS_MESSAGE = 80
_CHEAP_TARGET = 1 << 240
"""A block takes 65,536 hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainParams:
    """What makes one chain differ from another. Times are in seconds, amounts in satoshis, heights as named."""

    name: str
    genesis: Block
    magic: bytes
    pow_limit: int
    pow_spacing: int = 600
    pow_timespan: int = _TWO_WEEKS
    pow_no_retargeting: bool = False
    pow_allow_min_difficulty: bool = False
    enforce_bip94: bool = False
    subsidy: int = 50 * COIN
    halving_interval: int = 210_000
    coinbase_maturity: int = 100
    address: AddressPrefix
    bip34_height: int = 1
    bip65_height: int = 1
    bip66_height: int = 1
    csv_height: int = 1
    segwit_height: int = 1
    taproot_height: int = 0  # Core applies taproot's rules from the start
    genesis_spendable: bool = False
    signet_challenge: bytes = b""
    script_flag_exceptions: tuple[tuple[bytes, Flags], ...] = ()
    """Hashes of blocks that break a script rule which holds from the start, and what holds for them instead."""
    bip30_exceptions: frozenset[bytes] = frozenset()
    """Hashes of blocks whose coinbase has the txid of an older one and overwrites it."""

    @property
    def is_test_chain(self) -> bool:
        """Whether its coins are play money: its addresses are those of one of Bitcoin's test networks."""
        return self.address.hrp in (TESTNET_PREFIX.hrp, REGTEST_PREFIX.hrp)

    @property
    def has_cheap_blocks(self) -> bool:
        """Whether a miner finds a block at once, so that blocks can be made for the asking."""
        return bits_to_target(self.genesis.header.bits) >= _CHEAP_TARGET

    @property
    def retarget_interval(self) -> int:
        """Blocks from one difficulty adjustment to the next."""
        return self.pow_timespan // self.pow_spacing


def _genesis(
    *,
    message: bytes,
    script_pubkey: bytes,
    time: int,
    nonce: int,
    bits: int,
    reward: int = 50 * COIN,
    version: int = 1,
) -> Block:
    script_sig = push_data(encode_number(0x1D00FFFF)) + push_data(encode_number(4)) + push_data(message)
    coinbase = Transaction(1, (TxIn(NULL_OUTPOINT, script_sig),), (TxOut(reward, script_pubkey),))
    header = BlockHeader(version, bytes(32), coinbase.txid, time, bits, nonce)
    return Block(header, (coinbase,))


_SATOSHI_MESSAGE = b"The Times 03/Jan/2009 Chancellor on brink of second bailout for banks"
_SATOSHI_KEY = bytes.fromhex(
    "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6"
    "49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
)
_SATOSHI_SCRIPT = push_data(_SATOSHI_KEY) + bytes([OP_CHECKSIG])

MAINNET = ChainParams(
    name="main",
    genesis=_genesis(
        message=_SATOSHI_MESSAGE,
        script_pubkey=_SATOSHI_SCRIPT,
        time=1231006505,
        nonce=2083236893,
        bits=0x1D00FFFF,
    ),
    magic=bytes.fromhex("f9beb4d9"),
    pow_limit=(1 << 224) - 1,
    address=MAINNET_PREFIX,
    bip34_height=227_931,
    bip65_height=388_381,
    bip66_height=363_725,
    csv_height=419_328,
    segwit_height=481_824,
    script_flag_exceptions=(
        # An output of the form of P2SH was spent before BIP16 was enforced.
        (parse_display_hash("00000000000002dc756eebf4f49723ed8d30cc28a5f108eb94b1ba88ac4f9c22"), Flags.NONE),
        # A witness program of version 1 was spent as anyone could, before taproot.
        (
            parse_display_hash("0000000000000000000f14c35b2d841e986ab5441de8c585d5ffe55ea1e395ad"),
            Flags.P2SH | Flags.WITNESS,
        ),
    ),
    bip30_exceptions=frozenset(
        {
            parse_display_hash("00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec"),  # 91,842
            parse_display_hash("00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721"),  # 91,880
        }
    ),
)

TESTNET4 = ChainParams(
    name="testnet4",
    genesis=_genesis(
        message=b"03/May/2024 000000000000000000001ebd58c244970b3aa9d783bb001011fbe8ea8e98e00e",
        script_pubkey=push_data(bytes(33)) + bytes([OP_CHECKSIG]),
        time=1714777860,
        nonce=393743547,
        bits=0x1D00FFFF,
    ),
    magic=bytes.fromhex("1c163f28"),
    pow_limit=(1 << 224) - 1,
    pow_allow_min_difficulty=True,
    enforce_bip94=True,
    address=TESTNET_PREFIX,
)

_SIGNET_CHALLENGE = bytes.fromhex(
    "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be430"
    "210359ef5021964fe22d6f8e05b2463c9540ce96883fe3b278760f048f5189f2e6c452ae"
)
SIGNET = ChainParams(
    name="signet",
    genesis=_genesis(
        message=_SATOSHI_MESSAGE,
        script_pubkey=_SATOSHI_SCRIPT,
        time=1598918400,
        nonce=52613770,
        bits=0x1E0377AE,
    ),
    magic=sha256d(pack_var_bytes(_SIGNET_CHALLENGE))[:4],
    pow_limit=0x377AE << 216,
    address=TESTNET_PREFIX,
    signet_challenge=_SIGNET_CHALLENGE,
)

REGTEST = ChainParams(
    name="regtest",
    genesis=_genesis(
        message=_SATOSHI_MESSAGE,
        script_pubkey=_SATOSHI_SCRIPT,
        time=1296688602,
        nonce=2,
        bits=0x207FFFFF,
    ),
    magic=bytes.fromhex("fabfb5da"),
    pow_limit=(1 << 255) - 1,
    pow_timespan=24 * 60 * 60,
    pow_no_retargeting=True,
    pow_allow_min_difficulty=True,
    halving_interval=150,
    address=REGTEST_PREFIX,
    segwit_height=0,
)

BUILT_IN = {params.name: params for params in (MAINNET, TESTNET4, SIGNET, REGTEST)} | {"mainnet": MAINNET}


def load(name_or_path: str) -> ChainParams:
    """Return a built-in chain by name, or the one that a TOML chain file describes.

    ConfigError names the file and the setting that is wrong, missing or unknown.
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
    """Return the chain that the text of a chain file describes; ConfigError names what is wrong.

    A genesis block that brings no nonce along gets one, if `genesis_tries` suffice.
    """
    try:
        return _from_toml(tomllib.loads(text), genesis_tries)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(error)) from None


class _Table:
    """One table of a chain file: hands out its settings, and complains about those that nobody asked for."""

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
        """Raise ConfigError if a setting is left that nobody asked for."""
        if self._left:
            raise ConfigError(f"unknown setting {self._where}{min(self._left)}")

    def error(self, key: str, problem: str) -> ConfigError:
        """Return the error that `key` has this problem."""
        return ConfigError(f"{self._where}{key} {problem}")


_HEX = r"(?:[0-9a-fA-F]{2})*"
_MAX_HEIGHT = 0x7FFFFFFF
_MAX_MONEY = 21_000_000 * COIN


def _from_toml(content: dict[str, Any], genesis_tries: int) -> ChainParams:
    top = _Table("", content)
    if not top.has("name"):
        raise ConfigError("name is missing")
    name = top.text("name", "", r"[a-z][a-z0-9-]{0,31}")
    if name in BUILT_IN:
        raise ConfigError(f"name must not be that of the built-in network {name!r}")
    base_name = top.text("base", "regtest", r".+")
    if base_name not in BUILT_IN:
        raise ConfigError(f"base must be one of {', '.join(sorted(BUILT_IN))}, not {base_name!r}")
    params = replace(BUILT_IN[base_name], name=name)
    params = _with_pow(params, top.table("pow"))
    params = _with_subsidy(params, top.table("subsidy"))
    params = _with_address(params, top.table("address"))
    params = _with_activation(params, top.table("activation"))
    params = _with_genesis(params, top.table("genesis"), genesis_tries)
    magic = top.text("magic", sha256d(params.genesis.hash)[:4].hex(), r"[0-9a-fA-F]{8}")
    top.finish()
    # A chain of one's own has no signet challenge: its blocks need proof of work alone.
    return replace(params, magic=bytes.fromhex(magic), signet_challenge=b"")


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
        subsidy=table.integer("initial", base.subsidy, 0, _MAX_MONEY),
        halving_interval=table.integer("halving_interval", base.halving_interval, 1, _MAX_HEIGHT),
        coinbase_maturity=table.integer("coinbase_maturity", base.coinbase_maturity, 1, _MAX_HEIGHT),
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
        bip34_height=table.integer("bip34", base.bip34_height, 0, _MAX_HEIGHT),
        bip65_height=table.integer("bip65", base.bip65_height, 0, _MAX_HEIGHT),
        bip66_height=table.integer("bip66", base.bip66_height, 0, _MAX_HEIGHT),
        csv_height=table.integer("csv", base.csv_height, 0, _MAX_HEIGHT),
        segwit_height=table.integer("segwit", base.segwit_height, 0, _MAX_HEIGHT),
        taproot_height=table.integer("taproot", base.taproot_height, 0, _MAX_HEIGHT),
    )
    table.finish()
    return params


def _with_genesis(base: ChainParams, table: _Table, tries: int) -> ChainParams:
    """Make the genesis block: the name of the chain is in it, so that every chain has its own."""
    header = base.genesis.header
    message = table.text("message", f"Warren chain {base.name}", r"[\s\S]+").encode()
    if len(message) > _MAX_GENESIS_MESSAGE:
        raise table.error("message", f"must have at most {_MAX_GENESIS_MESSAGE} bytes")
    pays_someone = table.has("payee") or table.has("script")
    script_pubkey = _payee_script(table, base) if pays_someone else _SATOSHI_SCRIPT
    bits = table.integer("bits", target_to_bits(base.pow_limit), 1, 0xFFFFFFFF)
    target = bits_to_target(bits)
    if not 0 < target <= base.pow_limit:
        raise table.error("bits", "must be a target of at most the chain's limit")
    needs_nonce = not table.has("nonce")
    block = _genesis(
        message=message,
        script_pubkey=script_pubkey,
        time=table.integer("time", header.time, 0, 0xFFFFFFFF),
        nonce=table.integer("nonce", 0, 0, 0xFFFFFFFF),
        bits=bits,
        reward=table.integer("reward", base.subsidy, 0, _MAX_MONEY),
        version=table.integer("version", header.version, 1, _MAX_HEIGHT),
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
