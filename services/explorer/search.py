"""What somebody means who types into the search box: a height, a hash, an address or a public key. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.crypto.address import AddressPrefix, decode_address, encode_address
from shared.crypto.hashes import hash160
from shared.crypto.keys import PublicKey
from shared.errors import DecodeError
from shared.primitives.hexes import parse_display_hash, parse_hex
from shared.script.standard import p2wpkh_script

_MAX_HEIGHT_DIGITS = 10
_KEY_DIGITS = (66, 130)


@dataclass(frozen=True, slots=True)
class HeightQuery:
    """The height of a block."""

    height: int


@dataclass(frozen=True, slots=True)
class HashQuery:
    """The hash of a block or a transaction, in wire order."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class AddressQuery:
    """An address of this chain, also the one that a public key stands for (P2WPKH)."""

    address: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """None of these; `tried` says what it was taken for and why it is not that."""

    tried: tuple[str, ...]


Query = HeightQuery | HashQuery | AddressQuery | Unclear


def understand(text: str, prefix: AddressPrefix) -> Query:
    """Return what a text asks for; a height may have a `#` before it and its digits grouped by commas."""
    text = text.strip()
    number = text.removeprefix("#").replace(",", "")
    if number.isascii() and number.isdigit() and len(number) <= _MAX_HEIGHT_DIGITS:
        return HeightQuery(int(number))
    tried = ["As a height: it is not a number"]
    try:
        return HashQuery(parse_display_hash(text))
    except DecodeError as error:
        tried.append(f"As a block hash or txid: {error}")
    if len(text) in _KEY_DIGITS:
        try:
            return AddressQuery(_key_address(text, prefix))
        except DecodeError as error:
            tried.append(f"As a public key: {error}")
    try:
        decode_address(text, prefix)
    except DecodeError as error:
        reason = str(error).removeprefix("not an address: ")
        tried.append(f"As an address: {reason}")
        return Unclear(tuple(tried))
    return AddressQuery(text)


def _key_address(text: str, prefix: AddressPrefix) -> str:
    key = PublicKey.parse(parse_hex(text, "public key"))
    address = encode_address(p2wpkh_script(hash160(key.compressed)), prefix)
    if address is None:
        raise DecodeError("this chain has no address for it")
    return address
