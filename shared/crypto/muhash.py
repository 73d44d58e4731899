"""MuHash3072: the hash of a set, in any order (Core's crypto/muhash.cpp, for `gettxoutsetinfo` with muhash). Pure.

SHA-256 and ChaCha20 turn each element into a number of 3,072 bits; the set's number is their product modulo
2^3072 - 1103717.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from shared.crypto.hashes import sha256

_BITS = 3072
_EXCESS = 1_103_717
PRIME = (1 << _BITS) - _EXCESS
_MASK = (1 << _BITS) - 1
_SIZE = 384


def element(data: bytes) -> int:
    """Return the number of one element of the set."""
    stream = Cipher(ChaCha20(sha256(data), bytes(16)), mode=None).encryptor()
    return int.from_bytes(stream.update(bytes(_SIZE)), "little")


def product(elements: Iterable[bytes], start: int = 1) -> int:
    """Return the product of `start` and the numbers of all elements, modulo the prime."""
    for data in elements:
        start *= element(data)
        while (high := start >> _BITS) > 0:  # 2^3072 is _EXCESS modulo the prime: quicker than a division
            start = (start & _MASK) + high * _EXCESS
    return start % PRIME


def finalize(number: int) -> bytes:
    """Return the 32-byte hash, wire order, of the set with this product."""
    return sha256(number.to_bytes(_SIZE, "little"))
