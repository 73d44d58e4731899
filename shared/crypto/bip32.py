"""BIP32: derives a tree of keys from one seed; the wallet's addresses come from it (BIP84: m/84h/1h/0h/0/0 …)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Self

from shared.crypto import base58
from shared.crypto.keys import PrivateKey, PublicKey
from shared.errors import DecodeError

if TYPE_CHECKING:
    from shared.crypto.address import AddressPrefix

HARDENED = 0x80000000

_SERIALIZED = Struct(">4sB4sI32s33s")
_INDEX = Struct(">I")


@dataclass(frozen=True, slots=True)
class ExtendedKey:
    """A key with its chain code and position in the tree; `private_key` is None in an extended public key."""

    private_key: PrivateKey | None
    public_key: PublicKey
    chain_code: bytes
    depth: int = 0
    parent_fingerprint: bytes = bytes(4)
    child_number: int = 0

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Return the master key of a seed of 16 to 64 bytes."""
        if not 16 <= len(seed) <= 64:
            raise DecodeError(f"a seed has 16 to 64 bytes, not {len(seed)}")
        digest = hmac.digest(b"Bitcoin seed", seed, hashlib.sha512)
        private_key = PrivateKey.from_bytes(digest[:32])
        return cls(private_key, private_key.public_key, digest[32:])

    @property
    def fingerprint(self) -> bytes:
        """The first four bytes of this key's identifier."""
        return self.public_key.hash160[:4]

    def child(self, index: int) -> ExtendedKey:
        """Return child number `index`; children from HARDENED on are hardened and need the private key.

        Raises DecodeError if there is no such child: a hardened child of a public key, or one below level 255.
        """
        if not 0 <= index <= 0xFFFFFFFF:
            raise DecodeError(f"child number {index} is not from 0 to 2^32 - 1")
        if self.depth == 255:
            raise DecodeError("a BIP32 tree has at most 255 levels")
        if index < HARDENED:
            data = self.public_key.compressed
        elif self.private_key is not None:
            data = b"\x00" + self.private_key.secret
        else:
            raise DecodeError("a hardened child needs the private key")
        digest = hmac.digest(self.chain_code, data + _INDEX.pack(index), hashlib.sha512)
        try:
            private_key = self.private_key.tweak_add(digest[:32]) if self.private_key is not None else None
            public_key = private_key.public_key if private_key else self.public_key.tweak_add(digest[:32])
        except ValueError:  # one index in 2^127; BIP32 says to go on with the next one
            raise DecodeError(f"child number {index} does not exist: take the next one") from None
        return ExtendedKey(private_key, public_key, digest[32:], self.depth + 1, self.fingerprint, index)

    def derive(self, path: str) -> ExtendedKey:
        """Return the descendant at a path such as `84h/1h/0h/0/5` (or with `'`, or beginning with `m/`)."""
        key = self
        for index in parse_path(path):
            key = key.child(index)
        return key

    def neuter(self) -> ExtendedKey:
        """Return the extended public key of this position: this key without its private key."""
        return ExtendedKey(
            None, self.public_key, self.chain_code, self.depth, self.parent_fingerprint, self.child_number
        )

    def serialize(self, prefix: AddressPrefix) -> str:
        """Return the `xprv…`, `tprv…`, `xpub…` or `tpub…` text; `xprv` and `tprv` contain the secret."""
        if self.private_key is not None:
            version, key = prefix.bip32_private, b"\x00" + self.private_key.secret
        else:
            version, key = prefix.bip32_public, self.public_key.compressed
        return base58.encode_check(
            _SERIALIZED.pack(version, self.depth, self.parent_fingerprint, self.child_number, self.chain_code, key)
        )

    @classmethod
    def parse(cls, text: str, prefix: AddressPrefix) -> Self:
        """Return the key of an extended key's text; DecodeError if the text is malformed or of another network."""
        data = base58.decode_check(text)
        if len(data) != _SERIALIZED.size:
            raise DecodeError(f"an extended key has {_SERIALIZED.size} bytes, not {len(data)}")
        version, depth, parent, number, chain_code, key = _SERIALIZED.unpack(data)
        if depth == 0 and (parent != bytes(4) or number != 0):
            raise DecodeError("a master key has no parent and no child number")
        if version == prefix.bip32_private:
            if key[0] != 0:
                raise DecodeError("the private key of an extended key begins with a zero byte")
            private_key = PrivateKey.from_bytes(key[1:])
            return cls(private_key, private_key.public_key, chain_code, depth, parent, number)
        if version == prefix.bip32_public:
            return cls(None, PublicKey.parse(key), chain_code, depth, parent, number)
        raise DecodeError(f"the extended key is of another network (its version is {version.hex()})")


def parse_path(path: str) -> list[int]:
    """Return the child numbers of a derivation path; DecodeError if a step is not a number."""
    steps = path.split("/")
    if steps[0] in ("m", ""):
        steps = steps[1:]
    return [_parse_step(step, path) for step in steps]


def _parse_step(step: str, path: str) -> int:
    is_hardened = step.endswith(("h", "H", "'"))
    digits = step[:-1] if is_hardened else step
    if not (digits.isascii() and digits.isdigit()) or int(digits) >= HARDENED:
        raise DecodeError(f"{step!r} is not a step of a derivation path (in {path!r})")
    return int(digits) + (HARDENED if is_hardened else 0)
