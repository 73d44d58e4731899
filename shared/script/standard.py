"""The known kinds of output scripts: recognises and builds them.

Sources: Core's script/solver.cpp (Solver), script/script.cpp (witness programs).
"""

from __future__ import annotations

from enum import StrEnum

from shared.errors import DecodeError
from shared.script.opcodes import (
    OP_0,
    OP_1,
    OP_16,
    OP_CHECKMULTISIG,
    OP_CHECKSIG,
    OP_DUP,
    OP_EQUAL,
    OP_EQUALVERIFY,
    OP_HASH160,
    OP_PUSHDATA4,
    OP_RETURN,
)
from shared.script.script import (
    MAX_PUBKEYS_PER_MULTISIG,
    MAX_SCRIPT_SIZE,
    ScriptOp,
    decode_number,
    is_minimal_push,
    is_push_only,
    iterate,
)

_P2PKH_HEAD = bytes([OP_DUP, OP_HASH160, 20])
_P2PKH_TAIL = bytes([OP_EQUALVERIFY, OP_CHECKSIG])
_P2SH_HEAD = bytes([OP_HASH160, 20])
_P2SH_TAIL = bytes([OP_EQUAL])
_P2WPKH_HEAD = bytes([OP_0, 20])
_P2WSH_HEAD = bytes([OP_0, 32])
_P2TR_HEAD = bytes([OP_1, 32])
_RETURN = bytes([OP_RETURN])
P2A_SCRIPT = bytes([OP_1, 2, 0x4E, 0x73])
"""Pay-to-anchor: an output that anyone can spend, to raise the fee of its transaction."""


class ScriptType(StrEnum):
    """The kind of an output script, by Core's names (GetTxnOutputType)."""

    NONSTANDARD = "nonstandard"
    PUBKEY = "pubkey"
    PUBKEYHASH = "pubkeyhash"
    SCRIPTHASH = "scripthash"
    MULTISIG = "multisig"
    NULL_DATA = "nulldata"
    ANCHOR = "anchor"
    WITNESS_V0_KEYHASH = "witness_v0_keyhash"
    WITNESS_V0_SCRIPTHASH = "witness_v0_scripthash"
    WITNESS_V1_TAPROOT = "witness_v1_taproot"
    WITNESS_UNKNOWN = "witness_unknown"


def p2pkh_script(pubkey_hash: bytes) -> bytes:
    """Return the script that pays to a 20-byte public key hash."""
    return _P2PKH_HEAD + pubkey_hash + _P2PKH_TAIL


def p2sh_script(script_hash: bytes) -> bytes:
    """Return the script that pays to a 20-byte script hash (BIP16)."""
    return _P2SH_HEAD + script_hash + _P2SH_TAIL


def p2wpkh_script(pubkey_hash: bytes) -> bytes:
    """Return the script that pays to a 20-byte public key hash in a witness (BIP141)."""
    return _P2WPKH_HEAD + pubkey_hash


def p2wsh_script(script_hash: bytes) -> bytes:
    """Return the script that pays to a 32-byte SHA-256 of a script in a witness (BIP141)."""
    return _P2WSH_HEAD + script_hash


def p2tr_script(output_key: bytes) -> bytes:
    """Return the script that pays to a 32-byte taproot output key (BIP341)."""
    return _P2TR_HEAD + output_key


def is_p2pkh(script: bytes) -> bool:
    """Tell whether a script pays to a public key hash."""
    return len(script) == 25 and script.startswith(_P2PKH_HEAD) and script.endswith(_P2PKH_TAIL)


def is_p2sh(script: bytes) -> bool:
    """Tell whether a script pays to a script hash."""
    return len(script) == 23 and script.startswith(_P2SH_HEAD) and script.endswith(_P2SH_TAIL)


def is_p2wpkh(script: bytes) -> bool:
    """Tell whether a script pays to a public key hash in a witness."""
    return len(script) == 22 and script.startswith(_P2WPKH_HEAD)


def witness_program(script: bytes) -> tuple[int, bytes] | None:
    """Return version (0 to 16) and program (2 to 40 bytes) of a witness output, None for another script (BIP141)."""
    if not 4 <= len(script) <= 42 or script[1] != len(script) - 2:
        return None
    opcode = script[0]
    if opcode == OP_0:
        return 0, script[2:]
    if OP_1 <= opcode <= OP_16:
        return opcode - OP_1 + 1, script[2:]
    return None


def is_witness_program(script: bytes) -> bool:
    """Tell whether a script is spent by a witness."""
    return witness_program(script) is not None


def is_unspendable(script: bytes) -> bool:
    """Tell whether an output can never be spent and so makes no coin (Core's IsUnspendable)."""
    return script.startswith(_RETURN) or len(script) > MAX_SCRIPT_SIZE


def classify(script: bytes) -> tuple[ScriptType, list[bytes]]:
    """Return a script's kind and its parts: hashes, keys, witness program (Core's Solver).

    For a multisig: the number of signatures as one byte, the keys, the number of keys as one byte. For an unknown
    witness version: the version as one byte and the program.
    """
    if is_p2sh(script):
        return ScriptType.SCRIPTHASH, [script[2:22]]
    if (program := witness_program(script)) is not None:
        return _classify_witness(*program)
    if script[:1] == bytes([OP_RETURN]) and is_push_only(script[1:]):
        return ScriptType.NULL_DATA, []
    if len(script) in (35, 67) and script[0] == len(script) - 2 and script[-1] == OP_CHECKSIG:
        key = script[1:-1]
        if is_key_size(key):
            return ScriptType.PUBKEY, [key]
    if is_p2pkh(script):
        return ScriptType.PUBKEYHASH, [script[3:23]]
    multisig = _match_multisig(script)
    if multisig is not None:
        required, keys = multisig
        return ScriptType.MULTISIG, [bytes([required]), *keys, bytes([len(keys)])]
    return ScriptType.NONSTANDARD, []


def _classify_witness(version: int, program: bytes) -> tuple[ScriptType, list[bytes]]:
    match version, len(program):
        case 0, 20:
            return ScriptType.WITNESS_V0_KEYHASH, [program]
        case 0, 32:
            return ScriptType.WITNESS_V0_SCRIPTHASH, [program]
        case 0, _:
            return ScriptType.NONSTANDARD, []
        case 1, 32:
            return ScriptType.WITNESS_V1_TAPROOT, [program]
        case 1, 2 if program == P2A_SCRIPT[2:]:
            return ScriptType.ANCHOR, []
        case _:
            return ScriptType.WITNESS_UNKNOWN, [bytes([version]), program]


def is_key_size(key: bytes) -> bool:
    """Tell whether the length of a public key matches its first byte (CPubKey::ValidSize)."""
    if not key:
        return False
    return len(key) == (33 if key[0] in (2, 3) else 65 if key[0] in (4, 6, 7) else -1)


def _match_multisig(script: bytes) -> tuple[int, list[bytes]] | None:
    """Return the number of required signatures and the keys of a bare multisig, else None (Core's MatchMultisig)."""
    if script[-1:] != bytes([OP_CHECKMULTISIG]):
        return None
    try:
        first, *middle, last, check = iterate(script)
    except (DecodeError, ValueError):
        return None
    if check.opcode != OP_CHECKMULTISIG:
        return None
    required = _small_number(first)
    total = _small_number(last)
    keys = [op.data for op in middle if op.data is not None and is_key_size(op.data)]
    if required is None or total is None or len(keys) != len(middle) or len(keys) != total:
        return None
    return (required, keys) if required <= total else None


def _small_number(op: ScriptOp) -> int | None:
    """Return the number from 1 to 20 that an operation pushes minimally, None for another operation."""
    if OP_1 <= op.opcode <= OP_16:
        return op.opcode - OP_1 + 1
    if op.data is None or op.opcode > OP_PUSHDATA4 or not is_minimal_push(op.opcode, op.data):
        return None
    try:
        number = decode_number(op.data, minimal=True)
    except DecodeError:
        return None
    return number if 1 <= number <= MAX_PUBKEYS_PER_MULTISIG else None
