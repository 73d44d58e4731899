"""Checks signatures: Bitcoin's ECDSA with its lax and strict encodings, and BIP340 Schnorr.

The script interpreter calls these functions for every input, so they call libsecp256k1 directly (see `shared.crypto`).
None of them raises for bad data: a malformed signature or key is simply not valid.
"""

from __future__ import annotations

from btclib_secp256k1 import ffi, lib
from btclib_secp256k1.context import ctx

_PUBLIC_KEY = ffi.typeof("secp256k1_pubkey *")
_X_ONLY_KEY = ffi.typeof("secp256k1_xonly_pubkey *")
_ECDSA_SIGNATURE = ffi.typeof("secp256k1_ecdsa_signature *")
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
# The length that a public key must have, by its first byte (Core's CPubKey::GetLen); 6 and 7 are hybrid keys.
_KEY_LENGTHS = {2: 33, 3: 33, 4: 65, 6: 65, 7: 65}


def verify_ecdsa(public_key: bytes, signature: bytes, digest: bytes) -> bool:
    """Tell whether `signature` (DER, without hash type byte) signs the 32-byte `digest`.

    As lax as Core's CPubKey::Verify: accepts any S and any encoding that OpenSSL once accepted. `is_strict_der` and
    `is_low_s` decide, under the script flags, which encodings are allowed. `public_key` has 33 or 65 bytes.
    """
    if not public_key or _KEY_LENGTHS.get(public_key[0]) != len(public_key):
        return False
    key = ffi.new(_PUBLIC_KEY)
    if not lib.secp256k1_ec_pubkey_parse(ctx, key, public_key, len(public_key)):
        return False
    compact = _parse_der_lax(signature)
    parsed = ffi.new(_ECDSA_SIGNATURE)
    if compact is None or not lib.secp256k1_ecdsa_signature_parse_compact(ctx, parsed, compact):
        return False
    lib.secp256k1_ecdsa_signature_normalize(ctx, parsed, parsed)
    return bool(lib.secp256k1_ecdsa_verify(ctx, parsed, digest, key))


def verify_strict_ecdsa(public_key: bytes, signature: bytes, digest: bytes) -> bool:
    """Tell whether `signature` (strict DER with a low S, without hash type byte) signs the 32-byte `digest`.

    `public_key` must be compressed. libsecp256k1 itself refuses every other encoding of a signature, and a high S.
    """
    key = ffi.new(_PUBLIC_KEY)
    parsed = ffi.new(_ECDSA_SIGNATURE)
    return bool(
        len(public_key) == 33
        and lib.secp256k1_ec_pubkey_parse(ctx, key, public_key, 33)
        and lib.secp256k1_ecdsa_signature_parse_der(ctx, parsed, signature, len(signature))
        and lib.secp256k1_ecdsa_verify(ctx, parsed, digest, key)
    )


def verify_schnorr(x_only_key: bytes, signature: bytes, digest: bytes) -> bool:
    """Tell whether the 64-byte `signature` signs the 32-byte `digest` under BIP340 and a 32-byte x-only key."""
    if len(x_only_key) != 32 or len(signature) != 64:
        return False
    key = ffi.new(_X_ONLY_KEY)
    if not lib.secp256k1_xonly_pubkey_parse(ctx, key, x_only_key):
        return False
    return bool(lib.secp256k1_schnorrsig_verify(ctx, signature, digest, len(digest), key))


def check_taproot_tweak(output_key: bytes, internal_key: bytes, tweak: bytes, parity: int) -> bool:
    """Tell whether the 32-byte output key is the internal key plus `tweak`, with this parity of Y (BIP341)."""
    internal = ffi.new(_X_ONLY_KEY)
    if not lib.secp256k1_xonly_pubkey_parse(ctx, internal, internal_key):
        return False
    return bool(lib.secp256k1_xonly_pubkey_tweak_add_check(ctx, output_key, parity, internal, tweak))


def is_strict_der(signature: bytes) -> bool:
    """Tell whether a signature *with* its hash type byte is strict DER (BIP66, IsValidSignatureEncoding)."""
    size = len(signature)
    if not 9 <= size <= 73 or signature[0] != 0x30 or signature[1] != size - 3:
        return False
    r_size = signature[3]
    if 5 + r_size >= size:
        return False
    s_size = signature[5 + r_size]
    if r_size + s_size + 7 != size:
        return False
    return _is_strict_integer(signature, 2, r_size) and _is_strict_integer(signature, 4 + r_size, s_size)


def _is_strict_integer(signature: bytes, at: int, size: int) -> bool:
    """Tell whether the DER integer at `at` is positive and not padded; the caller has checked that it fits."""
    if signature[at] != 0x02 or size == 0:
        return False
    first = signature[at + 2]
    if first & 0x80:
        return False
    return not (size > 1 and first == 0 and not signature[at + 3] & 0x80)


def is_low_s(signature: bytes) -> bool:
    """Tell whether the S of a signature with hash type byte is at most half the order (BIP146, IsLowDERSignature)."""
    if not is_strict_der(signature):
        return False
    r_size = signature[3]
    s_at = 6 + r_size
    return int.from_bytes(signature[s_at : s_at + signature[5 + r_size]], "big") <= _HALF_ORDER


def _parse_der_lax(signature: bytes) -> bytes | None:
    """Return R and S, 32 bytes each, of a loosely DER-encoded signature (Core's ecdsa_signature_parse_der_lax).

    Accepts all that OpenSSL once accepted: negative or padded integers, long lengths, garbage at the end. If R or S
    has more than 32 bytes, both become zero, which never verifies. None if the encoding cannot be read.
    """
    if len(signature) < 2 or signature[0] != 0x30:
        return None
    at = 2
    if signature[1] & 0x80:
        at += signature[1] & 0x7F
    found_r = _lax_integer(signature, at)
    found_s = found_r and _lax_integer(signature, found_r[1])
    if not found_r or not found_s:
        return None
    r, s = found_r[0], found_s[0]
    if len(r) > 32 or len(s) > 32:
        return bytes(64)
    return r.rjust(32, b"\x00") + s.rjust(32, b"\x00")


def _lax_integer(signature: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the bytes of the integer at `at`, without leading zeros, and its end; None if no integer is there."""
    end = len(signature)
    if at + 2 > end or signature[at] != 0x02:
        return None
    size = signature[at + 1]
    at += 2
    if size & 0x80:
        length_end = at + (size & 0x7F)
        if length_end > end:
            return None
        length = signature[at:length_end].lstrip(b"\x00")
        if len(length) >= 4:
            return None
        size = int.from_bytes(length, "big")
        at = length_end
    if at + size > end:
        return None
    return signature[at : at + size].lstrip(b"\x00"), at + size
