"""Makes the scriptSig and witness that unlock an input, from keys or from signatures that are there already. Pure.

One walk down the script (P2SH, P2WSH, then the template within) serves signing, combining and finalising; they differ
in the `Source` of signatures, keys and scripts. After Core's script/sign.cpp (ProduceSignature).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.crypto.hashes import hash160, sha256
from shared.crypto.keys import PrivateKey
from shared.crypto.signatures import verify_ecdsa, verify_schnorr
from shared.errors import DecodeError
from shared.script.machine import SigVersion
from shared.script.script import iterate, push_data
from shared.script.sighash import SIGHASH_ALL, SIGHASH_DEFAULT, SighashCache
from shared.script.standard import ScriptType, classify, p2pkh_script

_KEY_SIZES = (33, 65)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a signature: an input, and the script whose signature check needs it."""

    cache: SighashCache
    index: int
    version: SigVersion = SigVersion.BASE
    script_code: bytes = b""

    def digest(self, hash_type: int) -> bytes:
        """Return the 32 bytes that an ECDSA signature with this hash type signs here."""
        if self.version is SigVersion.BASE:
            return self.cache.legacy(self.index, self.script_code, hash_type)
        amount = self.cache.spent_outputs[self.index].value
        return self.cache.segwit_v0(self.index, self.script_code, amount, hash_type)


class Source(Protocol):
    """A store of signatures, public keys and scripts; it returns None for one that it lacks."""

    def public_key(self, key_hash: bytes) -> bytes | None:
        """Return the public key with this HASH160."""

    def script(self, script_hash: bytes) -> bytes | None:
        """Return the redeem script with this HASH160, or the witness script with this SHA-256."""

    def signature(self, public_key: bytes, place: Place) -> bytes | None:
        """Return an ECDSA signature, hash type at the end."""

    def taproot_signature(self, output_key: bytes, place: Place) -> bytes | None:
        """Return a Schnorr signature for a taproot output key."""


@dataclass(frozen=True, slots=True)
class Unlocking:
    """The scriptSig and witness of an input."""

    script_sig: bytes
    witness: tuple[bytes, ...]


def unlock(cache: SighashCache, index: int, source: Source) -> Unlocking | None:
    """Return the scriptSig and witness as far as the source goes (a multisig may lack signatures), None for none."""
    script = cache.spent_outputs[index].script_pubkey
    place = Place(cache, index)
    kind, parts = classify(script)
    redeem: bytes | None = None
    if kind is ScriptType.SCRIPTHASH:
        redeem = source.script(parts[0])
        if redeem is None:
            return None
        script = redeem
        kind, parts = classify(script)
    tail = () if redeem is None else (redeem,)
    match kind:
        case ScriptType.WITNESS_V0_KEYHASH:
            inner = Place(cache, index, SigVersion.WITNESS_V0, p2pkh_script(parts[0]))
            stack = _satisfy(ScriptType.PUBKEYHASH, parts, inner, source)
        case ScriptType.WITNESS_V0_SCRIPTHASH:
            witness_script = source.script(parts[0])
            if witness_script is None:
                return None
            inner = Place(cache, index, SigVersion.WITNESS_V0, witness_script)
            stack = _satisfy(*classify(witness_script), inner, source)
            stack = None if stack is None else [*stack, witness_script]
        case ScriptType.WITNESS_V1_TAPROOT if redeem is None:
            signature = source.taproot_signature(parts[0], place)
            stack = None if signature is None else [signature]
        case _:
            legacy = Place(cache, index, SigVersion.BASE, script)
            stack = _satisfy(kind, parts, legacy, source)
            return None if stack is None else Unlocking(b"".join(map(push_data, (*stack, *tail))), ())
    return None if stack is None else Unlocking(b"".join(map(push_data, tail)), tuple(stack))


def _satisfy(kind: ScriptType, parts: Sequence[bytes], place: Place, source: Source) -> list[bytes] | None:
    """Return the stack that satisfies a template, None if the source lacks its parts (Core's SignStep)."""
    match kind:
        case ScriptType.PUBKEY:
            signature = source.signature(parts[0], place)
            return None if signature is None else [signature]
        case ScriptType.PUBKEYHASH:
            key = source.public_key(parts[0])
            signature = source.signature(key, place) if key is not None else None
            return None if key is None or signature is None else [signature, key]
        case ScriptType.MULTISIG:
            required = parts[0][0]
            found = [s for key in parts[1:-1] if (s := source.signature(key, place)) is not None][:required]
            return [b"", *found, *[b""] * (required - len(found))] if found else None
    return None


@dataclass(slots=True)
class Keyring:
    """Signs with private keys. `scripts` are redeem and witness scripts that the caller knows."""

    keys: Sequence[PrivateKey]
    hash_type: int = SIGHASH_DEFAULT
    scripts: Sequence[bytes] = ()
    _by_key: dict[bytes, PrivateKey] = field(default_factory=dict, init=False, repr=False)
    _by_output_key: dict[bytes, PrivateKey] = field(default_factory=dict, init=False, repr=False)
    _hashes: dict[bytes, bytes] = field(default_factory=dict, init=False, repr=False)
    _scripts: dict[bytes, bytes] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the keys by the hashes and public keys that stand in scripts."""
        for key in self.keys:
            for form in (key.public_key.compressed, key.public_key.uncompressed):
                self._by_key[form] = key
                self._hashes[hash160(form)] = form
            self._by_output_key[key.public_key.taproot_output_key()] = key.tweaked()
            self._by_output_key.setdefault(key.public_key.x_only, key)
            # P2SH-P2WPKH needs no redeem script from the caller: it follows from the key.
            self._add_script(b"\x00\x14" + key.public_key.hash160)
        for script in self.scripts:
            self._add_script(script)

    def _add_script(self, script: bytes) -> None:
        self._scripts[hash160(script)] = self._scripts[sha256(script)] = script
        nested = b"\x00\x20" + sha256(script)
        self._scripts[hash160(nested)] = nested

    def public_key(self, key_hash: bytes) -> bytes | None:
        """Return the public key with this HASH160."""
        return self._hashes.get(key_hash)

    def script(self, script_hash: bytes) -> bytes | None:
        """Return a known script by either of its hashes."""
        return self._scripts.get(script_hash)

    def signature(self, public_key: bytes, place: Place) -> bytes | None:
        """Sign; only compressed keys in a witness."""
        key = self._by_key.get(public_key)
        if key is None or (place.version is SigVersion.WITNESS_V0 and len(public_key) != 33):
            return None
        hash_type = self.hash_type or SIGHASH_ALL
        return key.sign_ecdsa(place.digest(hash_type)) + bytes([hash_type])

    def taproot_signature(self, output_key: bytes, place: Place) -> bytes | None:
        """Sign for a key path."""
        key = self._by_output_key.get(output_key)
        digest = place.cache.taproot(place.index, self.hash_type)
        if key is None or digest is None:
            return None
        return key.sign_schnorr(digest) + (bytes([self.hash_type]) if self.hash_type else b"")


class Evidence:
    """Finds signatures, keys and scripts among byte strings: pushes and witness items of inputs, or values of a PSBT.

    A signature counts only where it verifies, so the strings need no labels.
    """

    def __init__(self, items: Iterable[bytes]) -> None:
        self._items = list(dict.fromkeys(item for item in items if item))
        self._hashes: Mapping[bytes, bytes] = {
            digest: item for item in self._items for digest in (hash160(item), sha256(item))
        }

    def public_key(self, key_hash: bytes) -> bytes | None:
        """Return the item with this HASH160, if it has the size of a key."""
        found = self._hashes.get(key_hash)
        return found if found is not None and len(found) in _KEY_SIZES else None

    def script(self, script_hash: bytes) -> bytes | None:
        """Return the item with this hash."""
        return self._hashes.get(script_hash)

    def signature(self, public_key: bytes, place: Place) -> bytes | None:
        """Return the first item that is a signature by this key here."""
        return next((item for item in self._items if _is_signature(item, public_key, place)), None)

    def taproot_signature(self, output_key: bytes, place: Place) -> bytes | None:
        """Return the first item that is a signature by this output key."""
        for item in self._items:
            if len(item) in (64, 65) and (len(item) == 64 or item[64]):
                digest = place.cache.taproot(place.index, item[64] if len(item) == 65 else SIGHASH_DEFAULT)
                if digest is not None and verify_schnorr(output_key, item[:64], digest):
                    return item
        return None


def _is_signature(item: bytes, public_key: bytes, place: Place) -> bool:
    return 9 <= len(item) <= 73 and item[0] == 0x30 and verify_ecdsa(public_key, item[:-1], place.digest(item[-1]))


@dataclass(frozen=True, slots=True)
class FirstOf:
    """Asks several sources in turn."""

    sources: Sequence[Source]

    def public_key(self, key_hash: bytes) -> bytes | None:
        """Return the first answer."""
        return next((found for source in self.sources if (found := source.public_key(key_hash)) is not None), None)

    def script(self, script_hash: bytes) -> bytes | None:
        """Return the first answer."""
        return next((found for source in self.sources if (found := source.script(script_hash)) is not None), None)

    def signature(self, public_key: bytes, place: Place) -> bytes | None:
        """Return the first answer."""
        found = (source.signature(public_key, place) for source in self.sources)
        return next((signature for signature in found if signature is not None), None)

    def taproot_signature(self, output_key: bytes, place: Place) -> bytes | None:
        """Return the first answer."""
        found = (source.taproot_signature(output_key, place) for source in self.sources)
        return next((signature for signature in found if signature is not None), None)


def evidence_of(script_sig: bytes, witness: Sequence[bytes]) -> list[bytes]:
    """Return the pushes of an input's scriptSig, and the items of its witness."""
    try:
        pushed = [op.data for op in iterate(script_sig) if op.data]
    except DecodeError:
        pushed = []
    return [*pushed, *witness]
