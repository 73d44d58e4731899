"""The inner loop: tries nonces against a target."""

from __future__ import annotations

import hashlib
import struct

_NONCE = struct.Struct("<I")
_HEADER_BASE = 76


def search(header_base: bytes, target: int, start: int, count: int) -> int | None:
    """Return the first nonce from `start` on, of `count`, whose header hash meets the target, or None.

    `header_base` is the first 76 bytes of a header; the hash is SHA-256 twice, read as a little-endian number. The
    first 64 bytes are hashed once (the midstate): only the rest differs from nonce to nonce.
    """
    if len(header_base) != _HEADER_BASE:
        raise ValueError(f"a header without its nonce is {_HEADER_BASE} bytes, not {len(header_base)}")
    midstate = hashlib.sha256(header_base[:64])
    tail = header_base[64:]
    sha256 = hashlib.sha256
    pack = _NONCE.pack
    limit = target.to_bytes(32, "big")
    for nonce in range(start, start + count):
        inner = midstate.copy()
        inner.update(tail + pack(nonce))
        if sha256(inner.digest()).digest()[::-1] <= limit:
            return nonce
    return None
