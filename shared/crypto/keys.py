"""Private and public keys on secp256k1: what wallets sign with and addresses are made of.

A thin layer over libsecp256k1 (through `coincurve`): signatures are those that Bitcoin Core would make for the same
key and digest. A private key never shows itself in `repr`, logs or comparisons.
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Self

import coincurve
from coincurve._libsecp256k1 import ffi, lib

from shared.crypto import base58
from shared.crypto.hashes import hash160, tagged_hash
from shared.errors import DecodeError

if TYPE_CHECKING:
    from shared.crypto.address import AddressPrefix

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

_CONTEXT = coincurve.context.GLOBAL_CONTEXT.ctx


class PublicKey:
    """A point of secp256k1, as compressed bytes, x-only bytes or hashes of them."""

    __slots__ = ("_key", "compressed")

    def __init__(self, key: coincurve.PublicKey) -> None:
        self._key = key
        self.compressed: bytes = key.format(compressed=True)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the key of 33 (compressed) or 65 (uncompressed) bytes; DecodeError if they are none."""
        if len(data) not in (33, 65):
            raise DecodeError(f"a public key has 33 or 65 bytes, not {len(data)}")
        if data[0] not in (2, 3, 4):
            raise DecodeError(f"a public key begins with 02, 03 or 04, not {data[0]:02x}")
        try:
            return cls(coincurve.PublicKey(data))
        except ValueError:
            raise DecodeError("the public key is not a point of the curve") from None

    @property
    def uncompressed(self) -> bytes:
        """The 65-byte form."""
        return bytes(self._key.format(compressed=False))

    @property
    def x_only(self) -> bytes:
        """The 32-byte X coordinate, big-endian (BIP340)."""
        return self.compressed[1:]

    @property
    def hash160(self) -> bytes:
        """The 20-byte hash of the compressed form, as in P2PKH and P2WPKH."""
        return hash160(self.compressed)

    def tweak_add(self, scalar: bytes) -> PublicKey:
        """Return this point plus `scalar` (32 bytes, big-endian) times the generator; ValueError at infinity."""
        return PublicKey(self._key.add(scalar))

    def taproot_output_key(self, merkle_root: bytes = b"") -> bytes:
        """Return the 32-byte output key of P2TR (BIP341), by default without scripts as in BIP86."""
        tweak = tagged_hash("TapTweak", self.x_only + merkle_root)
        key = coincurve.PublicKeyXOnly(self.x_only)
        key.tweak_add(tweak)
        return bytes(key.format())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.compressed == other.compressed

    def __hash__(self) -> int:
        return hash(self.compressed)

    def __repr__(self) -> str:
        return f"PublicKey({self.compressed.hex()})"


class PrivateKey:
    """A secret number that signs; `secret` is 32 bytes, big-endian.

    `is_compressed` only says which form of the public key its owner uses, as recorded in WIF.
    """

    __slots__ = ("is_compressed", "public_key", "secret")

    def __init__(self, secret: bytes, *, is_compressed: bool = True) -> None:
        self.secret = secret
        self.public_key = PublicKey(coincurve.PublicKey.from_valid_secret(secret))
        self.is_compressed = is_compressed

    @classmethod
    def from_bytes(cls, secret: bytes, *, is_compressed: bool = True) -> Self:
        """Return the key of 32 bytes; DecodeError if they are not a number from 1 to the curve's order less 1."""
        if len(secret) != 32:
            raise DecodeError(f"a private key has 32 bytes, not {len(secret)}")
        if not lib.secp256k1_ec_seckey_verify(_CONTEXT, secret):
            raise DecodeError("a private key must be from 1 to the order of the curve less 1")
        return cls(secret, is_compressed=is_compressed)

    @classmethod
    def generate(cls) -> Self:
        """Return a new key from the system's randomness."""
        return cls(coincurve.PrivateKey().secret)

    @classmethod
    def from_wif(cls, text: str, prefix: AddressPrefix) -> Self:
        """Return the key of a wallet import format text; DecodeError if it is none or of another network."""
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

        Nonces are RFC6979's; S is low (BIP146), and R is low too, so that it has at most 70 bytes
        (Core's CKey::Sign, which tries again with a counter).
        """
        _require_digest(digest)
        signature = ffi.new("secp256k1_ecdsa_signature *")
        compact = ffi.new("unsigned char[64]")
        extra = ffi.NULL
        counter = 0
        while True:
            lib.secp256k1_ecdsa_sign(_CONTEXT, signature, digest, self.secret, ffi.NULL, extra)
            lib.secp256k1_ecdsa_signature_serialize_compact(_CONTEXT, compact, signature)
            if compact[0] < 0x80:
                break
            counter += 1
            extra = ffi.new("unsigned char[32]", counter.to_bytes(32, "little"))
        der = ffi.new("unsigned char[72]")
        size = ffi.new("size_t *", 72)
        lib.secp256k1_ecdsa_signature_serialize_der(_CONTEXT, der, size, signature)
        return bytes(ffi.buffer(der, size[0]))

    def sign_schnorr(self, digest: bytes, aux: bytes | None = None) -> bytes:
        """Return the 64-byte BIP340 signature of a 32-byte digest; `aux` is 32 bytes, fresh randomness by default."""
        _require_digest(digest)
        aux = os.urandom(32) if aux is None else aux
        if len(aux) != 32:
            raise ValueError(f"auxiliary randomness has 32 bytes, not {len(aux)}")
        signature = ffi.new("unsigned char[64]")
        lib.secp256k1_schnorrsig_sign32(_CONTEXT, signature, digest, self._keypair(), aux)
        return bytes(ffi.buffer(signature))

    def tweak_add(self, scalar: bytes) -> PrivateKey:
        """Return this key plus `scalar` (32 bytes, big-endian) modulo the order; ValueError if there is none."""
        secret = (int.from_bytes(self.secret, "big") + int.from_bytes(scalar, "big")) % ORDER
        if int.from_bytes(scalar, "big") >= ORDER or secret == 0:
            raise ValueError("the tweak gives no valid key")
        return PrivateKey(secret.to_bytes(32, "big"))

    def tweaked(self, merkle_root: bytes = b"") -> PrivateKey:
        """Return the key that signs for this key's P2TR output (BIP341), by default without scripts as in BIP86."""
        tweak = tagged_hash("TapTweak", self.public_key.x_only + merkle_root)
        keypair = self._keypair()
        if not lib.secp256k1_keypair_xonly_tweak_add(_CONTEXT, keypair, tweak):
            raise ValueError("the tweak gives no valid key")
        secret = ffi.new("unsigned char[32]")
        lib.secp256k1_keypair_sec(_CONTEXT, secret, keypair)
        return PrivateKey(bytes(ffi.buffer(secret)))

    def _keypair(self) -> object:
        keypair = ffi.new("secp256k1_keypair *")
        lib.secp256k1_keypair_create(_CONTEXT, keypair, self.secret)
        return keypair

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrivateKey) and hmac.compare_digest(self.secret, other.secret)

    def __hash__(self) -> int:
        return hash(self.public_key)

    def __repr__(self) -> str:
        return f"PrivateKey(of {self.public_key.compressed.hex()})"


def _require_digest(digest: bytes) -> None:
    if len(digest) != 32:
        raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
