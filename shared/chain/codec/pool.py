"""Unconfirmed transactions: entries, samples of the totals, and the history of replacements."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from shared.primitives.transaction import Transaction

_POOL_ENTRY = struct.Struct("<32sqIIIQQ")
_POOL_SCRIPT = struct.Struct(">32sQ32s")
_SAMPLE = struct.Struct("<qqqq")
_REPLACED = struct.Struct("<32sQ")
_COUNT = struct.Struct("<I")
_TXID_SIZE = 32


# A struct, like inputs and outputs: a pool has a hundred thousand, which the garbage collector need not visit.
class PoolEntry(msgspec.Struct, frozen=True, gc=False):
    """The data stored for an unconfirmed transaction beside its bytes."""

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
class PoolSample:
    """The pool's totals after the last commit of a minute."""

    time: int
    """Seconds since 1970 at which the minute began."""
    count: int
    vsize: int
    fees: int
    """Satoshis."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A transaction that left the pool because another one replaced it."""

    tx: Transaction
    entry: PoolEntry
    replaced_by: bytes
    """Txid of the transaction that replaced it."""
    time: int
    """Seconds since 1970 at the replacement."""


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
    """Return the order of entry and the txid."""
    _, sequence, txid = _POOL_SCRIPT.unpack(data)
    return sequence, txid


def pool_scripts_by_txid(members: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """Return the script hashes of each txid in these encoded members."""
    scripts: dict[bytes, list[bytes]] = {}
    for script_hash, _, txid in map(_POOL_SCRIPT.unpack, members):
        scripts.setdefault(txid, []).append(script_hash)
    return scripts


def pool_script_hash(data: bytes) -> bytes:
    """Return the script hash."""
    return data[:32]


def pool_script_range(script_hash: bytes) -> tuple[bytes, bytes]:
    """Return the bounds (ZRANGEBYLEX) between which all entries of a script lie."""
    return b"[" + script_hash, b"(" + script_hash + b"\xff"


def decode_pool_sample(data: bytes) -> PoolSample:
    """Time, count, vsize and fees, 8 bytes each: commit.lua writes it."""
    return PoolSample(*_SAMPLE.unpack(data))


def encode_replaced(replaced: Replaced) -> bytes:
    """Txid of the replacing transaction (32 bytes), time (8), pool entry (68), raw transaction (the rest)."""
    head = _REPLACED.pack(replaced.replaced_by, replaced.time)
    return head + encode_pool_entry(replaced.entry) + replaced.tx.serialize()


def decode_replaced(data: bytes) -> Replaced:
    """Inverse of `encode_replaced`."""
    replaced_by, time = _REPLACED.unpack_from(data)
    raw_at = _REPLACED.size + _POOL_ENTRY.size
    entry = decode_pool_entry(data[_REPLACED.size : raw_at])
    return Replaced(Transaction.parse(data[raw_at:]), entry, replaced_by, time)


def encode_replaces(direct: Sequence[bytes], descendants: Sequence[bytes]) -> bytes:
    """Return the number of direct txids (4 bytes), these, and the txids of their descendants (32 bytes each)."""
    return _COUNT.pack(len(direct)) + b"".join((*direct, *descendants))


def decode_replaces(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Inverse of `encode_replaces`."""
    (count,) = _COUNT.unpack_from(data)
    txids = [data[at : at + _TXID_SIZE] for at in range(_COUNT.size, len(data), _TXID_SIZE)]
    return txids[:count], txids[count:]
