"""RPC methods that need no chain (rpc/output_script.cpp)."""

from __future__ import annotations

from services.mempool.rpc.methods import Arg, Kind, Method
from services.mempool.rpc.node import Node
from services.mempool.rpc.values import Json
from shared.crypto.address import decode_address, encode_address
from shared.errors import DecodeError
from shared.script.standard import ScriptType, classify, witness_program

_CATEGORY = "Util"

_PAYS_TO_SCRIPT = {
    ScriptType.PUBKEYHASH: False,
    ScriptType.WITNESS_V0_KEYHASH: False,
    ScriptType.SCRIPTHASH: True,
    ScriptType.WITNESS_V0_SCRIPTHASH: True,
    ScriptType.WITNESS_V1_TAPROOT: True,
    ScriptType.ANCHOR: True,
}


def validateaddress(node: Node, address: str) -> Json:
    """Return whether an address is one of this chain, and what it stands for."""
    try:
        script = decode_address(address, node.params.address)
    except DecodeError as error:
        return {"isvalid": False, "error_locations": [], "error": str(error)}
    shown: dict[str, Json] = {
        "isvalid": True,
        "address": encode_address(script, node.params.address),
        "scriptPubKey": script.hex(),
    }
    kind, _ = classify(script)
    if kind in _PAYS_TO_SCRIPT:
        shown["isscript"] = _PAYS_TO_SCRIPT[kind]
    program = witness_program(script)
    shown["iswitness"] = program is not None
    if program is not None:
        shown["witness_version"], content = program
        shown["witness_program"] = content.hex()
    return shown


METHODS = (
    Method(
        "validateaddress",
        _CATEGORY,
        "Returns whether an address is one of this chain, and what it stands for.",
        (Arg("address", Kind.STRING, "The address"),),
        validateaddress,
    ),
)
