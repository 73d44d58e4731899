"""RPC methods of the category Util: addresses, descriptors, signed messages, fee estimates, indexes.

Sources: Core's rpc/output_script.cpp, rpc/signmessage.cpp, rpc/fees.cpp, rpc/node.cpp.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from embit.descriptor.checksum import add_checksum, checksum

from services.mempool.rpc.descriptors import parse
from services.mempool.rpc.descriptors.parse import descriptor_range
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, btc, integer
from shared.consensus.limits import MAX_BLOCK_VSIZE
from shared.crypto.address import decode_address, encode_address
from shared.crypto.hashes import hash160, sha256d
from shared.crypto.keys import PrivateKey, PublicKey
from shared.errors import DecodeError
from shared.policy import MIN_RELAY_FEERATE, feerate
from shared.primitives.serialize import pack_var_bytes
from shared.script.standard import ScriptType, classify, is_p2pkh, witness_program

_CATEGORY = "Util"

_MAX_TARGET = 1008
_MODES = ("unset", "economical", "conservative")

_MAGIC = b"Bitcoin Signed Message:\n"
_HEADER_BASE = 27
_COMPRESSED = 4

_PAYS_TO_SCRIPT = {
    ScriptType.PUBKEYHASH: False,
    ScriptType.WITNESS_V0_KEYHASH: False,
    ScriptType.SCRIPTHASH: True,
    ScriptType.WITNESS_V0_SCRIPTHASH: True,
    ScriptType.WITNESS_V1_TAPROOT: True,
    ScriptType.ANCHOR: True,
}


def validateaddress(node: NodeContext, address: str) -> Json:
    """Return whether an address is valid on this chain, and its scriptPubKey and kind."""
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
    """Return the public form of a descriptor with its checksum, and its properties."""
    found = parse.parse(text, node.params.address)
    body = text.partition("#")[0]
    return {
        "descriptor": add_checksum(found.canonical),
        "checksum": checksum(body),
        "isrange": found.is_ranged,
        "issolvable": found.is_solvable,
        "hasprivatekeys": found.has_private_keys,
    }


def deriveaddresses(node: NodeContext, text: str, index_range: object) -> list[str]:
    """Return the addresses of a descriptor; of a ranged one, the addresses at a range of indexes."""
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


def estimatesmartfee(node: NodeContext, target: object, mode: str | None) -> Json:
    """Return the feerate in BTC/kvB with which a transaction is among the first `target` blocks' worth of the pool."""
    blocks = integer(target)
    if not 1 <= blocks <= _MAX_TARGET:
        message = f"Invalid conf_target, must be between 1 and {_MAX_TARGET}"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    if mode is not None and mode.lower() not in _MODES:
        shown = ", ".join(f'"{name}"' for name in _MODES)
        raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid estimate_mode parameter, must be one of: {shown}")
    entries = node.view.pool.entries().values()
    enough = feerate_for(((entry.fee, entry.vsize) for entry in entries), blocks)
    return {"feerate": btc(enough), "blocks": blocks}


def feerate_for(pool: Iterable[tuple[int, int]], blocks: int) -> int:
    """Return the satoshis per 1,000 vbytes that get a transaction into `blocks` blocks, at least the relay minimum.

    `pool` has fee and virtual size of each transaction.
    """
    room = blocks * MAX_BLOCK_VSIZE
    for fee, vsize in sorted(pool, key=lambda entry: entry[0] / entry[1], reverse=True):
        room -= vsize
        if room < 0:
            return max(MIN_RELAY_FEERATE, feerate(fee, vsize) + 1)
    return MIN_RELAY_FEERATE


def message_digest(message: str) -> bytes:
    """Return the 32 bytes that are signed for a message (MessageHash)."""
    return sha256d(pack_var_bytes(_MAGIC) + pack_var_bytes(message.encode()))


def signmessagewithprivkey(node: NodeContext, wif: str, message: str) -> str:
    """Return a recoverable signature of a message, in base64."""
    try:
        key = PrivateKey.from_wif(wif, node.params.address)
    except DecodeError:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid private key") from None
    signature = key.sign_recoverable(message_digest(message))
    header = _HEADER_BASE + signature[64] + (_COMPRESSED if key.is_compressed else 0)
    return base64.b64encode(bytes([header]) + signature[:64]).decode()


def verifymessage(node: NodeContext, address: str, signature_text: str, message: str) -> bool:
    """Return whether a signature of a message is by the key of an address."""
    try:
        script = decode_address(address, node.params.address)
    except DecodeError:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid address") from None
    if not is_p2pkh(script):
        raise RpcError(RpcCode.TYPE_ERROR, "Address does not refer to key")
    try:
        signature = base64.b64decode(signature_text, validate=True)
    except (binascii.Error, ValueError):
        raise RpcError(RpcCode.TYPE_ERROR, "Malformed base64 encoding") from None
    public_key = _recover(signature, message_digest(message))
    return public_key is not None and hash160(public_key) == script[3:23]


def _recover(signature: bytes, digest: bytes) -> bytes | None:
    if len(signature) != 65 or not _HEADER_BASE <= signature[0] < _HEADER_BASE + 2 * _COMPRESSED:
        return None
    number = signature[0] - _HEADER_BASE
    try:
        key = PublicKey.recover(signature[1:] + bytes([number & 3]), digest)
    except DecodeError:
        return None
    return key.compressed if number & _COMPRESSED else key.uncompressed


def getindexinfo(node: NodeContext, index_name: str | None) -> Json:
    """Return the state of the indexes: they are written in the commit of the block itself, so always up to date."""
    if index_name not in (None, "", "txindex"):
        return {}
    return {"txindex": {"synced": True, "best_block_height": node.view.tip().height}}


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
    Method(
        "estimatesmartfee",
        _CATEGORY,
        "Estimates the feerate, in BTC/kvB, for a transaction to be mined within a number of blocks.",
        (
            Arg("conf_target", Kind.NUMBER, f"Blocks, 1 to {_MAX_TARGET}"),
            Arg("estimate_mode", Kind.STRING, "unset, economical or conservative: all the same here", "economical"),
        ),
        estimatesmartfee,
    ),
    Method(
        "signmessagewithprivkey",
        _CATEGORY,
        "Signs a message with a private key. Returns the signature in base64.",
        (
            Arg("privkey", Kind.STRING, "The private key in wallet import format"),
            Arg("message", Kind.STRING, "The message"),
        ),
        signmessagewithprivkey,
    ),
    Method(
        "verifymessage",
        _CATEGORY,
        "Returns whether a signature of a message is by the key of an address.",
        (
            Arg("address", Kind.STRING, "A P2PKH address"),
            Arg("signature", Kind.STRING, "The signature in base64"),
            Arg("message", Kind.STRING, "The message"),
        ),
        verifymessage,
    ),
    Method(
        "getindexinfo",
        _CATEGORY,
        "Returns the state of the indexes.",
        (Arg("index_name", Kind.STRING, "Only this index", ""),),
        getindexinfo,
    ),
)
