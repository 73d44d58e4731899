"""Reads the parameters of paths and queries: hashes, numbers, addresses. Errors have Esplora's texts."""

from __future__ import annotations

import msgspec

from services.explorer.errors import RequestError
from shared.crypto.address import AddressNetworkError, AddressPrefix, decode_address
from shared.crypto.address_search import ScriptRange, script_ranges
from shared.crypto.hashes import sha256
from shared.errors import DecodeError
from shared.primitives.hex import parse_display_hash, parse_hex

_MAX_NUMBER = (1 << 64) - 1
_MAX_DIGITS = len(str(_MAX_NUMBER))


def read_hash(text: str) -> bytes:
    """Return the wire-order hash of 64 hex digits; 400 `Invalid hex string` otherwise."""
    try:
        return parse_display_hash(text)
    except DecodeError:
        raise RequestError(400, "Invalid hex string") from None


def read_number(text: str) -> int:
    """Return a number of up to 64 bits that is not negative; 400 `Invalid number` otherwise."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise RequestError(400, "Invalid number")
    number = int(text)
    if number > _MAX_NUMBER:
        raise RequestError(400, "Invalid number")
    return number


def read_script_hash(text: str) -> bytes:
    """Return a script hash, whose hex is not reversed; 400 `Invalid scripthash` otherwise."""
    try:
        script = parse_hex(text, "script hash")
    except DecodeError:
        script = b""
    if len(script) != 32:
        raise RequestError(400, "Invalid scripthash")
    return script


def read_address(text: str, prefix: AddressPrefix) -> bytes:
    """Return the script hash of an address of this chain; 400 with the fault for any other text."""
    return sha256(read_script_pubkey(text, prefix))


def read_script_pubkey(text: str, prefix: AddressPrefix) -> bytes:
    """Return the scriptPubKey of an address of this chain; 400 with the fault for any other text."""
    try:
        return decode_address(text, prefix)
    except AddressNetworkError:
        raise RequestError(400, "Address on invalid network") from None
    except DecodeError as error:
        raise RequestError(400, f"Invalid Bitcoin address: {error}") from None


def read_script_ranges(text: str, prefix: AddressPrefix) -> list[ScriptRange]:
    """Return the ranges of scripts whose address begins with a text; 400 if no address can begin so."""
    try:
        return script_ranges(text, prefix)
    except DecodeError as error:
        raise RequestError(400, f"Invalid address prefix: {error}") from None


def read_count(text: str | None, default: int, most: int) -> int:
    """Return the number of items of a page, from 1 to `most`; `default` if the text is not a number."""
    try:
        return default if text is None else max(1, min(read_number(text), most))
    except RequestError:
        return default


def read_texts(body: bytes) -> list[str]:
    """Return the texts of a JSON array; raises a 400 that names the mistake."""
    try:
        return msgspec.json.decode(body, type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(400, f"Invalid JSON: {error}") from None
