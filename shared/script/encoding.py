"""Checks that signatures and public keys are encoded as the flags demand, before any curve arithmetic.

Source: CheckSignatureEncoding and CheckPubKeyEncoding in Core's script/interpreter.cpp.
"""

from __future__ import annotations

from shared.crypto.signatures import is_low_s, is_strict_der
from shared.errors import ScriptError
from shared.reasons import Reason
from shared.script.flags import Flags
from shared.script.sighash import SIGHASH_ALL, SIGHASH_ANYONECANPAY, SIGHASH_SINGLE

# Plain integers: an IntFlag takes ten times as long to test.
_STRICTENC = int(Flags.STRICTENC)
_LOW_S = int(Flags.LOW_S)
_NEEDS_DER = int(Flags.DERSIG | Flags.LOW_S | Flags.STRICTENC)
_WITNESS_PUBKEYTYPE = int(Flags.WITNESS_PUBKEYTYPE)


def check_signature_encoding(signature: bytes, flags: int) -> None:
    """Raise ScriptError unless the signature, with its hash type byte, is encoded as `flags` demand, or empty."""
    if not signature:
        return
    if flags & _NEEDS_DER and not is_strict_der(signature):
        raise ScriptError(Reason.SIG_DER)
    if flags & _LOW_S and not is_low_s(signature):
        raise ScriptError(Reason.SIG_HIGH_S)
    if flags & _STRICTENC:
        hash_type = signature[-1] & ~SIGHASH_ANYONECANPAY
        if not SIGHASH_ALL <= hash_type <= SIGHASH_SINGLE:
            raise ScriptError(Reason.SIG_HASHTYPE, f"hash type {signature[-1]:#04x}")


def check_public_key_encoding(public_key: bytes, flags: int, *, is_witness_v0: bool) -> None:
    """Raise ScriptError unless the public key is encoded as `flags` demand."""
    is_compressed = len(public_key) == 33 and public_key[0] in (2, 3)
    if flags & _STRICTENC and not is_compressed and not (len(public_key) == 65 and public_key[0] == 4):
        raise ScriptError(Reason.PUBKEYTYPE)
    if flags & _WITNESS_PUBKEYTYPE and is_witness_v0 and not is_compressed:
        raise ScriptError(Reason.WITNESS_PUBKEYTYPE)
