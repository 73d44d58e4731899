"""RPC methods that sign and verify messages with the keys of P2PKH addresses (rpc/signmessage.cpp)."""

from __future__ import annotations

import base64
import binascii

from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from shared.crypto.address import decode_address
from shared.crypto.hashes import hash160, sha256d
from shared.crypto.keys import PrivateKey, PublicKey
from shared.errors import DecodeError
from shared.primitives.serialize import pack_var_bytes
from shared.script.standard import is_p2pkh

_CATEGORY = "Util"

_MAGIC = b"Bitcoin Signed Message:\n"
_HEADER_BASE = 27
_COMPRESSED = 4


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


METHODS = (
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
)
