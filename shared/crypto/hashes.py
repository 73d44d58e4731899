"""Bitcoin's hash functions, used by every other module.

All take and return `bytes` in the order in which they are hashed and sent ("wire order"). Users and RPC see reversed
hex, which `shared.primitives.hex` makes at the edges only.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from shared.crypto.ripemd160 import ripemd160 as _plain_ripemd160

if TYPE_CHECKING:
    from collections.abc import Callable

_sha256 = hashlib.sha256


def sha256(data: bytes) -> bytes:
    """Return SHA-256, 32 bytes."""
    return _sha256(data).digest()


def sha256d(data: bytes) -> bytes:
    """Return SHA-256 of SHA-256, 32 bytes: the hash of transactions, blocks and Base58Check."""
    return _sha256(_sha256(data).digest()).digest()


def _openssl_ripemd160(data: bytes) -> bytes:
    return hashlib.new("ripemd160", data, usedforsecurity=False).digest()


def _best_ripemd160() -> Callable[[bytes], bytes]:
    try:
        _openssl_ripemd160(b"")
    except ValueError:  # this OpenSSL has no RIPEMD-160
        return _plain_ripemd160
    return _openssl_ripemd160


ripemd160: Callable[[bytes], bytes] = _best_ripemd160()


def hash160(data: bytes) -> bytes:
    """Return RIPEMD-160 of SHA-256, 20 bytes: the hash in P2PKH, P2SH and P2WPKH."""
    return ripemd160(_sha256(data).digest())


@lru_cache(maxsize=64)
def _tag_midstate(tag: str) -> hashlib._Hash:
    tag_hash = sha256(tag.encode())
    return _sha256(tag_hash + tag_hash)


def tagged_hash(tag: str, data: bytes) -> bytes:
    """Return BIP340's tagged hash, 32 bytes: SHA-256 of the tag's hash twice, then the data."""
    state = _tag_midstate(tag).copy()
    state.update(data)
    return state.digest()
