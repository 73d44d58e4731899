"""Translates the beginning of an address into a few byte ranges of scriptPubKeys. Pure.

Search the ranges in a set of scripts that all have an address (`has_address`): in such a set, a script lies within a
range if and only if its address on this network begins with the given text. Encodings: see `address`.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.crypto import base58, bech32
from shared.crypto.address import AddressPrefix, encode_address
from shared.errors import DecodeError

ScriptRange = tuple[bytes, bytes]
"""First and last scriptPubKey, compared as bytes."""

MAX_ADDRESS = 90
"""Characters of the longest address (BIP173)."""
_HASH_BITS = 160
_CHECKSUM_BITS = 32
_CONTENT_BITS = _HASH_BITS + _CHECKSUM_BITS
_PAYLOAD_BYTES = 25
_PAYLOAD_DIGITS = 35
"""Base58 digits of the greatest number of 25 bytes."""
_MAX_WITNESS_VERSION = 16
_OP_1, _OP_16 = 0x51, 0x60


def script_ranges(start: str, prefix: AddressPrefix) -> list[ScriptRange]:
    """Return the ranges of scripts whose address begins with `start`; for Bech32, `start` may be in capitals.

    Raises DecodeError if `start` is longer than any address or not all letters and digits.
    """
    if len(start) > MAX_ADDRESS:
        raise DecodeError(f"an address has at most {MAX_ADDRESS} characters")
    if not (start.isascii() and start.isalnum()):
        raise DecodeError("an address is made of letters and digits")
    ranges = list(_witness_ranges(start, prefix))
    for version, head, tail in (
        (prefix.pubkey_hash, b"\x76\xa9\x14", b"\x88\xac"),
        (prefix.script_hash, b"\xa9\x14", b"\x87"),
    ):
        ranges += [(head + low + tail, head + high + tail) for low, high in _hash_ranges(start, version)]
    return ranges


# ── Bech32: five bits a character ───────────────────────────────────────────────────────────────────────────────────


def _witness_ranges(start: str, prefix: AddressPrefix) -> Iterator[ScriptRange]:
    if start not in (start.lower(), start.upper()):
        return
    start = start.lower()
    fixed = prefix.hrp + "1"
    if fixed.startswith(start):
        yield b"\x00", bytes([_OP_16 + 1])
        return
    if not start.startswith(fixed):
        return
    try:
        values = bech32.values_of(start.removeprefix(fixed))
    except DecodeError:
        return
    if values[0] > _MAX_WITNESS_VERSION:
        return
    version, groups = values[0], values[1:]
    for size in (20, 32) if version == 0 else range(2, 41):
        head = bytes([_OP_1 + version - 1 if version else 0, size])
        program = _program_range(groups, size)
        if program is None:
            continue
        low, high = (head + bound for bound in program)
        # `start` may reach into the checksum: then only one program is left, and its address decides.
        if len(groups) <= _groups(size) or (encode_address(low, prefix) or "").startswith(start):
            yield low, high


def _program_range(groups: list[int], size: int) -> ScriptRange | None:
    """Return the first and last program of `size` bytes that begins with these five-bit groups, None if none does."""
    count = _groups(size)
    spare = 5 * count - 8 * size  # bits of the last group past the end of the program; they are zero
    taken = groups[:count]
    number = 0
    for group in taken:
        number = number << 5 | group
    rest = 5 * (count - len(taken))
    low = number << rest
    high = low | ((1 << rest) - 1)
    if not rest and number & ((1 << spare) - 1):
        return None
    return (low >> spare).to_bytes(size, "big"), (high >> spare).to_bytes(size, "big")


def _groups(size: int) -> int:
    return -(-8 * size // 5)


# ── Base58Check: the digits of one number ───────────────────────────────────────────────────────────────────────────


def _hash_ranges(start: str, version: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the first and last hash of each range of 20-byte hashes whose address begins with `start`."""
    first, last = version << _CONTENT_BITS, ((version + 1) << _CONTENT_BITS) - 1
    for least, most in _number_ranges(start):
        low, high = max(least, first), min(most, last)
        if low > high:
            continue
        low_hash, high_hash = (number >> _CHECKSUM_BITS & ((1 << _HASH_BITS) - 1) for number in (low, high))
        # The first and last hash may fall outside the range because of their checksums.
        if not _begins(start, version, low_hash):
            low_hash += 1
        if low_hash <= high_hash and not _begins(start, version, high_hash):
            high_hash -= 1
        if low_hash <= high_hash:
            yield low_hash.to_bytes(20, "big"), high_hash.to_bytes(20, "big")


def _begins(start: str, version: int, content: int) -> bool:
    return base58.encode_check(bytes([version]) + content.to_bytes(20, "big")).startswith(start)


def _number_ranges(start: str) -> Iterator[tuple[int, int]]:
    """Yield the least and greatest number of each range of 25-byte numbers whose Base58 text begins with `start`."""
    digits = start.lstrip("1")
    zeros = len(start) - len(digits)
    if zeros > _PAYLOAD_BYTES:
        return
    if not digits:  # `zeros` leading zero bytes or more
        yield 0, 256 ** (_PAYLOAD_BYTES - zeros) - 1
        return
    try:
        number = base58.number_of(digits)
    except DecodeError:
        return
    # Exactly `zeros` leading zero bytes, then a number with any count of digits.
    least = 256 ** (_PAYLOAD_BYTES - zeros - 1) if zeros < _PAYLOAD_BYTES else 1
    most = 256 ** (_PAYLOAD_BYTES - zeros) - 1
    for more in range(_PAYLOAD_DIGITS - len(digits) + 1):
        low, high = number * 58**more, (number + 1) * 58**more - 1
        if max(low, least) <= min(high, most):
            yield max(low, least), min(high, most)
