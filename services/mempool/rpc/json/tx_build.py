"""Unsigned transactions from the inputs and outputs of a call (Core's ConstructTransaction).

`createrawtransaction` and `createpsbt` share these arguments and their errors.
"""

from __future__ import annotations

from typing import Any

from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind
from services.mempool.rpc.server.values import amount, block_or_tx_hash, expect, hex_bytes, integer
from shared.crypto.address import AddressPrefix, decode_address
from shared.errors import DecodeError
from shared.policy import MAX_BIP125_RBF_SEQUENCE, MAX_STANDARD_VERSION
from shared.primitives.transaction import SEQUENCE_FINAL, OutPoint, Transaction, TxIn, TxOut
from shared.script.opcodes import OP_RETURN
from shared.script.script import push_data

BUILD_ARGS = (
    Arg("inputs", Kind.ARRAY, "Objects with txid, vout and perhaps sequence"),
    Arg("outputs", Kind.ANY, 'Objects {"address": amount} or {"data": "hex"}, in an array or as one object'),
    Arg("locktime", Kind.NUMBER, "Lock time", "0"),
    Arg("replaceable", Kind.BOOL, "Whether its inputs signal that it may be replaced", "true"),
    Arg("version", Kind.NUMBER, "Transaction version", "2"),
)


def unsigned_transaction(
    node: NodeContext, inputs: list[Any], outputs: Any, lock_time: object, replaceable: bool | None, version: object
) -> Transaction:
    """Return the transaction that the arguments describe. Raises `RpcError` with bitcoind's messages."""
    lock = _bounded(lock_time, 0, 0, 0xFFFFFFFF, "Invalid parameter, locktime out of range")
    number = _bounded(version, 2, 1, MAX_STANDARD_VERSION, "Invalid parameter, version out of range(1~3)")
    txins = tuple(_input(item, lock, replaceable) for item in inputs)
    txouts = tuple(_outputs(outputs, node.params.address))
    if replaceable and txins and all(txin.sequence > MAX_BIP125_RBF_SEQUENCE for txin in txins):
        message = "Invalid parameter combination: Sequence number(s) contradict replaceable option"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    return Transaction(number, txins, txouts, lock)


def _bounded(value: object, default: int, low: int, high: int, message: str) -> int:
    if value is None:
        return default
    number = integer(value, -(1 << 63), (1 << 63) - 1)
    if not low <= number <= high:
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    return number


def outpoint(item: Any) -> OutPoint:
    """Return the outpoint of an object with `txid` and `vout`."""
    expect(item, dict)
    expect(item.get("txid"), str)
    txid = block_or_tx_hash(item["txid"], "txid")
    if "vout" not in item or isinstance(item["vout"], (bool, str, list, dict, type(None))):
        raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, missing vout key")
    vout = integer(item["vout"])
    if vout < 0:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, vout cannot be negative")
    return OutPoint(txid, vout)


def _input(item: Any, lock_time: int, replaceable: bool | None) -> TxIn:
    prevout = outpoint(item)
    if replaceable is not False:
        sequence = MAX_BIP125_RBF_SEQUENCE
    else:
        sequence = SEQUENCE_FINAL - 1 if lock_time else SEQUENCE_FINAL
    message = "Invalid parameter, sequence number is out of range"
    return TxIn(prevout, b"", _bounded(item.get("sequence"), sequence, 0, SEQUENCE_FINAL, message))


def _outputs(outputs: Any, prefix: AddressPrefix) -> list[TxOut]:
    if outputs is None:
        message = "Invalid parameter, output argument must be non-null"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    if isinstance(outputs, dict):
        pairs = list(outputs.items())
    else:
        expect(outputs, list)
        pairs = []
        for item in outputs:
            if not isinstance(item, dict):
                message = "Invalid parameter, key-value pair not an object as expected"
                raise RpcError(RpcCode.INVALID_PARAMETER, message)
            if len(item) != 1:
                message = "Invalid parameter, key-value pair must contain exactly one key"
                raise RpcError(RpcCode.INVALID_PARAMETER, message)
            pairs += item.items()
    built: list[TxOut] = []
    seen: set[object] = set()
    for name, value in pairs:
        if name == "data":
            identity: object = name
            duplicate = "Invalid parameter, duplicate key: data"
            output = TxOut(0, bytes([OP_RETURN]) + push_data(hex_bytes(value, "Data")))
        else:
            identity = script = _destination(name, prefix)
            duplicate = f"Invalid parameter, duplicated address: {name}"
            output = TxOut(amount(value), script)
        if identity in seen:
            raise RpcError(RpcCode.INVALID_PARAMETER, duplicate)
        seen.add(identity)
        built.append(output)
    return built


def _destination(address: str, prefix: AddressPrefix) -> bytes:
    try:
        return decode_address(address, prefix)
    except DecodeError:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"Invalid Bitcoin address: {address}") from None
