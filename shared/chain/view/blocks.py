"""The part of `ChainView` that reads blocks by their hashes, on the best chain or off it."""

from __future__ import annotations

from collections.abc import Sequence

from shared.chain import codec
from shared.chain.codec import BlockEntry, BlockFees, LayoutEntry
from shared.chain.view.reader import StoreReader
from shared.primitives.block import Block
from shared.primitives.coin import Coin


class BlockReader:
    """Reads blocks, their index entries and their stored data."""

    def __init__(self, reader: StoreReader) -> None:
        self._redis = reader.redis
        self._keys = reader.keys
        self._reader = reader

    def entry(self, block_hash: bytes) -> BlockEntry | None:
        """Return a block's index entry."""
        return self.entries([block_hash])[0]

    def entries(self, hashes: Sequence[bytes]) -> list[BlockEntry | None]:
        """Return the index entry of each block."""
        return self._reader.fields(self._keys.blocks, hashes, codec.decode_block_entry)

    def all_entries(self) -> list[BlockEntry]:
        """Return the whole block index, in no order."""
        return [codec.decode_block_entry(value) for value in self._redis.hvals(self._keys.blocks)]

    def get(self, block_hash: bytes) -> Block | None:
        """Return a block."""
        return self.get_many([block_hash])[0]

    def get_many(self, hashes: Sequence[bytes]) -> list[Block | None]:
        """Return each of these blocks."""
        return self._reader.strings([self._keys.block(block_hash) for block_hash in hashes], Block.parse)

    def raw(self, block_hash: bytes) -> bytes | None:
        """Return a block's bytes."""
        data: bytes | None = self._redis.get(self._keys.block(block_hash))
        return data

    def slices(self, slices: Sequence[tuple[bytes, int, int]]) -> list[bytes]:
        """Return slices of raw blocks, each given as (block hash, offset, length); empty for an unknown block."""
        pipe = self._redis.pipeline(transaction=False)
        for block_hash, offset, length in slices:
            pipe.getrange(self._keys.block(block_hash), offset, offset + length - 1)
        pieces: list[bytes] = pipe.execute()
        return pieces

    def part(self, block_hash: bytes, span: tuple[int, int], undo_span: tuple[int, int]) -> tuple[bytes, bytes]:
        """Return a slice of a raw block and a slice of its undo data, each from one offset up to another."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.getrange(self._keys.block(block_hash), span[0], span[1] - 1)
        pipe.getrange(self._keys.undo(block_hash), undo_span[0], undo_span[1] - 1)
        raw, undo = pipe.execute()
        return raw, undo

    def layout(self, block_hash: bytes, start: int = 0, stop: int | None = None) -> list[LayoutEntry]:
        """Return the layout's entries `start` to `stop` of a block; an empty list if it was never connected."""
        first, last = start * codec.LAYOUT_ENTRY_SIZE, -1 if stop is None else stop * codec.LAYOUT_ENTRY_SIZE - 1
        return codec.decode_layout(self._redis.getrange(self._keys.layout(block_hash), first, last))

    def txids(self, block_hash: bytes) -> list[bytes]:
        """Return a block's txids; an empty list if it was never connected."""
        return codec.decode_layout_txids(self._redis.get(self._keys.layout(block_hash)) or b"")

    def undo(self, block_hash: bytes) -> list[list[Coin]] | None:
        """Return the coins that each transaction except the coinbase spent; the block was once connected."""
        return self.undos([block_hash])[0]

    def undos(self, hashes: Sequence[bytes]) -> list[list[list[Coin]] | None]:
        """Return the undo data of each of these blocks."""
        return self._reader.strings([self._keys.undo(block_hash) for block_hash in hashes], codec.decode_undo)

    def fees(self, hashes: Sequence[bytes]) -> list[BlockFees | None]:
        """Return the fees of each block; None for a block without payments and for one that was never connected."""
        return self._reader.fields(self._keys.block_fees, hashes, codec.decode_block_fees)
