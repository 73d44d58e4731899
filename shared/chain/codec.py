"""The bytes of every binary value in Redis: one encoder and one decoder each, described in docs/redis-schema.md.

Integers are little-endian, except those that are to compare as bytes: chain work and the pool's order of entry.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag

import msgspec

from shared.bus import events
from shared.bus.events import Fact
from shared.errors import DecodeError
from shared.primitives.block import HEADER_SIZE, Block, BlockHeader
from shared.primitives.coin import Coin
from shared.primitives.serialize import Reader, pack_compact_size
from shared.primitives.transaction import OutPoint, Transaction, TxOut

FORMAT = 2
"""Of everything that a chain keeps in Redis. It grows when values are no longer what an earlier version wrote."""

_COIN = struct.Struct("<Iq")
_LOCATION = struct.Struct("<32sIIII")
_LAYOUT_ENTRY = struct.Struct("<32sII")
_SPEND = struct.Struct("<32sI")
_ENTRY = struct.Struct("<80sI32sBIIIQQ")
_POOL_ENTRY = struct.Struct("<32sqIIIQQ")
_STATS = struct.Struct("<5q")
_FEES = struct.Struct("<q7d")
_SAMPLE = struct.Struct("<qqqq")
_REPLACED = struct.Struct("<32sQ")
_COUNT = struct.Struct("<I")
_POOL_SCRIPT = struct.Struct(">32sQ32s")
_TXID_SIZE = 32
_POSITION_BITS = 20
LAYOUT_ENTRY_SIZE = _LAYOUT_ENTRY.size
"""Bytes of a layout's entry."""


class BlockStatus(IntFlag):
    """What is known of a block."""

    HAVE_DATA = 1
    """The raw block is stored."""
    CONNECTED = 2
    """It was on the best chain once: its transactions and scripts are valid."""
    FAILED = 4
    """It breaks a rule."""
    FAILED_PARENT = 8
    """It descends from a block that breaks a rule."""


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """The index entry of a block."""

    header: BlockHeader
    height: int
    chain_work: int
    """Expected hashes from the genesis block up to and including this one."""
    status: BlockStatus
    tx_count: int
    size: int
    weight: int
    chain_tx_count: int
    """Transactions from the genesis block up to and including this one."""
    arrival: int
    """Order of arrival: of two branches with the same work the one seen first stays."""

    @property
    def hash(self) -> bytes:
        """Block hash."""
        return self.header.hash

    @property
    def failed(self) -> bool:
        """Whether this block, or one below it, breaks a rule."""
        return bool(self.status & (BlockStatus.FAILED | BlockStatus.FAILED_PARENT))


@dataclass(frozen=True, slots=True)
class TxLocation:
    """Where the bytes of a confirmed transaction are."""

    block_hash: bytes
    offset: int
    """Bytes from the start of the raw block."""
    length: int
    spent_offset: int
    """Bytes from the start of the block's undo data to the coins that it spent."""
    spent_length: int
    """0 for a coinbase."""


@dataclass(frozen=True, slots=True)
class LayoutEntry:
    """Where a transaction of a block ends; all of them are its layout, by which any part of it can be read alone."""

    txid: bytes
    end: int
    """Bytes from the start of the raw block."""
    spent_end: int
    """Bytes from the start of the undo data."""


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """What is kept of a block that is connected, beside its bytes."""

    undo: bytes
    layout: bytes
    locations: tuple[TxLocation, ...]


@dataclass(frozen=True, slots=True)
class Spend:
    """The input that spends an output."""

    txid: bytes
    vin: int


@dataclass(frozen=True, slots=True)
class ScriptStats:
    """Esplora's counters of a script; sums in satoshis."""

    tx_count: int = 0
    funded_count: int = 0
    funded_sum: int = 0
    spent_count: int = 0
    spent_sum: int = 0

    @property
    def balance(self) -> int:
        """Satoshis received and not spent."""
        return self.funded_sum - self.spent_sum


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """What is kept of an unconfirmed transaction, beside its bytes."""

    wtxid: bytes
    fee: int
    """Satoshis."""
    vsize: int
    """Virtual bytes, adjusted for signature operations."""
    weight: int
    sigop_cost: int
    """Signature operations, weighted as in a block (BIP141)."""
    time: int
    """Seconds since 1970 when it entered the pool."""
    sequence: int
    """Order of entry."""


@dataclass(frozen=True, slots=True)
class BlockFees:
    """What the payments of a block paid."""

    total: int
    """Satoshis."""
    feerates: tuple[float, ...]
    """Seven feerates in satoshis per virtual byte, from the lowest to the highest at evenly spaced places of the
    block's virtual size: the fourth is the median."""


@dataclass(frozen=True, slots=True)
class PoolSample:
    """What was in the pool after the last commit of a minute."""

    time: int
    """Seconds since 1970 at which the minute began."""
    count: int
    vsize: int
    fees: int
    """Satoshis."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A transaction that left the pool because another took its place."""

    tx: Transaction
    entry: PoolEntry
    replaced_by: bytes
    """Txid of the other one."""
    time: int
    """Seconds since 1970 when that was."""


def encode_coin(coin: Coin) -> bytes:
    """Height and coinbase flag (4 bytes: height << 1 | flag), value (8), scriptPubKey (the rest)."""
    output = coin.output
    return _COIN.pack(coin.height << 1 | coin.is_coinbase, output.value) + output.script_pubkey


def decode_coin(data: bytes) -> Coin:
    """Inverse of `encode_coin`."""
    code, value = _COIN.unpack_from(data)
    return Coin(TxOut(value, data[_COIN.size :]), code >> 1, bool(code & 1))


def encode_location(location: TxLocation) -> bytes:
    """Block hash (32 bytes), offset (4), length (4), offset and length of what it spent (4 + 4)."""
    return _LOCATION.pack(
        location.block_hash, location.offset, location.length, location.spent_offset, location.spent_length
    )


def decode_location(data: bytes) -> TxLocation:
    """Inverse of `encode_location`."""
    return TxLocation(*_LOCATION.unpack(data))


def encode_spend(spend: Spend) -> bytes:
    """Spending txid (32 bytes), input index (4)."""
    return _SPEND.pack(spend.txid, spend.vin)


def decode_spend(data: bytes) -> Spend:
    """Inverse of `encode_spend`."""
    return Spend(*_SPEND.unpack(data))


def encode_block_entry(entry: BlockEntry) -> bytes:
    """Header (80 bytes), height (4), chain work (32), status (1), counts (4 + 4 + 4), total (8), arrival (8)."""
    return _ENTRY.pack(
        entry.header.serialize(),
        entry.height,
        entry.chain_work.to_bytes(32, "big"),
        entry.status,
        entry.tx_count,
        entry.size,
        entry.weight,
        entry.chain_tx_count,
        entry.arrival,
    )


def decode_block_entry(data: bytes) -> BlockEntry:
    """Inverse of `encode_block_entry`."""
    header, height, work, status, tx_count, size, weight, chain_tx_count, arrival = _ENTRY.unpack(data)
    return BlockEntry(
        BlockHeader.parse(header),
        height,
        int.from_bytes(work, "big"),
        BlockStatus(status),
        tx_count,
        size,
        weight,
        chain_tx_count,
        arrival,
    )


def encode_pool_entry(entry: PoolEntry) -> bytes:
    """Wtxid (32 bytes), fee (8), vsize (4), weight (4), sigop cost (4), time (8), sequence (8)."""
    return _POOL_ENTRY.pack(
        entry.wtxid, entry.fee, entry.vsize, entry.weight, entry.sigop_cost, entry.time, entry.sequence
    )


def decode_pool_entry(data: bytes) -> PoolEntry:
    """Inverse of `encode_pool_entry`."""
    return PoolEntry(*_POOL_ENTRY.unpack(data))


def encode_pool_script(script_hash: bytes, sequence: int, txid: bytes) -> bytes:
    """Script hash (32 bytes), order of entry (8, big-endian so that it compares as bytes), txid (32)."""
    return _POOL_SCRIPT.pack(script_hash, sequence, txid)


def decode_pool_script(data: bytes) -> tuple[int, bytes]:
    """Return order of entry and txid of an encoded one."""
    _, sequence, txid = _POOL_SCRIPT.unpack(data)
    return sequence, txid


def pool_script_range(script_hash: bytes) -> tuple[bytes, bytes]:
    """Return the lowest and the highest bound (ZRANGEBYLEX) of what is encoded for a script."""
    return b"[" + script_hash, b"(" + script_hash + b"\xff"


def encode_replaced(replaced: Replaced) -> bytes:
    """Txid of the replacing one (32 bytes), time (8), pool entry (68), raw transaction (the rest)."""
    head = _REPLACED.pack(replaced.replaced_by, replaced.time)
    return head + encode_pool_entry(replaced.entry) + replaced.tx.serialize()


def decode_replaced(data: bytes) -> Replaced:
    """Inverse of `encode_replaced`."""
    replaced_by, time = _REPLACED.unpack_from(data)
    raw_at = _REPLACED.size + _POOL_ENTRY.size
    entry = decode_pool_entry(data[_REPLACED.size : raw_at])
    return Replaced(Transaction.parse(data[raw_at:]), entry, replaced_by, time)


def encode_replaces(direct: Sequence[bytes], descendants: Sequence[bytes]) -> bytes:
    """Return the number of txids replaced directly (4 bytes), these, and those that left with them (32 bytes each)."""
    return _COUNT.pack(len(direct)) + b"".join((*direct, *descendants))


def decode_replaces(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Inverse of `encode_replaces`."""
    (count,) = _COUNT.unpack_from(data)
    txids = [data[at : at + _TXID_SIZE] for at in range(_COUNT.size, len(data), _TXID_SIZE)]
    return txids[:count], txids[count:]


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
    """Return where the first of so many transactions begins in a raw block, and where its undo data do."""
    return HEADER_SIZE + len(pack_compact_size(count)), len(pack_compact_size(count - 1))


def decode_layout(data: bytes) -> list[LayoutEntry]:
    """Return the entries of a layout, or of a part of one: txid (32 bytes), end (4), end of what it spent (4)."""
    return [LayoutEntry(*place) for place in _LAYOUT_ENTRY.iter_unpack(data)]


def _encode_spent(coins: Sequence[Coin]) -> bytes:
    parts = [pack_compact_size(len(coins))]
    for coin in coins:
        encoded = encode_coin(coin)
        parts += (pack_compact_size(len(encoded)), encoded)
    return b"".join(parts)


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


def _read_spent(reader: Reader) -> list[Coin]:
    return [decode_coin(reader.var_bytes("undo coin")) for _ in range(reader.compact_size("undo coins"))]


def encode_script_stats(stats: ScriptStats) -> bytes:
    """Transactions, number and sum of outputs, number and sum of those that were spent: 8 bytes each."""
    return _STATS.pack(stats.tx_count, stats.funded_count, stats.funded_sum, stats.spent_count, stats.spent_sum)


def decode_script_stats(data: bytes) -> ScriptStats:
    """Inverse of `encode_script_stats`."""
    return ScriptStats(*_STATS.unpack(data))


def encode_block_fees(fees: BlockFees) -> bytes:
    """Total (8 bytes), seven feerates as doubles (8 each)."""
    return _FEES.pack(fees.total, *fees.feerates)


def decode_block_fees(data: bytes) -> BlockFees:
    """Inverse of `encode_block_fees`."""
    total, *feerates = _FEES.unpack(data)
    return BlockFees(total, tuple(feerates))


def decode_pool_sample(data: bytes) -> PoolSample:
    """Time, count, vsize and fees, 8 bytes each: commit.lua writes it."""
    return PoolSample(*_SAMPLE.unpack(data))


def history_score(height: int, position: int) -> int:
    """Score of a transaction in its scripts' histories: by height, then position in the block; exact as a double."""
    if position >> _POSITION_BITS:
        raise DecodeError(f"position {position} in a block is out of range")
    return height << _POSITION_BITS | position


def split_history_score(score: float) -> tuple[int, int]:
    """Return height and position of a score."""
    number = int(score)
    return number >> _POSITION_BITS, number & ((1 << _POSITION_BITS) - 1)


def decode_event(seq: int, fields: Mapping[bytes, bytes]) -> Fact:
    """Return the fact in an entry of the outbox, whose number is in the entry's id; `DecodeError` if it is none."""
    message = events.decode(fields[b"topic"].decode(), fields[b"body"])
    if not isinstance(message, Fact):
        raise DecodeError(f"event {seq} is no fact: {message.topic}")
    return msgspec.structs.replace(message, seq=seq)


def decode_outpoint(data: bytes) -> OutPoint:
    """Return the outpoint of its 36 bytes."""
    return OutPoint.parse(data)
