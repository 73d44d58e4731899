"""JSON values of calls and results: amounts in BTC, hex and hashes, checked and converted.

Errors are `RpcError`s with bitcoind's codes and messages (rpc/util.cpp).
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec

from services.mempool.rpc.server.errors import RpcCode, RpcError
from shared.consensus.amount import format_btc
from shared.consensus.limits import COIN, MAX_MONEY
from shared.errors import DecodeError
from shared.primitives.block import Block
from shared.primitives.hex import parse_hex
from shared.primitives.transaction import Transaction
from shared.script.script import SIGHASH_NAMES
from shared.script.sighash import SIGHASH_DEFAULT

Json = Any
"""A JSON value; numbers that must keep their digits are `msgspec.Raw`."""

TX_DECODE_FAILED = "TX decode failed. Make sure the tx has at least one input."
BLOCK_DECODE_FAILED = "Block decode failed"

_TYPE_NAMES = {dict: "object", list: "array", str: "string", bool: "bool", type(None): "null"}

SIGHASH_TYPES = {"DEFAULT": SIGHASH_DEFAULT} | {name: number for number, name in SIGHASH_NAMES.items()}
"""Signature hash types by the names that calls and results have for them (core_io.cpp: sighash types)."""


def type_name(value: object) -> str:
    """Return a JSON type as bitcoind names it in messages (uvTypeName)."""
    return _TYPE_NAMES.get(type(value), "number")


def expect(value: object, expected: type) -> None:
    """Refuse an item inside an argument that is not of this JSON type (UniValue::checkType): TYPE_ERROR."""
    if type(value) is not expected:
        message = f"JSON value of type {type_name(value)} is not of expected type {_TYPE_NAMES[expected]}"
        raise RpcError(RpcCode.TYPE_ERROR, message)


def integer(value: object, low: int = -(1 << 31), high: int = (1 << 31) - 1) -> int:
    """Return a JSON number as an integer from `low` to `high`, by default the limits of a C int (UniValue::getInt)."""
    if type(value) is not int and not isinstance(value, Decimal):
        message = f"JSON value of type {type_name(value)} is not of expected type number"
        raise RpcError(RpcCode.TYPE_ERROR, message)
    if not isinstance(value, int) or not low <= value <= high:
        raise RpcError(RpcCode.MISC_ERROR, "JSON integer out of range")
    return value


def verbosity(value: object, default: int) -> int:
    """Return a verbosity level, which may be given as a number or a bool (ParseVerbosity)."""
    if value is None:
        return default
    return int(value) if isinstance(value, bool) else integer(value)


def block_or_tx_hash(text: str, name: str) -> bytes:
    """Return the wire-order 32 bytes of a displayed hash; the error speaks of it as `name` (ParseHashV)."""
    if len(text) != 64:
        message = f"{name} must be of length 64 (not {len(text)}, for '{text}')"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    try:
        return parse_hex(text, name)[::-1]
    except DecodeError:
        raise RpcError(RpcCode.INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{text}')") from None


def hex_bytes(text: object, name: str) -> bytes:
    """Return the bytes of a hex string; the error speaks of it as `name` (ParseHexV)."""
    expect(text, str)
    with suppress(DecodeError):
        if text:
            return parse_hex(str(text), name)
    raise RpcError(RpcCode.INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{text}')")


def amount(value: object) -> int:
    """Return the satoshis of an amount in BTC, a number or a string with up to 8 decimals (AmountFromValue)."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise RpcError(RpcCode.TYPE_ERROR, "Amount is not a number or string")
    text = str(value)
    try:
        if not text.isascii() or "_" in text or text != text.strip():
            raise ValueError(text)
        sats = Decimal(text) * COIN
        whole = int(sats)
    except (ArithmeticError, ValueError):  # also what Decimal calls InvalidOperation and Overflow
        raise RpcError(RpcCode.TYPE_ERROR, "Invalid amount") from None
    if whole != sats:
        raise RpcError(RpcCode.TYPE_ERROR, "Invalid amount")
    if not 0 <= whole <= MAX_MONEY:
        raise RpcError(RpcCode.TYPE_ERROR, "Amount out of range")
    return whole


def feerate(value: object, default: int) -> int:
    """Return satoshis per 1,000 vbytes of a feerate in BTC/kvB (ParseFeeRate)."""
    if value is None:
        return default
    sats = amount(value)
    if sats >= COIN:
        message = "Fee rates larger than or equal to 1BTC/kvB are not accepted"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    return sats


def transaction(raw_hex: str, message: str) -> Transaction:
    """Return the transaction of a hex string, DESERIALIZATION_ERROR with `message` if it is none (DecodeHexTx)."""
    try:
        tx = Transaction.parse(parse_hex(raw_hex, "transaction"))
    except DecodeError:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, message) from None
    if not tx.inputs:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, message)
    return tx


def block(raw_hex: str) -> Block:
    """Return the block of a hex string, DESERIALIZATION_ERROR if it is none (DecodeHexBlk)."""
    try:
        return Block.parse(parse_hex(raw_hex, "block"))
    except DecodeError:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, BLOCK_DECODE_FAILED) from None


def btc(sats: int) -> msgspec.Raw:
    """Return satoshis as a JSON number in BTC with exactly 8 decimals (ValueFromAmount)."""
    return msgspec.Raw(format_btc(sats).encode())


def real(number: float) -> msgspec.Raw:
    """Return a JSON number with 16 significant digits, as UniValue prints a double."""
    return msgspec.Raw(f"{number:.16g}".encode())
