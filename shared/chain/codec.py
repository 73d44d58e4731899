"""The bytes of every binary value in Redis: one encoder and one decoder each, described in docs/redis-schema.md.

Integers are little-endian, except chain work, which is big-endian so that it compares as bytes.
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
from shared.primitives.block import Block, BlockHeader
from shared.primitives.coin import Coin
from shared.primitives.serialize import Reader, pack_compact_size
from shared.primitives.transaction import OutPoint, Transaction, TxOut

_COIN = struct.Struct("<Iq")
_LOCATION = struct.Struct("<32sII")
_SPEND = struct.Struct("<32sI")
_ENTRY = struct.Struct("<80sI32sBIIIQQ")
_POOL_ENTRY = struct.Struct("<32sqIIIQQ")
_FEES = struct.Struct("<q7d")
_SAMPLE = struct.Struct("<qqqq")
_REPLACED = struct.Struct("<32sQ")
_COUNT = struct.Struct("<I")
_TXID_SIZE = 32
_POSITION_BITS = 20
_HEADER_SIZE = 80


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


@dataclass(frozen=True, slots=True)
class Spend:
    """The input that spends an output."""

    txid: bytes
    vin: int


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
    """Block hash (32 bytes), offset (4), length (4)."""
    return _LOCATION.pack(location.block_hash, location.offset, location.length)


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


def encode_undo(spent: Sequence[Sequence[Coin]]) -> bytes:
    """Return a block's undo data: for each transaction but the coinbase, a count and that many length-prefixed coins.

    In block order, so that reading it backwards restores coins in the reverse of the order they were spent in.
    """
    parts = [pack_compact_size(len(spent))]
    for coins in spent:
        parts.append(pack_compact_size(len(coins)))
        for coin in coins:
            encoded = encode_coin(coin)
            parts += (pack_compact_size(len(encoded)), encoded)
    return b"".join(parts)


def decode_undo(data: bytes) -> list[list[Coin]]:
    """Inverse of `encode_undo`; `DecodeError` if it is cut short or goes on."""
    reader = Reader(data)
    spent = []
    for _ in range(reader.compact_size("undo transactions")):
        count = reader.compact_size("undo coins")
        spent.append([decode_coin(reader.var_bytes("undo coin")) for _ in range(count)])
    reader.finish("undo data")
    return spent


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


def tx_locations(block: Block) -> list[TxLocation]:
    """Return where each transaction's bytes are in the raw block."""
    offset = _HEADER_SIZE + len(pack_compact_size(len(block.transactions)))
    locations = []
    for tx in block.transactions:
        locations.append(TxLocation(block.hash, offset, tx.size))
        offset += tx.size
    return locations
