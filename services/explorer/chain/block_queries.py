"""Reads single blocks, on the best chain or off it, lists of blocks, the difficulty period and the hash rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.explorer.chain.miner_names import HEAD_SIZE, coinbase_of, coinbase_script, miner_name
from services.explorer.chain.models import BlockInfo, MinedBlock, TxInfo, prevouts_of
from services.explorer.chain.retarget import Period
from services.explorer.errors import RequestError, block_not_found
from shared.chain.codec import (
    BlockEntry,
    BlockFees,
    LayoutEntry,
    block_head,
    decode_layout,
    decode_spent,
    store_block,
)
from shared.chain.view import ChainView, Tip
from shared.consensus.block_check import median_time_past
from shared.consensus.limits import MAX_HEIGHT, MEDIAN_TIME_SPAN
from shared.consensus.params import ChainParams
from shared.consensus.pow import HASH_RATE_BLOCKS, hash_rate
from shared.errors import StoreUnavailable
from shared.primitives.serialize import Reader
from shared.primitives.transaction import Transaction

COINBASE_SIZE = 4096
"""Bytes at the start of a raw block that nearly always contain its coinbase."""


class BlockQueries:
    """Reads blocks by height or hash."""

    def __init__(self, view: ChainView, params: ChainParams) -> None:
        self._view = view
        self._params = params

    # ── the best chain ──────────────────────────────────────────────────────────────────────────────────────────

    def hash_at(self, height: int) -> bytes:
        """Return the best chain's block hash at a height; 404 above the tip."""
        found = self._view.block_hash(height) if height <= MAX_HEIGHT else None
        if found is None:
            raise block_not_found()
        return found

    def page(self, start: int | None, count: int) -> list[BlockInfo]:
        """Return `count` blocks of the best chain from height `start` (None: the tip) downwards; 404 above the tip."""
        return self._view.at_tip(lambda tip: self._page(tip, start, count))

    def _page(self, tip: Tip, start: int | None, count: int) -> list[BlockInfo]:
        top, last = _heights(tip, start, count)
        lowest = max(0, last - MEDIAN_TIME_SPAN + 1)
        hashes = self._view.block_hashes(lowest, top - lowest + 2)
        entries = self.entries(hashes[: top - lowest + 1])
        infos = []
        for height in range(top, last - 1, -1):
            window = entries[: height - lowest + 1][-MEDIAN_TIME_SPAN:]
            following = hashes[height - lowest + 1] if height < tip.height else None
            infos.append(BlockInfo(window[-1], _median_time(window), True, following))
        return infos

    def mined_page(self, start: int | None, count: int) -> list[MinedBlock]:
        """Return the blocks of `page` with miners and fees, without median time and next block."""
        return self._view.at_tip(lambda tip: self._mined_page(tip, start, count))

    def _mined_page(self, tip: Tip, start: int | None, count: int) -> list[MinedBlock]:
        top, last = _heights(tip, start, count)
        hashes = self._view.block_hashes(last, top - last + 1)[::-1]
        entries = self.entries(hashes)
        heads = self._view.blocks.slices([(block_hash, 0, HEAD_SIZE) for block_hash in hashes])
        fees = self._view.blocks.fees(hashes)
        return [
            MinedBlock(entry, miner_name(coinbase_script(head)) if entry.height else "", paid)
            for entry, head, paid in zip(entries, heads, fees, strict=True)
        ]

    def entries_at(self, heights: Sequence[int]) -> list[BlockEntry]:
        """Return the index entry of the best chain's block at each of these heights, which it must have."""
        return self.entries(self._view.block_hashes_at(heights))

    def fees_at(self, heights: Sequence[int]) -> list[BlockFees | None]:
        """Return the fees of the best chain's block at each of these heights, None for a block without payments."""
        return self._view.blocks.fees(self._view.block_hashes_at(heights))

    def period(self) -> Period:
        """Return the difficulty period of the tip."""
        return self._view.at_tip(self._period)

    def _period(self, at: Tip) -> Period:
        start = at.height - at.height % self._params.retarget_interval
        before, first, tip = self.entries_at([max(0, start - 1), start, at.height])
        return Period(tip.height, tip.header.time, first.header.time, first.header.bits, before.header.bits)

    def hash_rate(self, height: int) -> float | None:
        """Return hashes per second over the last blocks up to a height; None where their times tell nothing."""
        first, last = self.entries_at([max(0, height - HASH_RATE_BLOCKS), height])
        # The genesis block of a chain may be years older than the first one that was mined here.
        if first.height == 0 and height > 1:
            [first] = self.entries_at([1])
        return rate_between(first, last)

    # ── by hash ─────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, block_hash: bytes) -> BlockInfo:
        """Return a block, on the best chain or off it; 404 if it is unknown."""
        found = self.find(block_hash)
        if found is None:
            raise block_not_found()
        return found

    def find(self, block_hash: bytes) -> BlockInfo | None:
        """Return a block, on the best chain or off it, None if it is unknown."""
        return self._view.at_tip(lambda _: self._find(block_hash))

    def _find(self, block_hash: bytes) -> BlockInfo | None:
        entry = self._view.blocks.entry(block_hash)
        if entry is None:
            return None
        lowest = max(0, entry.height - MEDIAN_TIME_SPAN + 1)
        place = entry.height - lowest
        hashes = self._view.block_hashes(lowest, place + 2)  # up to the block on top of it
        if hashes[place : place + 1] == [block_hash]:
            following = next(iter(hashes[place + 1 :]), None)
            return BlockInfo(entry, _median_time(self.entries(hashes[: place + 1])), True, following)
        window = [entry]
        while len(window) < MEDIAN_TIME_SPAN and window[0].height > 0:
            window[:0] = self.entries([window[0].header.prev_hash])
        return BlockInfo(entry, _median_time(window), False, None)

    def entries(self, hashes: Sequence[bytes]) -> list[BlockEntry]:
        """Return the index entry of each block; `StoreUnavailable` where one is missing."""
        entries = [entry for entry in self._view.blocks.entries(hashes) if entry is not None]
        if len(entries) != len(hashes):
            raise StoreUnavailable("the chain has moved, or a block's index entry is missing")
        return entries

    def check(self, block_hash: bytes) -> None:
        """Raise the 404 of an unknown block unless this block is stored."""
        self._with_data(block_hash)

    def raw(self, block_hash: bytes) -> bytes:
        """Return a block's bytes; 404 if they are not stored."""
        raw = self._view.blocks.raw(block_hash)
        if raw is None:
            raise block_not_found()
        return raw

    def coinbases(self, hashes: Sequence[bytes]) -> list[Transaction]:
        """Return the coinbase of each block."""
        heads = self._view.blocks.slices([(block_hash, 0, COINBASE_SIZE) for block_hash in hashes])
        return [
            coinbase_of(head) or self.txs(block_hash, 0, 1)[0].tx
            for block_hash, head in zip(hashes, heads, strict=True)
        ]

    def fees(self, hashes: Sequence[bytes]) -> list[BlockFees | None]:
        """Return the fees of each block, None for a block without payments."""
        return self._view.blocks.fees(hashes)

    # ── a block's transactions ──────────────────────────────────────────────────────────────────────────────────

    def txids(self, block_hash: bytes) -> list[bytes]:
        """Return a block's txids, in its order."""
        return [entry.txid for entry in self._layout(block_hash)]

    def txid_at(self, block_hash: bytes, index: int) -> bytes | None:
        """Return the txid at an index of a block, None past its end."""
        if index >= self._with_data(block_hash).tx_count:
            return None
        return self._layout(block_hash, index, index + 1)[0].txid

    def txs(self, block_hash: bytes, start: int, count: int) -> list[TxInfo]:
        """Return up to `count` transactions of a block from index `start`, without `block` if the block is stale."""
        return self._view.at_tip(lambda _: self._txs(block_hash, start, count))

    def _txs(self, block_hash: bytes, start: int, count: int) -> list[TxInfo]:
        entry = self._with_data(block_hash)
        if start >= entry.tx_count:
            raise RequestError(400, "start index out of range")
        layout = self._layout(block_hash, max(0, start - 1), min(start + count, entry.tx_count))
        before = layout.pop(0) if start else None
        first, spent_first = (before.end, before.spent_end) if before else block_head(entry.tx_count)
        raw, undo = self._view.blocks.part(block_hash, (first, layout[-1].end), (spent_first, layout[-1].spent_end))
        txs = list(_read_transactions(raw))
        spent = decode_spent(undo)
        if start == 0:
            spent.insert(0, [])  # undo data have nothing for the coinbase
        spent += [[]] * (len(txs) - len(spent))  # nor anything for a block that was never connected
        block = entry if self._view.is_in_best_chain(entry) else None
        return [
            TxInfo(tx, prevouts_of(tx, [coin.output for coin in coins]), block)
            for tx, coins in zip(txs, spent, strict=True)
        ]

    def _with_data(self, block_hash: bytes) -> BlockEntry:
        entry = self._view.blocks.entry(block_hash)
        if entry is None or not entry.tx_count:
            raise block_not_found()
        return entry

    def _layout(self, block_hash: bytes, start: int = 0, stop: int | None = None) -> list[LayoutEntry]:
        """Return the places of a block's transactions, computed from the whole block if it was never connected."""
        layout = self._view.blocks.layout(block_hash, start, stop)
        if layout:
            return layout
        block = self._view.blocks.get(block_hash)
        if block is None:
            raise block_not_found()
        return decode_layout(store_block(block, [()] * (len(block.transactions) - 1)).layout)[start:stop]


def rate_between(first: BlockEntry, last: BlockEntry) -> float | None:
    """Return hashes per second from one block to a later one; None where their times tell nothing."""
    return hash_rate(last.chain_work - first.chain_work, [first.header.time, last.header.time]) or None


def _heights(tip: Tip, start: int | None, count: int) -> tuple[int, int]:
    """Return the highest and lowest of `count` heights from `start` (None: the tip) downwards; 404 above the tip."""
    top = tip.height if start is None else start
    if top > tip.height:
        raise block_not_found()
    return top, max(0, top - count + 1)


def _median_time(window: Sequence[BlockEntry]) -> int:
    return median_time_past([entry.header.time for entry in window])


def _read_transactions(data: bytes) -> Iterator[Transaction]:
    reader = Reader(data)
    while reader.remaining:
        yield Transaction.read(reader)
