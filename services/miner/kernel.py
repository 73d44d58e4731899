"""The innermost loop of mining: find the nonce with which a header's hash meets the target. Pure.

It knows nothing of jobs, so that a faster kernel can replace it. The header's first 64 bytes do not change with the
nonce: their SHA-256 state is computed once and copied for each try.
"""

from __future__ import annotations

import hashlib
import struct

_sha256 = hashlib.sha256
_pack_nonce = struct.Struct("<I").pack

NONCES = 1 << 32
"""The number of nonces that a header can have."""


def search(header_76: bytes, target: int, start_nonce: int, count: int) -> int | None:
    """Return the first nonce from `start_nonce` on, among `count`, that meets the target; None if there is none.

    `header_76` is a serialised header (wire order) without its nonce. A hash meets the target if it is not above it as
    a little-endian number. Nonces end at 2^32.
    """
    if len(header_76) != 76:
        raise ValueError(f"a header without its nonce has 76 bytes, not {len(header_76)}")
    midstate = _sha256(header_76[:64]).copy
    tail = header_76[64:]
    # A hash that meets the target ends in this many zero bytes: cheaper to see than a comparison of numbers.
    zeros = bytes(32 - (target.bit_length() + 7) // 8)
    for nonce in range(start_nonce, min(start_nonce + count, NONCES)):
        first = midstate()
        first.update(tail + _pack_nonce(nonce))
        digest = _sha256(first.digest()).digest()
        if digest.endswith(zeros) and int.from_bytes(digest, "little") <= target:
            return nonce
    return None
