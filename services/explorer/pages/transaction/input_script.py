"""Names each item of an input's scriptSig and witness, by which it unlocks its coin. Pure; runs no script.

Items that the kind of output prescribes are certain: the last one of a P2WSH witness is its script. Arguments of a
script are named by their look: a strict DER signature, a public key, or data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.crypto.signatures import is_strict_der
from shared.errors import DecodeError
from shared.primitives.transaction import TxIn, TxOut
from shared.script.interpreter import (
    TAPROOT_CONTROL_BASE_SIZE,
    TAPROOT_CONTROL_NODE_SIZE,
    TAPROOT_LEAF_MASK,
    TAPROOT_LEAF_TAPSCRIPT,
    has_annex,
)
from shared.script.opcodes import OP_1NEGATE, OP_16
from shared.script.script import encode_number, iterate, to_rust_asm
from shared.script.sighash import SIGHASH_ALL, SIGHASH_ANYONECANPAY, SIGHASH_DEFAULT, SIGHASH_NONE, SIGHASH_SINGLE
from shared.script.standard import ScriptType, classify, is_key_size, is_p2sh, witness_program

_SCHNORR_SIZES = (64, 65)
_X_ONLY = 32
_HASH_TYPES = {SIGHASH_DEFAULT: "default", SIGHASH_ALL: "all", SIGHASH_NONE: "none", SIGHASH_SINGLE: "single"}
_LABELS = {
    ScriptType.PUBKEY: "P2PK",
    ScriptType.PUBKEYHASH: "P2PKH",
    ScriptType.SCRIPTHASH: "P2SH",
    ScriptType.NULL_DATA: "OP_RETURN",
    ScriptType.ANCHOR: "Anchor",
    ScriptType.WITNESS_V0_KEYHASH: "P2WPKH",
    ScriptType.WITNESS_V0_SCRIPTHASH: "P2WSH",
    ScriptType.WITNESS_V1_TAPROOT: "P2TR",
}


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of a scriptSig or witness."""

    name: str
    data: bytes
    note: str = ""
    """A remark: the parts that a signature covers, the place of a control block's leaf."""
    asm: str = ""
    """The operations of a script."""


@dataclass(frozen=True, slots=True)
class Spending:
    """The items that unlock a coin."""

    kind: str
    script_sig: tuple[Item, ...] = ()
    witness: tuple[Item, ...] = ()


def script_label(script: bytes) -> str:
    """Return a short name for the kind of an output script, as people write it: `P2WPKH`, `2-of-3 multisig`."""
    if not script:
        return "Empty script"
    kind, parts = classify(script)
    match kind:
        case ScriptType.MULTISIG:
            return f"{parts[0][0]}-of-{parts[-1][0]} multisig"
        case ScriptType.WITNESS_UNKNOWN:
            return f"Witness version {parts[0][0]}"
        case _:
            return _LABELS.get(kind, "Non-standard script")


def read_spending(txin: TxIn, prevout: TxOut | None) -> Spending:
    """Return the items of an input's scriptSig and witness."""
    script = prevout.script_pubkey if prevout else b""
    pushes = _pushes(txin.script_sig)
    if pushes is None:  # it computes something, or is broken
        items: tuple[Item, ...] = (_script("Script", txin.script_sig),)
        return Spending(script_label(script), items, _look_at(txin.witness))
    if is_p2sh(script) and pushes:
        *arguments, redeem_script = pushes
        revealed = _script("Redeem script", redeem_script)
        if witness_program(redeem_script) is not None:
            kind, witness = _read_witness(redeem_script, txin.witness)
            return Spending(f"{kind} in P2SH", (revealed,), witness)
        kind = f"{script_label(redeem_script)} in P2SH"
        return Spending(kind, (*_arguments(redeem_script, arguments), revealed), _look_at(txin.witness))
    if witness_program(script) is not None:
        kind, witness = _read_witness(script, txin.witness)
        return Spending(kind, _look_at(pushes), witness)
    kind = script_label(script) if prevout else "Unknown coin"
    return Spending(kind, _arguments(script, pushes), _look_at(txin.witness))


def _read_witness(program: bytes, witness: Sequence[bytes]) -> tuple[str, tuple[Item, ...]]:
    label = script_label(program)
    match classify(program)[0]:
        case ScriptType.WITNESS_V0_SCRIPTHASH if witness:
            *arguments, script = witness
            revealed = _script("Witness script", script)
            return f"{script_label(script)} in P2WSH", (*_arguments(script, arguments), revealed)
        case ScriptType.WITNESS_V1_TAPROOT if witness:
            return _read_taproot(witness)
    return label, _look_at(witness)


def _read_taproot(witness: Sequence[bytes]) -> tuple[str, tuple[Item, ...]]:
    """Return the items of a key path (a signature) or script path (arguments, leaf, control block) spend (BIP341)."""
    stack, annex = list(witness), []
    if has_annex(stack):
        annex = [Item("Annex", stack.pop())]
    if len(stack) == 1:
        return "P2TR, by key", (_look(stack[0], tapscript=True), *annex)
    *arguments, script, control = stack
    leaf_version = control[0] & TAPROOT_LEAF_MASK if control else 0
    leaf = "Leaf script" if leaf_version == TAPROOT_LEAF_TAPSCRIPT else f"Leaf of version {leaf_version:02x}"
    depth = (len(control) - TAPROOT_CONTROL_BASE_SIZE) // TAPROOT_CONTROL_NODE_SIZE
    where = "the tree's only leaf" if depth <= 0 else f"the leaf is {depth} deep in the tree"
    note = f"internal key {control[1:TAPROOT_CONTROL_BASE_SIZE].hex()}, {where}"
    items = tuple(_look(data, tapscript=True) for data in arguments)
    return "P2TR, by script", (*items, _script(leaf, script), Item("Control block", control, note), *annex)


def _arguments(script: bytes, items: Sequence[bytes]) -> tuple[Item, ...]:
    found = list(_look_at(items))
    if found and not items[0] and classify(script)[0] is ScriptType.MULTISIG:
        found[0] = Item("Extra item", b"", "a multisig check takes one more than it needs")
    return tuple(found)


def _look_at(items: Sequence[bytes]) -> tuple[Item, ...]:
    return tuple(_look(data) for data in items)


def _look(data: bytes, tapscript: bool = False) -> Item:
    if not data:
        return Item("Empty item", data, "false, or a signature not given")
    if tapscript and len(data) in _SCHNORR_SIZES:
        covers = _hash_type(data[64] if len(data) == _SCHNORR_SIZES[1] else 0)
        return Item("Signature", data, f"Schnorr, {covers}")
    if tapscript and len(data) == _X_ONLY:
        return Item("Data", data, "32 bytes: a public key, a hash or a secret")
    if is_strict_der(data):
        return Item("Signature", data, f"ECDSA, {_hash_type(data[-1])}")
    if is_key_size(data):
        return Item("Public key", data, "compressed" if len(data) == 33 else "uncompressed")
    return Item("Data", data, "true" if data == b"\x01" else "")


def _hash_type(number: int) -> str:
    """Return the name of a signature's hash type."""
    name = _HASH_TYPES.get(number & ~SIGHASH_ANYONECANPAY)
    if name is None:
        return f"hash type {number:02x}"
    return f"{name}, any one can pay" if number & SIGHASH_ANYONECANPAY else f"hash type {name}"


def _script(name: str, script: bytes) -> Item:
    return Item(name, script, script_label(script), to_rust_asm(script))


def _pushes(script: bytes) -> list[bytes] | None:
    """Return the pushes of a script, None if it does anything but push."""
    pushed = []
    try:
        for op in iterate(script):
            if op.opcode > OP_16:
                return None
            pushed.append(encode_number(op.opcode - OP_1NEGATE - 1) if op.data is None else op.data)
    except DecodeError:
        return None
    return pushed
