"""Blocks and their 80-byte headers, in the format that miners submit and the chain stores."""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import Final, Self

from shared.crypto.hashes import sha256d
from shared.errors import DecodeError
from shared.primitives.hex import display_hash
from shared.primitives.serialize import Reader, compact_size_length, pack_compact_size
from shared.primitives.transaction import Transaction

_HEADER = Struct("<i32s32sIII")
HEADER_SIZE = _HEADER.size
MAX_TIME: Final = 0xFFFFFFFF
"""The latest time of a header, in seconds since 1970."""
_LEAST_TRANSACTION = 10


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """A block header, hashed for proof of work; `version` is signed, `time` in seconds, `bits` the compact target."""

    version: int
    prev_hash: bytes
    merkle_root: bytes
    time: int
    bits: int
    nonce: int
    _hash: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the header of exactly 80 bytes; DecodeError otherwise."""
        if len(data) != HEADER_SIZE:
            raise DecodeError(f"a block header has {HEADER_SIZE} bytes, not {len(data)}")
        return cls(*_HEADER.unpack(data))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read 80 bytes."""
        return cls(*_HEADER.unpack(reader.take(HEADER_SIZE, "block header")))

    def serialize(self) -> bytes:
        """Return the 80 bytes."""
        return _HEADER.pack(self.version, self.prev_hash, self.merkle_root, self.time, self.bits, self.nonce)

    @property
    def hash(self) -> bytes:
        """The block hash, wire order."""
        known = self._hash
        if known is None:
            known = sha256d(self.serialize())
            object.__setattr__(self, "_hash", known)
        return known

    @property
    def hash_hex(self) -> str:
        """The block hash in display order."""
        return display_hash(self.hash)


@dataclass(frozen=True, slots=True)
class Block:
    """A header and its transactions, the coinbase first."""

    header: BlockHeader
    transactions: tuple[Transaction, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the block of exactly these bytes; DecodeError names the field that is malformed."""
        reader = Reader(data)
        block = cls.read(reader)
        reader.finish("block")
        return block

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read one block."""
        header = BlockHeader.read(reader)
        count = reader.count("transactions", _LEAST_TRANSACTION)
        return cls(header, tuple([Transaction.read(reader) for _ in range(count)]))

    def serialize(self, include_witness: bool = True) -> bytes:
        """Return the bytes in the format of storage and network."""
        return b"".join(
            (
                self.header.serialize(),
                pack_compact_size(len(self.transactions)),
                *(tx.serialize(include_witness) for tx in self.transactions),
            )
        )

    @property
    def hash(self) -> bytes:
        """The block hash, wire order."""
        return self.header.hash

    @property
    def hash_hex(self) -> str:
        """The block hash in display order."""
        return self.header.hash_hex

    @property
    def size(self) -> int:
        """Bytes with witnesses."""
        return self._overhead + sum(tx.size for tx in self.transactions)

    @property
    def base_size(self) -> int:
        """Bytes without witnesses (Core's strippedsize)."""
        return self._overhead + sum(tx.base_size for tx in self.transactions)

    @property
    def weight(self) -> int:
        """Weight units: three times the base size plus the size (BIP141)."""
        return 3 * self.base_size + self.size

    @property
    def _overhead(self) -> int:
        return HEADER_SIZE + compact_size_length(len(self.transactions))
