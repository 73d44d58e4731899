"""Private and public keys on secp256k1, for signing and for making addresses.

A thin layer over libsecp256k1: for one key and digest it makes the signature that Bitcoin Core makes. `repr`, logs and
comparisons never reveal a private key.
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Self

from btclib_secp256k1 import dsa, keys, recovery, ssa, xonly

from shared.crypto import base58
from shared.crypto.hashes import hash160, tagged_hash
from shared.errors import DecodeError

if TYPE_CHECKING:
    from shared.crypto.address import AddressPrefix

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class PublicKey:
    """A point of secp256k1, in its compressed, uncompressed, x-only and hashed forms."""

    __slots__ = ("compressed", "uncompressed")

    def __init__(self, uncompressed: bytes) -> None:
        """Take the 65 bytes of a point known to be valid; bytes from outside go through `parse`."""
        # Kept because libsecp256k1 reads this form at no cost; to find Y of the compressed form it takes a square root.
        self.uncompressed = uncompressed
        self.compressed = bytes((2 + (uncompressed[64] & 1),)) + uncompressed[1:33]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the key of 33 (compressed) or 65 (uncompressed) bytes; DecodeError if they are no key."""
        if len(data) not in (33, 65):
            raise DecodeError(f"a public key has 33 or 65 bytes, not {len(data)}")
        if data[0] not in (2, 3, 4):
            raise DecodeError(f"a public key begins with 02, 03 or 04, not {data[0]:02x}")
        try:
            return cls(keys.reserialize(data, compressed=False))
        except ValueError:
            raise DecodeError("the public key is not a point of the curve") from None

    @classmethod
    def recover(cls, signature: bytes, digest: bytes) -> Self:
        """Return the public key of a signature made by `PrivateKey.sign_recoverable`; DecodeError if no key fits."""
        if len(signature) != 65 or signature[64] > 3:
            raise DecodeError("a recoverable signature has 64 bytes and a number from 0 to 3")
        try:
            return cls(recovery.recover(digest, signature[:64], signature[64], compressed=False))
        except ValueError:
            raise DecodeError("no key made this signature") from None

    @property
    def x_only(self) -> bytes:
        """The 32-byte X coordinate, big-endian (BIP340)."""
        return self.compressed[1:]

    @property
    def hash160(self) -> bytes:
        """The 20-byte hash of the compressed form, used by P2PKH and P2WPKH."""
        return hash160(self.compressed)

    def tweak_add(self, scalar: bytes) -> PublicKey:
        """Return this point plus `scalar` (32 bytes, big-endian) times the generator; ValueError at infinity."""
        return PublicKey(keys.pubkey_tweak_add(self.uncompressed, scalar, compressed=False))

    def taproot_output_key(self, merkle_root: bytes = b"") -> bytes:
        """Return the 32-byte P2TR output key (BIP341); the default has no scripts (BIP86)."""
        tweak = tagged_hash("TapTweak", self.x_only + merkle_root)
        output_key, _ = xonly.tweak_add(self.uncompressed, tweak)
        return output_key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.compressed == other.compressed

    def __hash__(self) -> int:
        return hash(self.compressed)

    def __repr__(self) -> str:
        return f"PublicKey({self.compressed.hex()})"


class PrivateKey:
    """A private key; `secret` is 32 bytes, big-endian.

    `is_compressed` only records, for WIF, which form of the public key its owner uses.
    """

    __slots__ = ("is_compressed", "public_key", "secret")

    def __init__(self, secret: bytes, *, is_compressed: bool = True) -> None:
        """Take a secret known to be valid (else ValueError); a secret from outside goes through `from_bytes`."""
        self.secret = secret
        self.public_key = PublicKey(keys.pubkey_from_prvkey(secret, compressed=False))
        self.is_compressed = is_compressed

    @classmethod
    def from_bytes(cls, secret: bytes, *, is_compressed: bool = True) -> Self:
        """Return the key of 32 bytes; DecodeError unless they are a number from 1 to the curve's order less 1."""
        if len(secret) != 32:
            raise DecodeError(f"a private key has 32 bytes, not {len(secret)}")
        if not keys.prvkey_verify(secret):
            raise DecodeError("a private key must be from 1 to the order of the curve less 1")
        return cls(secret, is_compressed=is_compressed)

    @classmethod
    def generate(cls) -> Self:
        """Return a new key from the system's randomness."""
        while not keys.prvkey_verify(secret := os.urandom(32)):
            pass  # once in 2**128
        return cls(secret)

    @classmethod
    def from_wif(cls, text: str, prefix: AddressPrefix) -> Self:
        """Return the key of a text in wallet import format; DecodeError if it is malformed or of another network."""
        payload = base58.decode_check(text)
        is_compressed = len(payload) == 34 and payload[33] == 1
        if len(payload) != 33 and not is_compressed:
            raise DecodeError("not a private key in wallet import format")
        if payload[0] != prefix.wif:
            raise DecodeError(
                f"the private key is of another network (its version is {payload[0]}, this chain's {prefix.wif})"
            )
        return cls.from_bytes(payload[1:33], is_compressed=is_compressed)

    def to_wif(self, prefix: AddressPrefix) -> str:
        """Return the wallet import format of this key."""
        suffix = b"\x01" if self.is_compressed else b""
        return base58.encode_check(bytes([prefix.wif]) + self.secret + suffix)

    def sign_ecdsa(self, digest: bytes) -> bytes:
        """Return the DER signature of a 32-byte digest, without hash type byte.

        The nonce is RFC6979's. S is low (BIP146) and R is low too, so the signature has at most 70 bytes
        (Core's CKey::Sign, which tries nonces until R is low).
        """
        return dsa.sign(digest, self.secret, grind=True, verify=False)

    def sign_recoverable(self, digest: bytes) -> bytes:
        """Return 65 bytes: the signature of a 32-byte digest, then the number, 0 to 3, that recovers its public key.

        R may be high (Core's CKey::SignCompact).
        """
        signature, number = recovery.sign(digest, self.secret, verify=False)
        return signature + bytes([number])

    def sign_schnorr(self, digest: bytes, aux: bytes | None = None) -> bytes:
        """Return the 64-byte BIP340 signature of a 32-byte digest; `aux` is 32 bytes, fresh randomness by default."""
        return ssa.sign(digest, self.secret, aux, verify=False)

    def tweak_add(self, scalar: bytes) -> PrivateKey:
        """Return this key plus `scalar` (32 bytes, big-endian) modulo the order; ValueError if that is no key."""
        secret = (int.from_bytes(self.secret, "big") + int.from_bytes(scalar, "big")) % ORDER
        if int.from_bytes(scalar, "big") >= ORDER or secret == 0:
            raise ValueError("the tweak gives no valid key")
        return PrivateKey(secret.to_bytes(32, "big"))

    def tweaked(self, merkle_root: bytes = b"") -> PrivateKey:
        """Return the key that signs for this key's P2TR output (BIP341); the default has no scripts (BIP86)."""
        tweak = tagged_hash("TapTweak", self.public_key.x_only + merkle_root)
        return PrivateKey(xonly.prvkey_tweak_add(self.secret, tweak))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrivateKey) and hmac.compare_digest(self.secret, other.secret)

    def __hash__(self) -> int:
        return hash(self.public_key)

    def __repr__(self) -> str:
        return f"PrivateKey(of {self.public_key.compressed.hex()})"
