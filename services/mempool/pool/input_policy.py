"""Relay policy for inputs: the outputs that they spend, their scripts and witnesses. Pure.

Source: Core's ValidateInputsStandardness and IsWitnessStandard. `shared/policy.py` has the numbers, and the rules that
need only the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import DecodeError, ValidationError
from shared.policy import (
    MAX_P2SH_SIGOPS,
    MAX_P2WSH_SCRIPT_SIZE,
    MAX_P2WSH_STACK_ITEM_SIZE,
    MAX_P2WSH_STACK_ITEMS,
    MAX_TAPSCRIPT_STACK_ITEM_SIZE,
    MAX_TX_LEGACY_SIGOPS,
)
from shared.primitives.transaction import Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script.interpreter import TAPROOT_LEAF_MASK, TAPROOT_LEAF_TAPSCRIPT, has_annex
from shared.script.opcodes import OP_1, OP_1NEGATE, OP_16
from shared.script.script import MAX_SCRIPT_ELEMENT_SIZE, count_sigops, encode_number, iterate
from shared.script.standard import ScriptType, classify, witness_program


def check_inputs_standard(tx: Transaction, spent: Sequence[TxOut]) -> None:
    """Raise `ValidationError` for a spend of unknown or costly form; `spent` are the spent outputs, in order."""
    sigops = 0
    for vin, (txin, output) in enumerate(zip(tx.inputs, spent, strict=True)):
        script = output.script_pubkey
        kind, _ = classify(script)
        if kind in (ScriptType.NONSTANDARD, ScriptType.WITNESS_UNKNOWN):
            raise _nonstandard(f"input {vin} script unknown")
        redeem_script = b""
        if kind is ScriptType.SCRIPTHASH:
            redeem_script = _redeem_script(vin, txin)
            count = count_sigops(redeem_script, accurate=True)
            if count > MAX_P2SH_SIGOPS:
                raise _nonstandard(f"p2sh redeemscript sigops exceed limit (input {vin}: {count} > {MAX_P2SH_SIGOPS})")
            sigops += count
        elif kind in (ScriptType.PUBKEY, ScriptType.PUBKEYHASH, ScriptType.MULTISIG):
            sigops += count_sigops(script, accurate=True)
        if txin.script_sig:
            sigops += count_sigops(txin.script_sig, accurate=True)
        if sigops > MAX_TX_LEGACY_SIGOPS:
            raise _nonstandard("non-witness sigops exceed bip54 limit")
        if txin.witness and kind is not ScriptType.WITNESS_V0_KEYHASH:
            if kind is ScriptType.ANCHOR:
                raise ValidationError(Reason.BAD_WITNESS_NONSTANDARD, f"input {vin}: an anchor needs no witness")
            is_wrapped = kind is ScriptType.SCRIPTHASH
            _check_witness(vin, txin.witness, redeem_script if is_wrapped else script, is_wrapped=is_wrapped)


def _check_witness(vin: int, stack: Sequence[bytes], script: bytes, *, is_wrapped: bool) -> None:
    """Raise `ValidationError` for a superfluous or oversized witness; `script` is the scriptPubKey or redeem script."""
    program = witness_program(script)
    if program is None:
        raise ValidationError(Reason.BAD_WITNESS_NONSTANDARD, f"input {vin} has a superfluous witness")
    if program[0] == 0 and len(program[1]) == 32:
        if len(stack[-1]) > MAX_P2WSH_SCRIPT_SIZE:
            raise ValidationError(Reason.BAD_WITNESS_NONSTANDARD, f"input {vin}: script of {len(stack[-1])} bytes")
        if len(stack) - 1 > MAX_P2WSH_STACK_ITEMS:
            raise ValidationError(Reason.BAD_WITNESS_NONSTANDARD, f"input {vin}: {len(stack) - 1} stack items")
        _check_item_sizes(vin, stack[:-1], MAX_P2WSH_STACK_ITEM_SIZE)
    elif program[0] == 1 and len(program[1]) == 32 and not is_wrapped:
        _check_taproot_witness(vin, stack)


def _check_taproot_witness(vin: int, stack: Sequence[bytes]) -> None:
    if len(stack) < 2:
        return  # a spend by key
    if has_annex(stack):
        raise ValidationError(Reason.BAD_WITNESS_NONSTANDARD, f"input {vin} has an annex")
    control_block = stack[-1]
    if not control_block:
        raise ValidationError(Reason.BAD_WITNESS_NONSTANDARD, f"input {vin} has an empty control block")
    if control_block[0] & TAPROOT_LEAF_MASK == TAPROOT_LEAF_TAPSCRIPT:
        _check_item_sizes(vin, stack[:-2], MAX_TAPSCRIPT_STACK_ITEM_SIZE)


def _check_item_sizes(vin: int, items: Sequence[bytes], limit: int) -> None:
    for item in items:
        if len(item) > limit:
            raise ValidationError(Reason.BAD_WITNESS_NONSTANDARD, f"input {vin}: stack item of {len(item)} bytes")


def _redeem_script(vin: int, txin: TxIn) -> bytes:
    """Return the item that a push-only scriptSig leaves on top of the stack."""
    top: bytes | None = None
    try:
        for opcode, data, _ in iterate(txin.script_sig):
            if data is not None:
                top = data
            elif opcode == OP_1NEGATE or OP_1 <= opcode <= OP_16:
                top = encode_number(opcode - OP_1 + 1)
            if top is not None and len(top) > MAX_SCRIPT_ELEMENT_SIZE:
                raise _nonstandard(f"input {vin} P2SH scriptsig malformed")
    except DecodeError:
        raise _nonstandard(f"input {vin} P2SH scriptsig malformed") from None
    if top is None:
        raise _nonstandard(f"input {vin} P2SH redeemscript missing")
    return top


def _nonstandard(detail: str) -> ValidationError:
    return ValidationError(Reason.BAD_TXNS_NONSTANDARD_INPUTS, detail)
