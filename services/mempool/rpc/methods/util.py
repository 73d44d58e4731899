"""RPC methods that need no chain (rpc/output_script.cpp)."""

from __future__ import annotations

from services.mempool.rpc.descriptors import parse
from services.mempool.rpc.descriptors.infer import checksum
from services.mempool.rpc.descriptors.parse import descriptor_range
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json
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


def validateaddress(node: NodeContext, address: str) -> Json:
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


def getdescriptorinfo(node: NodeContext, text: str) -> Json:
    """Return the public form of a descriptor with its checksum, and what kind it is."""
    found = parse.parse(text, node.params.address)
    body = text.partition("#")[0]
    return {
        "descriptor": f"{found.canonical}#{checksum(found.canonical)}",
        "checksum": checksum(body),
        "isrange": found.is_ranged,
        "issolvable": found.is_solvable,
        "hasprivatekeys": found.has_private_keys,
    }


def deriveaddresses(node: NodeContext, text: str, index_range: object) -> list[str]:
    """Return the addresses of a descriptor, of a ranged one those at a range of indexes."""
    found = parse.parse(text, node.params.address, needs_checksum=True)
    if not found.is_ranged and index_range is not None:
        message = "Range should not be specified for an un-ranged descriptor"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    if found.is_ranged and index_range is None:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Range must be specified for a ranged descriptor")
    first, last = descriptor_range(index_range) if index_range is not None else (0, 0)
    addresses = []
    for index in range(first, last + 1):
        scripts = found.scripts(index)
        for script in scripts:
            address = encode_address(script, node.params.address)
            if address is not None:
                addresses.append(address)
            elif len(scripts) == 1:  # of combo(), P2PK alone has none
                message = "Descriptor does not have a corresponding address"
                raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message)
    return addresses


METHODS = (
    Method(
        "deriveaddresses",
        _CATEGORY,
        "Returns the addresses of a descriptor.",
        (
            Arg("descriptor", Kind.STRING, "The descriptor, with checksum"),
            Arg("range", Kind.ANY, "For a ranged descriptor: the last index, or [first, last]", ""),
        ),
        deriveaddresses,
    ),
    Method(
        "getdescriptorinfo",
        _CATEGORY,
        "Analyses a descriptor, and computes its checksum.",
        (Arg("descriptor", Kind.STRING, "The descriptor"),),
        getdescriptorinfo,
    ),
    Method(
        "validateaddress",
        _CATEGORY,
        "Returns whether an address is one of this chain, and what it stands for.",
        (Arg("address", Kind.STRING, "The address"),),
        validateaddress,
    ),
)
