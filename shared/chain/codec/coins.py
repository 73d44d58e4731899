"""Coins and spends by outpoint, and the location of a transaction."""

from __future__ import annotations

import struct

import msgspec

from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, TxOut

_COIN = struct.Struct("<Iq")
_LOCATION = struct.Struct("<32sIIII")
_SPEND = struct.Struct("<32sI")


class TxLocation(msgspec.Struct, frozen=True, gc=False):
    """Where the bytes of a confirmed transaction are."""

    block_hash: bytes
    offset: int
    """Bytes from the start of the raw block."""
    length: int
    spent_offset: int
    """Bytes from the start of the block's undo data to the coins that the transaction spent."""
    spent_length: int
    """0 for a coinbase."""


class Spend(msgspec.Struct, frozen=True, gc=False):
    """The input that spends an output."""

    txid: bytes
    vin: int


def encode_coin(coin: Coin) -> bytes:
    """Height and coinbase flag (4 bytes: height << 1 | flag), value (8), scriptPubKey (the rest)."""
    output = coin.output
    return _COIN.pack(coin.height << 1 | coin.is_coinbase, output.value) + output.script_pubkey


def decode_coin(data: bytes) -> Coin:
    """Inverse of `encode_coin`."""
    code, value = _COIN.unpack_from(data)
    return Coin(TxOut(value, data[_COIN.size :]), code >> 1, bool(code & 1))


def decode_outpoint(data: bytes) -> OutPoint:
    """Return the outpoint of its 36 bytes."""
    return OutPoint.parse(data)


def encode_spend(spend: Spend) -> bytes:
    """Spending txid (32 bytes), input index (4)."""
    return _SPEND.pack(spend.txid, spend.vin)


def decode_spend(data: bytes) -> Spend:
    """Inverse of `encode_spend`."""
    return Spend(*_SPEND.unpack(data))


def encode_location(location: TxLocation) -> bytes:
    """Block hash (32 bytes), offset (4), length (4), offset and length of the coins that it spent (4 + 4)."""
    return _LOCATION.pack(
        location.block_hash, location.offset, location.length, location.spent_offset, location.spent_length
    )


def decode_location(data: bytes) -> TxLocation:
    """Inverse of `encode_location`."""
    return TxLocation(*_LOCATION.unpack(data))
