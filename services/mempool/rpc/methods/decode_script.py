"""RPC `decodescript`: what a script is, and the outputs that it could be wrapped in (rpc/rawtransaction.cpp)."""

from __future__ import annotations

from services.mempool.rpc.json.tx_json import script_json
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, hex_bytes
from shared.crypto.address import AddressPrefix, encode_address
from shared.crypto.hashes import hash160, sha256
from shared.errors import DecodeError
from shared.script.opcodes import MAX_OPCODE, OP_CHECKSIGADD
from shared.script.script import MAX_SCRIPT_ELEMENT_SIZE, iterate
from shared.script.standard import (
    ScriptType,
    classify,
    is_unspendable,
    p2sh_script,
    p2wpkh_script,
    p2wsh_script,
)

_WRAPPED_ALREADY = (
    ScriptType.NULL_DATA,
    ScriptType.SCRIPTHASH,
    ScriptType.WITNESS_UNKNOWN,
    ScriptType.WITNESS_V1_TAPROOT,
    ScriptType.ANCHOR,
)
_COMPRESSED_SIZE = 33


def decodescript(node: NodeContext, script_hex: str) -> Json:
    """Return a script's parts, type and address, and the addresses of P2SH and segwit outputs that wrap it."""
    script = hex_bytes(script_hex, "argument") if script_hex else b""
    prefix = node.params.address
    shown = {name: value for name, value in script_json(script, prefix).items() if name != "hex"}
    if not _can_wrap(script):
        return shown
    shown["p2sh"] = _p2sh_address(script, prefix)
    segwit = _segwit_form(script)
    if segwit is not None:
        shown["segwit"] = {**script_json(segwit, prefix), "p2sh-segwit": _p2sh_address(segwit, prefix)}
    return shown


def _p2sh_address(script: bytes, prefix: AddressPrefix) -> str | None:
    return encode_address(p2sh_script(hash160(script)), prefix)


def _can_wrap(script: bytes) -> bool:
    if classify(script)[0] in _WRAPPED_ALREADY or is_unspendable(script):
        return False
    try:
        return all(
            op.opcode <= MAX_OPCODE and op.opcode != OP_CHECKSIGADD and len(op.data or b"") <= MAX_SCRIPT_ELEMENT_SIZE
            for op in iterate(script)
        )
    except DecodeError:
        return False


def _segwit_form(script: bytes) -> bytes | None:
    """Return the segwit output that commits to the same condition, None where there is none."""
    kind, parts = classify(script)
    match kind:
        case ScriptType.PUBKEY if len(parts[0]) == _COMPRESSED_SIZE:
            return p2wpkh_script(hash160(parts[0]))
        case ScriptType.PUBKEYHASH:
            return p2wpkh_script(parts[0])
        case ScriptType.MULTISIG if all(len(key) == _COMPRESSED_SIZE for key in parts[1:-1]):
            return p2wsh_script(sha256(script))
        case ScriptType.NONSTANDARD:
            return p2wsh_script(sha256(script))
    return None


METHODS = (
    Method(
        "decodescript",
        "Rawtransactions",
        "Returns the parts, the type and the address of a script, and the outputs that it can be wrapped in.",
        (Arg("hexstring", Kind.STRING, "The script in hex"),),
        decodescript,
    ),
)
