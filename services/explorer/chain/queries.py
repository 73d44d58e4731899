"""What API and pages show, read from the chain: each answer from one state of it, and no more than is shown.

`ChainView` knows keys and values; here they become whole answers (a block with its median time, a transaction with the
outputs that it spends). Every method that needs several reads goes through `ChainView.at_tip`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from services.explorer.chain.cpfp import Members
from services.explorer.chain.miner_names import HEAD_SIZE, coinbase_of, coinbase_script, miner_name
from services.explorer.chain.models import BlockInfo, Movement, Outspend, TxInfo, TxPlace, prevouts_of
from services.explorer.chain.pool_fee_cache import PoolFee, PoolFeeCache
from services.explorer.chain.pool_relatives import Relatives
from services.explorer.chain.pool_script_stats import PoolScriptStats
from services.explorer.errors import RequestError, block_not_found, transaction_not_confirmed, transaction_not_found
from shared.chain.codec import (
    BlockEntry,
    BlockFees,
    LayoutEntry,
    PoolEntry,
    block_head,
    decode_layout,
    decode_spent,
    store_block,
)
from shared.chain.view import ChainView, Moved, PoolStats, ScriptStats, Tip, TxRecord, Unspent
from shared.consensus.block_check import median_time_past
from shared.consensus.limits import MEDIAN_TIME_SPAN
from shared.crypto.address_search import ScriptRange
from shared.errors import StoreUnavailable
from shared.primitives.merkle import merkle_tree
from shared.primitives.serialize import Reader
from shared.primitives.transaction import OutPoint, Transaction

T = TypeVar("T")

MAX_HEIGHT = 0x7FFFFFFF
COINBASE_SIZE = 4096
"""Bytes of a raw block that nearly always have its coinbase."""
_CACHED_TREES = 16
"""Merkle trees of the blocks that were last asked about: by hash they never change."""


class ChainQueries:
    """Answers from committed chain state."""

    def __init__(self, view: ChainView) -> None:
        self._view = view
        self._fees = PoolFeeCache(view)
        self._pool_effects = PoolScriptStats(view)
        self._relatives = Relatives(view)
        self._tree = lru_cache(maxsize=_CACHED_TREES)(lambda block_hash: merkle_tree(self.block_txids(block_hash)))

    def at_tip(self, read: Callable[[Tip], T]) -> T:
        """Return the result of `read`, whose reads all see the chain with the tip that it is given."""
        return self._view.at_tip(read)

    # ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def tip(self) -> Tip:
        """Return the tip; `StoreUnavailable` while there is no chain."""
        return self._view.tip()

    def block_hash(self, height: int) -> bytes:
        """Return the best chain's block hash at a height."""
        found = self._view.block_hash(height) if height <= MAX_HEIGHT else None
        if found is None:
            raise block_not_found()
        return found

    def blocks(self, start: int | None, count: int) -> list[BlockInfo]:
        """Return `count` blocks of the best chain from height `start` (None: the tip) downwards."""
        return self._view.at_tip(lambda tip: self._blocks(tip.height, start, count))

    def _blocks(self, tip: int, start: int | None, count: int) -> list[BlockInfo]:
        top = tip if start is None else start
        if top > tip:
            raise block_not_found()
        last = max(0, top - count + 1)
        lowest = max(0, last - MEDIAN_TIME_SPAN + 1)
        hashes = self._view.block_hashes(lowest, top - lowest + 2)
        entries = self._entries(hashes[: top - lowest + 1])
        infos = []
        for height in range(top, last - 1, -1):
            window = entries[: height - lowest + 1][-MEDIAN_TIME_SPAN:]
            following = hashes[height - lowest + 1] if height < tip else None
            infos.append(BlockInfo(window[-1], _median_time(window), True, following))
        return infos

    def block(self, block_hash: bytes) -> BlockInfo:
        """Return a block, on the best chain or off it."""
        found = self.find_block(block_hash)
        if found is None:
            raise block_not_found()
        return found

    def find_block(self, block_hash: bytes) -> BlockInfo | None:
        """Return a block, or None if it is not known."""
        return self._view.at_tip(lambda _: self._find_block(block_hash))

    def _find_block(self, block_hash: bytes) -> BlockInfo | None:
        entry = self._view.blocks.entry(block_hash)
        if entry is None:
            return None
        lowest = max(0, entry.height - MEDIAN_TIME_SPAN + 1)
        place = entry.height - lowest
        hashes = self._view.block_hashes(lowest, place + 2)  # up to the block on top of it
        if hashes[place : place + 1] == [block_hash]:
            following = next(iter(hashes[place + 1 :]), None)
            return BlockInfo(entry, _median_time(self._entries(hashes[: place + 1])), True, following)
        window = [entry]
        while len(window) < MEDIAN_TIME_SPAN and window[0].height > 0:
            window[:0] = self._entries([window[0].header.prev_hash])
        return BlockInfo(entry, _median_time(window), False, None)

    def raw_block(self, block_hash: bytes) -> bytes:
        """Return a block's bytes."""
        raw = self._view.blocks.raw(block_hash)
        if raw is None:
            raise block_not_found()
        return raw

    def miners(self, hashes: Sequence[bytes]) -> list[str]:
        """Return the name of each block's miner, empty where its coinbase has none."""
        heads = self._view.blocks.slices([(block_hash, 0, HEAD_SIZE) for block_hash in hashes])
        return [miner_name(coinbase_script(head)) for head in heads]

    def coinbases(self, hashes: Sequence[bytes]) -> list[Transaction]:
        """Return the coinbase of each block."""
        heads = self._view.blocks.slices([(block_hash, 0, COINBASE_SIZE) for block_hash in hashes])
        return [
            coinbase_of(head) or self.block_txs(block_hash, 0, 1)[0].tx
            for block_hash, head in zip(hashes, heads, strict=True)
        ]

    def block_fees(self, hashes: Sequence[bytes]) -> list[BlockFees | None]:
        """Return what the payments of each block paid, None for one without any."""
        return self._view.blocks.fees(hashes)

    def check_block(self, block_hash: bytes) -> None:
        """Raise `RequestError` unless this block is stored."""
        self._with_data(block_hash)

    def block_txids(self, block_hash: bytes) -> list[bytes]:
        """Return a block's txids, in its order."""
        return [entry.txid for entry in self._layout(block_hash)]

    def block_txid(self, block_hash: bytes, index: int) -> bytes | None:
        """Return the txid at an index of a block, None past its end."""
        if index >= self._with_data(block_hash).tx_count:
            return None
        return self._layout(block_hash, index, index + 1)[0].txid

    def block_txs(self, block_hash: bytes, start: int, count: int) -> list[TxInfo]:
        """Return up to `count` transactions of a block from index `start`; those of a stale block are unconfirmed."""
        return self._view.at_tip(lambda _: self._block_txs(block_hash, start, count))

    def _block_txs(self, block_hash: bytes, start: int, count: int) -> list[TxInfo]:
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
            spent.insert(0, [])  # the coinbase has no place in undo data
        spent += [[]] * (len(txs) - len(spent))  # nor has a block that was never connected
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
        """Return where a block's transactions are; one that was never on the best chain is read as a whole for that."""
        layout = self._view.blocks.layout(block_hash, start, stop)
        if layout:
            return layout
        block = self._view.blocks.get(block_hash)
        if block is None:
            raise block_not_found()
        return decode_layout(store_block(block, [()] * (len(block.transactions) - 1)).layout)[start:stop]

    def entries_at(self, heights: Sequence[int]) -> list[BlockEntry]:
        """Return the index entry of the best chain's block at each of these heights, which it must have."""
        return self._entries(self._view.block_hashes_at(heights))

    def _entries(self, hashes: Sequence[bytes]) -> list[BlockEntry]:
        entries = [entry for entry in self._view.blocks.entries(hashes) if entry is not None]
        if len(entries) != len(hashes):
            raise StoreUnavailable("the chain has moved, or a block's index entry is missing")
        return entries

    # ── transactions ────────────────────────────────────────────────────────────────────────────────────────────

    def tx(self, txid: bytes) -> TxInfo:
        """Return a transaction of the best chain or the pool."""
        [record] = self._view.txs.get_with_spent([txid])
        if record is None:
            raise transaction_not_found()
        return _info(record)

    def find_txs(self, txids: Sequence[bytes]) -> list[TxInfo]:
        """Return those of these transactions that are on the best chain or in the pool."""
        return [_info(record) for record in self._view.txs.get_with_spent(txids) if record is not None]

    def replaced_by(self, txids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return those of these transactions whose place in the pool another took, with the other."""
        found = self._view.replacements.replaced(txids)
        return {txid: record.replaced_by for txid, record in zip(txids, found, strict=True) if record is not None}

    def tx_record(self, txid: bytes) -> TxRecord:
        """Return a transaction without what it spends."""
        record = self.find_tx(txid)
        if record is None:
            raise transaction_not_found()
        return record

    def find_tx(self, txid: bytes) -> TxRecord | None:
        """Return a transaction without what it spends, or None."""
        return self._view.txs.get_with_spent([txid])[0]

    def merkle_proof(self, txid: bytes) -> TxPlace:
        """Return what it takes to prove that a transaction is in a block of the best chain."""
        block = self._view.at_tip(lambda _: self._blocks_of([txid])).get(txid)
        if block is None:
            raise transaction_not_confirmed()
        return self.place(block, txid)

    def place(self, block: BlockEntry, txid: bytes) -> TxPlace:
        """Return where a transaction stands in the block that holds it."""
        tree = self._tree(block.hash)
        return TxPlace(block, tree, tree[0].index(txid))

    def outspend(self, outpoint: OutPoint) -> Outspend | None:
        """Return what spends an output; None if nothing does, or there is no such output."""
        [found] = self._view.at_tip(lambda _: self._outspends([outpoint]))
        return found

    def outspends_of(self, txids: Sequence[bytes]) -> list[list[Outspend | None]]:
        """Return what spends each output of several transactions, nothing for one that is not known."""

        def read(_: Tip) -> list[list[Outspend | None]]:
            sizes = [len(record.tx.outputs) if record else 0 for record in self._view.txs.get_many(txids)]
            pairs = zip(txids, sizes, strict=True)
            found = iter(self._outspends([OutPoint(txid, vout) for txid, size in pairs for vout in range(size)]))
            return [list(islice(found, size)) for size in sizes]

        return self._view.at_tip(read)

    def outspends(self, txid: bytes) -> list[Outspend | None]:
        """Return what spends each output of a transaction."""
        return self.outspends_in(self.tx_record(txid).tx, slice(None))

    def outspends_in(self, tx: Transaction, window: slice) -> list[Outspend | None]:
        """Return what spends each output of a known transaction that is in `window`."""
        outpoints = [OutPoint(tx.txid, vout) for vout in range(len(tx.outputs))[window]]
        return self._view.at_tip(lambda _: self._outspends(outpoints))

    def _outspends(self, outpoints: Sequence[OutPoint]) -> list[Outspend | None]:
        spends = self._view.txs.all_spends(outpoints)
        blocks = self._blocks_of([confirmed.txid for confirmed, _ in spends if confirmed is not None])
        found: list[Outspend | None] = []
        for in_block, in_pool in spends:
            spend = in_block or in_pool
            found.append(None if spend is None else Outspend(spend, blocks.get(spend.txid)))
        return found

    def _infos(self, txids: Sequence[bytes]) -> list[TxInfo]:
        """Return transactions that were just listed; `Moved` if one is gone."""
        records = self._view.txs.get_with_spent(txids)
        known = [_info(record) for record in records if record is not None]
        if len(known) != len(records):
            raise Moved
        return known

    def _blocks_of(self, txids: Sequence[bytes]) -> dict[bytes, BlockEntry]:
        """Return the block of each confirmed transaction by txid."""
        found = {
            txid: location.block_hash
            for txid, location in zip(txids, self._view.txs.locations(txids), strict=True)
            if location is not None
        }
        hashes = list(dict.fromkeys(found.values()))
        entries = dict(zip(hashes, self._entries(hashes), strict=True))
        return {txid: entries[block_hash] for txid, block_hash in found.items()}

    # ── scripts, by script hash ─────────────────────────────────────────────────────────────────────────────────

    def script_stats(self, script: bytes) -> tuple[ScriptStats, ScriptStats]:
        """Return the counters of a script: confirmed, and unconfirmed alone."""
        return self._view.at_tip(lambda _: (self._view.scripts.stats([script])[0], self._pool_effects.stats(script)))

    def script_txs(self, script: bytes, pool_limit: int, chain_limit: int, after: bytes | None = None) -> list[TxInfo]:
        """Return a script's transactions, newest first: unconfirmed ones, then confirmed ones that follow `after`."""

        def read(_: Tip) -> list[TxInfo]:
            txids = self._view.scripts.pool_txids(script, pool_limit) if pool_limit else []
            if chain_limit:
                txids += [item.txid for item in self._view.scripts.history(script, chain_limit, after)]
            return self._infos(txids)

        return self._view.at_tip(read)

    def scripts_txs(self, scripts: Sequence[bytes], count: int, after: bytes | None) -> list[TxInfo] | None:
        """Return transactions that touch any of these scripts, newest first, unconfirmed ones before confirmed ones.

        `after` is the txid that the page before ended with; None is returned if it touches none of the scripts.
        """

        def read(_: Tip) -> list[TxInfo] | None:
            txids = self._view.scripts.merged_pool_txids(scripts)
            last = after
            if last in txids:
                txids, last = txids[txids.index(last) + 1 :], None
            elif last is not None:
                if not self._view.scripts.is_in_history(scripts, last):
                    return None
                txids = []
            history = self._view.scripts.merged_history(scripts, count - len(txids), last) if len(txids) < count else []
            found = [*txids[:count], *(item.txid for item in history)]
            return self._infos(found)

        return self._view.at_tip(read)

    def movements(self, script: bytes, count: int, after: bytes | None) -> list[Movement]:
        """Return what confirmed transactions did to a script's balance, newest first, those that follow `after`."""

        def read(_: Tip) -> list[Movement]:
            history = self._view.scripts.history(script, count, after)
            infos = self._infos([item.txid for item in history])
            return [
                Movement(item, info.gain_of(script), info.block.header.time)
                for item, info in zip(history, infos, strict=True)
                if info.block is not None
            ]

        return self._view.at_tip(read)

    def unspent(self, script: bytes, most: int) -> list[tuple[Unspent, BlockEntry | None]] | None:
        """Return a script's unspent outputs, oldest first, each with the block that holds it; None if over `most`.

        Confirmed ones that the pool spends count too: they are counted before any is read.
        """

        def read(_: Tip) -> list[tuple[Unspent, BlockEntry | None]] | None:
            if self._view.scripts.coin_count(script) > most:
                return None
            coins = self._view.scripts.unspent([script])
            if len(coins) > most:
                return None
            heights = list({coin.height: None for coin in coins if coin.height is not None})
            blocks = dict(zip(heights, self._entries(self._view.block_hashes_at(heights)), strict=True))
            return [(coin, None if coin.height is None else blocks[coin.height]) for coin in coins]

        return self._view.at_tip(read)

    def scripts_within(self, ranges: Sequence[ScriptRange], count: int) -> list[bytes]:
        """Return up to `count` known scriptPubKeys that have an address and lie within any of these ranges."""
        return self._view.scripts.with_prefix(ranges, count)

    # ── the pool ────────────────────────────────────────────────────────────────────────────────────────────────

    def pool_stats(self) -> PoolStats:
        """Return the pool's totals."""
        return self._view.pool.stats()

    def pool_entries(self) -> dict[bytes, PoolEntry]:
        """Return every unconfirmed transaction's entry by txid: for who needs to know which they are, see `of_pool`."""
        return self._view.pool.entries()

    def of_pool(self, function: Callable[[Sequence[PoolFee]], T]) -> T:
        """Return a pure function of what the pool's transactions pay, the best payers first."""
        return self._fees.derive(function)

    def pool_txids(self) -> list[bytes]:
        """Return every unconfirmed txid, newest first."""
        return self._view.pool.txids()

    def pool_times(self, txids: Sequence[bytes]) -> list[int]:
        """Return when each transaction entered the pool, in seconds since 1970; 0 for those that are not there."""
        records = self._view.pool.present(txids)
        times = {record.tx.txid: record.pool.time for record in records if record.pool}
        return [times.get(txid, 0) for txid in txids]

    def family(self, txid: bytes) -> Members:
        """Return an unconfirmed transaction and those related to it by spending; empty if it is not one."""
        return self._view.at_tip(lambda _: self._relatives.of(txid))

    def recent(self, count: int) -> list[TxRecord]:
        """Return the transactions that entered the pool last, newest first, less those that have just left it."""
        return self._view.pool.present(self._view.pool.txids(count))


def _info(record: TxRecord) -> TxInfo:
    return TxInfo(record.tx, prevouts_of(record.tx, record.spent), record.block, record.pool)


def _median_time(window: Sequence[BlockEntry]) -> int:
    return median_time_past([entry.header.time for entry in window])


def _read_transactions(data: bytes) -> Iterator[Transaction]:
    reader = Reader(data)
    while reader.remaining:
        yield Transaction.read(reader)
