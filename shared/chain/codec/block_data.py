"""The data of a connected block: its undo data, and the layout by which each transaction of it is read alone."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from shared.chain.codec.coins import TxLocation, decode_coin, encode_coin
from shared.primitives.block import HEADER_SIZE, Block
from shared.primitives.coin import Coin
from shared.primitives.serialize import Reader, pack_compact_size

_LAYOUT_ENTRY = struct.Struct("<32sII")
LAYOUT_ENTRY_SIZE = _LAYOUT_ENTRY.size
"""Bytes of a layout's entry."""


@dataclass(frozen=True, slots=True)
class LayoutEntry:
    """The end of a transaction within its block; the layout of a block has one entry for each transaction."""

    txid: bytes
    end: int
    """Bytes from the start of the raw block."""
    spent_end: int
    """Bytes from the start of the undo data."""


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """The data stored for a connected block beside its bytes."""

    undo: bytes
    layout: bytes
    locations: tuple[TxLocation, ...]


def store_block(block: Block, spent: Sequence[Sequence[Coin]]) -> StoredBlock:
    """Return a block's undo data, its layout, and where each transaction is.

    `spent` are the coins that each transaction but the coinbase spent. Undo data are the number of these transactions
    and for each a count and that many length-prefixed coins, in block order: read backwards, they come back in the
    reverse of the order they were spent in.
    """
    undo = [pack_compact_size(len(spent))]
    layout: list[bytes] = []
    locations = []
    block_hash = block.hash
    start, spent_start = block_head(len(block.transactions))
    for tx, coins in zip(block.transactions, ((), *spent), strict=True):
        end, spent_end = start + tx.size, spent_start
        if layout:
            part = _encode_spent(coins)
            undo.append(part)
            spent_end += len(part)
        layout.append(_LAYOUT_ENTRY.pack(tx.txid, end, spent_end))
        locations.append(TxLocation(block_hash, start, end - start, spent_start, spent_end - spent_start))
        start, spent_start = end, spent_end
    return StoredBlock(b"".join(undo), b"".join(layout), tuple(locations))


def block_head(count: int) -> tuple[int, int]:
    """Return the offsets of the first of `count` transactions in a raw block, and of its first undo data."""
    return HEADER_SIZE + len(pack_compact_size(count)), len(pack_compact_size(count - 1))


def decode_layout(data: bytes) -> list[LayoutEntry]:
    """Return the entries of a layout or of a part of one: txid (32 bytes), end (4), end of the spent coins (4)."""
    return [LayoutEntry(*place) for place in _LAYOUT_ENTRY.iter_unpack(data)]


def decode_layout_txids(data: bytes) -> list[bytes]:
    """Return the txids of a layout alone."""
    return [data[start : start + 32] for start in range(0, len(data), LAYOUT_ENTRY_SIZE)]


def decode_undo(data: bytes) -> list[list[Coin]]:
    """Return the coins of a block's undo data; `DecodeError` if it is cut short or goes on."""
    reader = Reader(data)
    spent = [_read_spent(reader) for _ in range(reader.compact_size("undo transactions"))]
    reader.finish("undo data")
    return spent


def decode_spent(data: bytes) -> list[list[Coin]]:
    """Return the coins of successive transactions, a part of a block's undo data that has no coinbase in it."""
    reader = Reader(data)
    spent = []
    while reader.remaining:
        spent.append(_read_spent(reader))
    return spent


def _encode_spent(coins: Sequence[Coin]) -> bytes:
    parts = [pack_compact_size(len(coins))]
    for coin in coins:
        encoded = encode_coin(coin)
        parts += (pack_compact_size(len(encoded)), encoded)
    return b"".join(parts)


def _read_spent(reader: Reader) -> list[Coin]:
    return [decode_coin(reader.var_bytes("undo coin")) for _ in range(reader.compact_size("undo coins"))]
