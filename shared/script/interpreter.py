"""Decides whether an input may spend its coin: the last and costliest step of checking a transaction.

P2PKH, P2WPKH and P2TR key path spends are checked in full, under any flags. A spend of any other kind is refused,
never accepted unchecked. Source: VerifyScript and what it calls in Core's script/interpreter.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.crypto.hashes import hash160
from shared.crypto.signatures import verify_ecdsa, verify_schnorr
from shared.errors import DecodeError, ScriptError
from shared.reasons import Reason
from shared.script.encoding import check_public_key_encoding, check_signature_encoding
from shared.script.flags import Flags
from shared.script.opcodes import OP_1, OP_1NEGATE, OP_16, OP_RESERVED
from shared.script.script import (
    MAX_SCRIPT_ELEMENT_SIZE,
    MAX_SCRIPT_SIZE,
    encode_number,
    is_minimal_push,
    iterate,
    push_data,
)
from shared.script.sighash import SighashCache, find_and_delete
from shared.script.standard import is_p2pkh, p2pkh_script, witness_program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.primitives.transaction import Transaction, TxOut

MAX_STACK_SIZE = 1000
ANNEX_TAG = 0x50


def verify_input(
    tx: Transaction,
    index: int,
    spent_outputs: Sequence[TxOut],
    flags: Flags,
    *,
    cache: SighashCache | None = None,
) -> None:
    """Raise ScriptError unless input `index` of `tx` may spend its output under `flags`.

    `spent_outputs` are those of all inputs, in order (taproot signs them all). A `cache` for the same transaction
    and outputs saves hashing what the inputs share.
    """
    if cache is None:
        cache = SighashCache(tx, spent_outputs)
    script = spent_outputs[index].script_pubkey
    if is_p2pkh(script):
        _verify_p2pkh(cache, index, script, int(flags))
        return
    program = witness_program(script)
    if program is not None and flags & Flags.WITNESS:
        if tx.inputs[index].script_sig:
            raise ScriptError(Reason.WITNESS_MALLEATED)
        version, key = program
        if version == 0 and len(key) == 20:
            _verify_p2wpkh(cache, index, key, int(flags))
            return
        if version == 1 and len(key) == 32 and flags & Flags.TAPROOT:
            _verify_taproot_key_path(cache, index, key)
            return
    raise ScriptError(Reason.UNSUPPORTED_SCRIPT, f"input {index}: this kind of script cannot be checked yet")


def _verify_p2pkh(cache: SighashCache, index: int, script: bytes, flags: int) -> None:
    tx_in = cache.tx.inputs[index]
    stack = _run_pushes(tx_in.script_sig, flags)
    if not stack:
        raise ScriptError(Reason.INVALID_STACK_OPERATION)
    if len(stack) >= MAX_STACK_SIZE:  # OP_DUP makes one more
        raise ScriptError(Reason.STACK_SIZE)
    if hash160(stack[-1]) != script[3:23]:
        raise ScriptError(Reason.EQUALVERIFY)
    if len(stack) < 2:
        raise ScriptError(Reason.INVALID_STACK_OPERATION)
    public_key, signature = stack.pop(), stack.pop()
    script_code, found = find_and_delete(script, push_data(signature))
    if found and flags & Flags.CONST_SCRIPTCODE:
        raise ScriptError(Reason.SIG_FINDANDDELETE)
    check_signature_encoding(signature, flags)
    check_public_key_encoding(public_key, flags, is_witness_v0=False)
    digest = cache.legacy(index, script_code, signature[-1]) if signature else b""
    _require_ecdsa(public_key, signature, digest, flags)
    if stack and flags & Flags.CLEANSTACK:
        raise ScriptError(Reason.CLEANSTACK)
    if tx_in.witness and flags & Flags.WITNESS:
        raise ScriptError(Reason.WITNESS_UNEXPECTED)


def _verify_p2wpkh(cache: SighashCache, index: int, key_hash: bytes, flags: int) -> None:
    """Source: BIP141 and BIP143."""
    witness = cache.tx.inputs[index].witness
    if len(witness) != 2:
        raise ScriptError(Reason.WITNESS_PROGRAM_MISMATCH)
    signature, public_key = witness
    if len(signature) > MAX_SCRIPT_ELEMENT_SIZE or len(public_key) > MAX_SCRIPT_ELEMENT_SIZE:
        raise ScriptError(Reason.PUSH_SIZE)
    if hash160(public_key) != key_hash:
        raise ScriptError(Reason.EQUALVERIFY)
    check_signature_encoding(signature, flags)
    check_public_key_encoding(public_key, flags, is_witness_v0=True)
    amount = cache.spent_outputs[index].value
    digest = cache.segwit_v0(index, p2pkh_script(key_hash), amount, signature[-1]) if signature else b""
    _require_ecdsa(public_key, signature, digest, flags)


def _verify_taproot_key_path(cache: SighashCache, index: int, output_key: bytes) -> None:
    """Source: BIP341."""
    stack = list(cache.tx.inputs[index].witness)
    if not stack:
        raise ScriptError(Reason.WITNESS_PROGRAM_WITNESS_EMPTY)
    annex = stack.pop() if len(stack) >= 2 and stack[-1][:1] == bytes([ANNEX_TAG]) else None
    if len(stack) != 1:
        raise ScriptError(Reason.UNSUPPORTED_SCRIPT, f"input {index}: script path spends cannot be checked yet")
    signature = stack[0]
    if len(signature) not in (64, 65):
        raise ScriptError(Reason.SCHNORR_SIG_SIZE)
    hash_type = 0
    if len(signature) == 65:
        hash_type = signature[64]
        if hash_type == 0:
            raise ScriptError(Reason.SCHNORR_SIG_HASHTYPE)
    digest = cache.taproot(index, hash_type, annex=annex)
    if digest is None:
        raise ScriptError(Reason.SCHNORR_SIG_HASHTYPE)
    if not verify_schnorr(output_key, signature[:64], digest):
        raise ScriptError(Reason.SCHNORR_SIG)


def _require_ecdsa(public_key: bytes, signature: bytes, digest: bytes, flags: int) -> None:
    if signature and verify_ecdsa(public_key, signature[:-1], digest):
        return
    if signature and flags & Flags.NULLFAIL:
        raise ScriptError(Reason.NULLFAIL)
    raise ScriptError(Reason.EVAL_FALSE)


def _run_pushes(script: bytes, flags: int) -> list[bytes]:
    """Return the stack after a scriptSig, which may only push: no operation is carried out here."""
    if len(script) > MAX_SCRIPT_SIZE:
        raise ScriptError(Reason.SCRIPT_SIZE)
    stack: list[bytes] = []
    try:
        for opcode, data, _ in iterate(script):
            if data is not None:
                if len(data) > MAX_SCRIPT_ELEMENT_SIZE:
                    raise ScriptError(Reason.PUSH_SIZE)
                if flags & Flags.MINIMALDATA and not is_minimal_push(opcode, data):
                    raise ScriptError(Reason.MINIMALDATA)
                stack.append(data)
            elif opcode == OP_1NEGATE or OP_1 <= opcode <= OP_16:
                stack.append(encode_number(opcode - OP_1 + 1))
            elif opcode == OP_RESERVED:
                raise ScriptError(Reason.BAD_OPCODE)
            elif flags & Flags.SIGPUSHONLY:
                raise ScriptError(Reason.SIG_PUSHONLY)
            else:
                raise ScriptError(Reason.UNSUPPORTED_SCRIPT, "the scriptSig does more than push data")
            if len(stack) > MAX_STACK_SIZE:
                raise ScriptError(Reason.STACK_SIZE)
    except DecodeError:
        raise ScriptError(Reason.BAD_OPCODE) from None
    return stack
