"""The index entry and the fees of a block."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

from shared.primitives.block import BlockHeader

_ENTRY = struct.Struct("<80sI32sBIIIQQ")
_FEES = struct.Struct("<q7d")


class BlockStatus(IntFlag):
    """Flags of a block's state."""

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
    """Order of arrival: of two branches with equal work, the one that arrived first stays the best chain."""

    @property
    def hash(self) -> bytes:
        """Block hash."""
        return self.header.hash

    @property
    def failed(self) -> bool:
        """Whether this block, or one below it, breaks a rule."""
        return bool(self.status & (BlockStatus.FAILED | BlockStatus.FAILED_PARENT))


@dataclass(frozen=True, slots=True)
class BlockFees:
    """The fees of a block's transactions other than the coinbase."""

    total: int
    """Satoshis."""
    feerates: tuple[float, ...]
    """Seven feerates in satoshis per virtual byte, from the lowest to the highest, at evenly spaced points of the
    block's virtual size: the fourth is the median."""


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


def encode_block_fees(fees: BlockFees) -> bytes:
    """Total (8 bytes), seven feerates as doubles (8 each)."""
    return _FEES.pack(fees.total, *fees.feerates)


def decode_block_fees(data: bytes) -> BlockFees:
    """Inverse of `encode_block_fees`."""
    total, *feerates = _FEES.unpack(data)
    return BlockFees(total, tuple(feerates))
