"""Converts hashes from and to the reversed hex that users see, at the edges only."""

from __future__ import annotations

from shared.errors import DecodeError


def display_hash(hash_bytes: bytes) -> str:
    """Return the reversed hex of a txid or block hash, as RPC, explorers and logs show it."""
    return hash_bytes[::-1].hex()


def parse_display_hash(text: str) -> bytes:
    """Return the wire-order 32 bytes of a reversed hex hash; DecodeError if it is not 64 hex digits."""
    if len(text) != 64:
        raise DecodeError(f"a hash has 64 hex digits, not {len(text)}")
    return parse_hex(text, "hash")[::-1]


def parse_hex(text: str, name: str) -> bytes:
    """Return the bytes of plain hex without spaces; DecodeError begins with `name`, the name of the value."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise DecodeError(f"{name} is not hex") from None
    if len(data) * 2 != len(text):  # fromhex skips spaces
        raise DecodeError(f"{name} is not hex")
    return data
