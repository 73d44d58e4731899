"""Transactions with their inputs, outputs and outpoints (BIP144 serialization). All are immutable.

A parsed transaction keeps its bytes, so its ids and sizes cost little. A built transaction is serialized when its ids
or sizes are first needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NamedTuple, Self

import msgspec

from shared.crypto.hashes import sha256d
from shared.errors import DecodeError
from shared.primitives.hex import display_hash
from shared.primitives.serialize import Reader, pack_compact_size, pack_i64, pack_u32, pack_var_bytes
from shared.primitives.weight import WITNESS_SCALE_FACTOR

_OUTPOINT = Struct("<32sI")
_NULL_TXID = bytes(32)
MAX_VOUT: Final = 0xFFFFFFFF
MIN_INPUT_SIZE: Final = 41
"""Bytes of an input with an empty scriptSig."""
_MIN_OUTPUT_SIZE = 9
_MARKER_SIZE = 2
"""Bytes after the version that say that a witness follows the outputs (BIP144)."""

LOCKTIME_THRESHOLD: Final = 500_000_000
"""A lock time below this number is a height; from this number on it is a time in seconds."""
SEQUENCE_FINAL: Final = 0xFFFFFFFF
SEQUENCE_LOCKTIME_DISABLE_FLAG: Final = 1 << 31
SEQUENCE_LOCKTIME_TYPE_FLAG: Final = 1 << 22
SEQUENCE_LOCKTIME_MASK: Final = 0xFFFF
SEQUENCE_LOCKTIME_GRANULARITY: Final = 9
"""The unit of a relative lock time by time is 2^9 = 512 seconds (BIP68)."""


class OutPoint(NamedTuple):
    """The name of a coin: a transaction's id and the index of its output."""

    txid: bytes
    vout: int

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read 36 bytes."""
        return cls(*_OUTPOINT.unpack(reader.take(36, "outpoint")))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the outpoint of exactly 36 bytes; DecodeError otherwise."""
        if len(data) != 36:
            raise DecodeError(f"an outpoint has 36 bytes, not {len(data)}")
        return cls(*_OUTPOINT.unpack(data))

    def serialize(self) -> bytes:
        """Return the 36 bytes."""
        return _OUTPOINT.pack(self.txid, self.vout)

    @property
    def is_null(self) -> bool:
        """Whether this is the outpoint of a coinbase's input."""
        return self.vout == MAX_VOUT and self.txid == _NULL_TXID

    def __str__(self) -> str:
        return f"{display_hash(self.txid)}:{self.vout}"


NULL_OUTPOINT = OutPoint(_NULL_TXID, MAX_VOUT)


# A block has tens of thousands of inputs, outputs and coins. A struct is made in a seventh of the time of a frozen
# dataclass. It has only bytes and numbers and so is in no cycle: the garbage collector need not visit it.
class TxIn(msgspec.Struct, frozen=True, gc=False):
    """An input: the coin that it spends, and the scriptSig and witness that unlock it."""

    prevout: OutPoint
    script_sig: bytes
    sequence: int = SEQUENCE_FINAL
    witness: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read an input without its witness, which comes after the outputs."""
        return cls(*_read_input(reader))

    def serialize(self) -> bytes:
        """Return the input without its witness."""
        prevout = self.prevout
        return _OUTPOINT.pack(prevout.txid, prevout.vout) + pack_var_bytes(self.script_sig) + pack_u32(self.sequence)


def _read_input(reader: Reader) -> tuple[OutPoint, bytes, int]:
    prevout = OutPoint(*_OUTPOINT.unpack(reader.take(36, "outpoint")))
    return prevout, reader.var_bytes("scriptSig"), reader.u32("sequence")


class TxOut(msgspec.Struct, frozen=True, gc=False):
    """An output: an amount in satoshis and the script that locks it."""

    value: int
    script_pubkey: bytes

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read an output; the value is signed, and `check_transaction` checks its range."""
        return cls(reader.i64("output value"), reader.var_bytes("scriptPubKey"))

    def serialize(self) -> bytes:
        """Return value and script."""
        return pack_i64(self.value) + pack_var_bytes(self.script_pubkey)


@dataclass(frozen=True, slots=True, eq=False)
class Transaction:
    """A transaction; `version` and `lock_time` are unsigned 32-bit integers. Equal if all bytes are equal."""

    version: int
    inputs: tuple[TxIn, ...]
    outputs: tuple[TxOut, ...]
    lock_time: int = 0
    _raw: bytes | None = field(default=None, init=False, repr=False)
    _base_size: int = field(default=0, init=False, repr=False)
    """Bytes without witness; known with `_raw`, of which the bytes without witness are a part."""
    _txid: bytes | None = field(default=None, init=False, repr=False)
    _wtxid: bytes | None = field(default=None, init=False, repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the transaction of exactly these bytes; DecodeError names the field that is malformed."""
        reader = Reader(data)
        transaction = cls.read(reader)
        reader.finish("transaction")
        return transaction

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read one transaction, with or without witness (Core's UnserializeTransaction).

        Raises DecodeError for truncation, for a witness without any item and for unknown optional data.
        """
        data = reader.data
        start = reader.position
        version = reader.u32("transaction version")
        count = reader.count("inputs", MIN_INPUT_SIZE)
        flags = 0
        outputs_follow = True
        if count == 0:
            # Either the marker of a witness transaction, or a transaction without inputs and outputs.
            flags = reader.u8("transaction flags")
            outputs_follow = flags != 0
            if outputs_follow:
                count = reader.count("inputs", MIN_INPUT_SIZE)
        bare_inputs = [_read_input(reader) for _ in range(count)]
        outputs: tuple[TxOut, ...] = ()
        if outputs_follow:
            outputs = tuple([TxOut.read(reader) for _ in range(reader.count("outputs", _MIN_OUTPUT_SIZE))])
        if flags:
            witness_start = reader.position
            witnesses = _read_witnesses(reader, flags, count)
            inputs = tuple([TxIn(*bare, stack) for bare, stack in zip(bare_inputs, witnesses, strict=True)])
            lock_time = reader.u32("lock time")
            end = reader.position
            base_size = witness_start - start - _MARKER_SIZE + 4
        else:
            inputs = tuple([TxIn(*bare) for bare in bare_inputs])
            lock_time = reader.u32("lock time")
            end = reader.position
            base_size = end - start
        transaction = cls(version, inputs, outputs, lock_time)
        object.__setattr__(transaction, "_raw", data[start:end])
        object.__setattr__(transaction, "_base_size", base_size)
        return transaction

    def serialize(self, include_witness: bool = True) -> bytes:
        """Return the bytes; the txid is the hash of the bytes without witness."""
        raw = self._raw
        if raw is None:
            raw = self._build()
        size = self._base_size
        if include_witness or size == len(raw):
            return raw
        # Not kept beside `raw`: it is needed for the txid only, and would take half as many bytes again.
        return raw[:4] + raw[4 + _MARKER_SIZE : size - 4 + _MARKER_SIZE] + raw[-4:]

    def _build(self) -> bytes:
        inputs = pack_compact_size(len(self.inputs)) + b"".join([tx_in.serialize() for tx_in in self.inputs])
        outputs = pack_compact_size(len(self.outputs)) + b"".join([tx_out.serialize() for tx_out in self.outputs])
        version, lock_time = pack_u32(self.version), pack_u32(self.lock_time)
        raw = version + inputs + outputs + lock_time
        object.__setattr__(self, "_base_size", len(raw))
        if self.has_witness:
            raw = b"".join((version, b"\x00\x01", inputs, outputs, *map(_pack_witness, self.inputs), lock_time))
        object.__setattr__(self, "_raw", raw)
        return raw

    @property
    def txid(self) -> bytes:
        """The double SHA-256 without witness, wire order."""
        txid = self._txid
        if txid is None:
            txid = sha256d(self.serialize(include_witness=False))
            object.__setattr__(self, "_txid", txid)
        return txid

    @property
    def wtxid(self) -> bytes:
        """The double SHA-256 with witness, wire order (BIP141)."""
        wtxid = self._wtxid
        if wtxid is None:
            wtxid = sha256d(self.serialize()) if self.has_witness else self.txid
            object.__setattr__(self, "_wtxid", wtxid)
        return wtxid

    @property
    def txid_hex(self) -> str:
        """The txid in display order."""
        return display_hash(self.txid)

    @property
    def wtxid_hex(self) -> str:
        """The wtxid in display order."""
        return display_hash(self.wtxid)

    @property
    def has_witness(self) -> bool:
        """Whether any input has a witness."""
        return any(tx_in.witness for tx_in in self.inputs)

    @property
    def is_coinbase(self) -> bool:
        """Whether this is a coinbase: its one input has the null outpoint."""
        return len(self.inputs) == 1 and self.inputs[0].prevout.is_null

    @property
    def size(self) -> int:
        """Bytes with witness."""
        return len(self.serialize())

    @property
    def base_size(self) -> int:
        """Bytes without witness."""
        if self._raw is None:
            self._build()
        return self._base_size

    @property
    def weight(self) -> int:
        """Weight units: three times the base size plus the size (BIP141)."""
        size = len(self.serialize())  # first: it may have to be built
        return (WITNESS_SCALE_FACTOR - 1) * self._base_size + size

    @property
    def vsize(self) -> int:
        """Virtual bytes: a quarter of the weight, rounded up."""
        return -(-self.weight // WITNESS_SCALE_FACTOR)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transaction) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash(self.wtxid)

    def __str__(self) -> str:
        return self.txid_hex


def _read_witnesses(reader: Reader, flags: int, count: int) -> list[tuple[bytes, ...]]:
    if flags != 1:
        raise DecodeError(f"transaction: unknown optional data (flags {flags:02x})")
    witnesses = [
        tuple([reader.var_bytes("witness item") for _ in range(reader.count("witness items", 1))]) for _ in range(count)
    ]
    if not any(witnesses):
        raise DecodeError("transaction: superfluous witness record")
    return witnesses


def _pack_witness(tx_in: TxIn) -> bytes:
    return pack_compact_size(len(tx_in.witness)) + b"".join(map(pack_var_bytes, tx_in.witness))
