"""Reads the text of the search box: a height, a hash, an output, an address or a public key. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.crypto.address import AddressPrefix, decode_address, encode_address
from shared.crypto.address_search import ScriptRange, script_ranges
from shared.crypto.hashes import hash160
from shared.crypto.keys import PublicKey
from shared.errors import DecodeError
from shared.primitives.hex import parse_display_hash, parse_hex
from shared.primitives.transaction import MAX_VOUT, OutPoint
from shared.script.opcodes import OP_CHECKSIG
from shared.script.script import push_data
from shared.script.standard import p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script

_MAX_HEIGHT_DIGITS = 10
_KEY_DIGITS = (66, 130)
_LEAST_BEGINNING = 4


@dataclass(frozen=True, slots=True)
class HeightQuery:
    """The height of a block."""

    height: int


@dataclass(frozen=True, slots=True)
class HashQuery:
    """The hash of a block or a transaction, in wire order."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class OutputQuery:
    """An output of a transaction."""

    outpoint: OutPoint


@dataclass(frozen=True, slots=True)
class AddressQuery:
    """An address of this chain."""

    address: str


@dataclass(frozen=True, slots=True)
class KeyForm:
    """A way to pay to a public key."""

    name: str
    script: bytes
    address: str | None


@dataclass(frozen=True, slots=True)
class KeyQuery:
    """A public key, which stands for several scripts."""

    forms: tuple[KeyForm, ...]


@dataclass(frozen=True, slots=True)
class UnknownQuery:
    """A text that is none of these; `tried` gives, for each reading, the reason against it."""

    tried: tuple[str, ...]
    ranges: tuple[ScriptRange, ...] = ()
    """Ranges of the scripts whose addresses begin with the text; empty if no address can, or if it is too short."""


Query = HeightQuery | HashQuery | OutputQuery | AddressQuery | KeyQuery | UnknownQuery


def understand(text: str, prefix: AddressPrefix) -> Query:
    """Return the meaning of a text; a height may begin with `#` and have its digits grouped by commas."""
    text = text.strip()
    number = text.removeprefix("#").replace(",", "")
    if number.isascii() and number.isdigit() and len(number) <= _MAX_HEIGHT_DIGITS:
        return HeightQuery(int(number))
    tried = ["As a height: it is not a number"]
    try:
        return HashQuery(parse_display_hash(text))
    except DecodeError as error:
        tried.append(f"As a block hash or txid: {error}")
    if ":" in text:
        try:
            return OutputQuery(_parse_output(text))
        except DecodeError as error:
            tried.append(f"As an output (txid:number): {error}")
    if len(text) in _KEY_DIGITS:
        try:
            return KeyQuery(key_forms(PublicKey.parse(parse_hex(text, "public key")), prefix))
        except DecodeError as error:
            tried.append(f"As a public key: {error}")
    try:
        decode_address(text, prefix)
    except DecodeError as error:
        reason = str(error).removeprefix("not an address: ")
        tried.append(f"As an address: {reason}")
        return UnknownQuery(tuple(tried), _ranges(text, prefix))
    return AddressQuery(text)


def key_forms(key: PublicKey, prefix: AddressPrefix) -> tuple[KeyForm, ...]:
    """Return the scripts that pay one public key, the common ones of today first."""
    p2wpkh = p2wpkh_script(hash160(key.compressed))
    scripts = (
        ("P2WPKH", p2wpkh),
        ("P2TR", p2tr_script(key.taproot_output_key())),
        ("P2WPKH in P2SH", p2sh_script(hash160(p2wpkh))),
        ("P2PKH", p2pkh_script(hash160(key.compressed))),
        ("P2PKH, uncompressed", p2pkh_script(hash160(key.uncompressed))),
        ("P2PK", push_data(key.compressed) + bytes([OP_CHECKSIG])),
        ("P2PK, uncompressed", push_data(key.uncompressed) + bytes([OP_CHECKSIG])),
    )
    return tuple(KeyForm(name, script, encode_address(script, prefix)) for name, script in scripts)


def _parse_output(text: str) -> OutPoint:
    txid, _, vout = text.partition(":")
    if not (vout.isascii() and vout.isdigit() and len(vout) <= _MAX_HEIGHT_DIGITS and int(vout) <= MAX_VOUT):
        raise DecodeError("the part after the colon is not the number of an output")
    return OutPoint(parse_display_hash(txid), int(vout))


def _ranges(text: str, prefix: AddressPrefix) -> tuple[ScriptRange, ...]:
    if len(text) < _LEAST_BEGINNING:
        return ()
    try:
        return tuple(script_ranges(text, prefix))
    except DecodeError:
        return ()
