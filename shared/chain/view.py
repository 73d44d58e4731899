"""Committed chain state, read-only: the one way in which wallet, explorer and RPC see the chain.

Every method is one or two round trips and reads what it returns, never the whole chain. Each single read is consistent,
because a commit is atomic; use `consistent` when an answer needs several reads. All raise `StoreUnavailable` when Redis
is away or holds no chain yet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from shared.bus.events import Fact
from shared.chain import codec
from shared.chain.codec import BlockEntry, PoolEntry, Replaced, Spend, TxLocation
from shared.chain.index_view import IndexView
from shared.chain.records import HistoryItem, PoolStats, ScriptStats, Tip, TxRecord, Unspent
from shared.chain.store import store_errors
from shared.crypto.hashes import sha256
from shared.errors import NoChain, StoreUnavailable
from shared.primitives.block import Block
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxOut

__all__ = [
    "ChainView",
    "HistoryItem",
    "PoolStats",
    "Replaced",
    "ScriptStats",
    "Tip",
    "TxRecord",
    "Unspent",
    "script_hash",
]

T = TypeVar("T")

_CONSISTENT_TRIES = 20
_SLICE = 1000
"""Fields that one step of a scan asks for."""


def script_hash(script_pubkey: bytes) -> bytes:
    """Return SHA-256 of a scriptPubKey, the key of its index."""
    return sha256(script_pubkey)


class ChainView(IndexView):
    """Reads one chain of one Redis server."""

    # ── the best chain ──────────────────────────────────────────────────────────────────────────────────────────

    def has_chain(self) -> bool:
        """Whether there is a chain: the writer's first act is to commit the genesis block."""
        with store_errors():
            return bool(self._redis.exists(self._keys.heights))

    def tip(self) -> Tip:
        """Return the tip."""
        with store_errors():
            block_hash, height, work, seq = self._redis.hmget(self._keys.tip, "hash", "height", "work", "seq")
        if block_hash is None:
            raise NoChain("there is no chain here yet")
        return Tip(block_hash, int(height), int.from_bytes(work, "big"), int(seq))

    def events_since(self, seq: int, limit: int) -> list[Fact]:
        """Return up to `limit` facts that follow number `seq`, oldest first.

        Every number has exactly one (the commit script counts by them), and the last 10,000 are kept: where the first
        one returned is not `seq` + 1, or there is none though the tip's `seq` is higher, those between are gone.
        """
        with store_errors():
            found = self._redis.xrange(self._keys.events, min=f"{seq + 1}-0", count=limit)
        return [codec.decode_event(int(entry_id.split(b"-")[0]), fields) for entry_id, fields in found]

    def consistent(self, read: Callable[[], T]) -> T:
        """Run several reads and return their result once no commit came in between."""
        for _ in range(_CONSISTENT_TRIES):
            before = self.tip().seq
            result = read()
            if self.tip().seq == before:
                return result
        raise StoreUnavailable("the chain moves faster than it can be read")

    def block_hash(self, height: int) -> bytes | None:
        """Return the hash of the best chain's block at this height."""
        hashes = self.block_hashes(height, 1)
        return hashes[0] if hashes else None

    def block_hashes(self, start: int, count: int) -> list[bytes]:
        """Return up to `count` hashes of the best chain from height `start` upwards."""
        if start < 0 or count <= 0:
            return []
        with store_errors():
            data = self._redis.getrange(self._keys.heights, start * 32, (start + count) * 32 - 1)
        return [data[i : i + 32] for i in range(0, len(data), 32)]

    def block_hashes_at(self, heights: Sequence[int]) -> list[bytes]:
        """Return the best chain's hash at each of these heights, which it must have."""
        with store_errors():
            pipe = self._redis.pipeline(transaction=False)
            for height in heights:
                pipe.getrange(self._keys.heights, height * 32, height * 32 + 31)
            hashes: list[bytes] = pipe.execute()
        if not all(hashes):
            raise StoreUnavailable("the chain has moved")
        return hashes

    def is_in_best_chain(self, entry: BlockEntry) -> bool:
        """Whether this block is on the best chain."""
        return self.block_hash(entry.height) == entry.hash

    # ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def block_entries(self, hashes: Sequence[bytes]) -> list[BlockEntry | None]:
        """Return the index entry of each block, on the best chain or off it."""
        return self._many(self._keys.blocks, hashes, codec.decode_block_entry)

    def block_entry(self, block_hash: bytes) -> BlockEntry | None:
        """Return a block's index entry."""
        return self.block_entries([block_hash])[0]

    def all_block_entries(self) -> list[BlockEntry]:
        """Return the whole block index, in no order (the writer loads it at start)."""
        with store_errors():
            return [codec.decode_block_entry(value) for value in self._redis.hvals(self._keys.blocks)]

    def raw_block(self, block_hash: bytes) -> bytes | None:
        """Return a block's bytes."""
        with store_errors():
            data: bytes | None = self._redis.get(self._keys.block(block_hash))
        return data

    def block_slices(self, slices: Sequence[tuple[bytes, int, int]]) -> list[bytes]:
        """Return pieces of raw blocks, each of (block hash, offset, length); empty where there is no such block."""
        with store_errors():
            pipe = self._redis.pipeline(transaction=False)
            for block_hash, offset, length in slices:
                pipe.getrange(self._keys.block(block_hash), offset, offset + length - 1)
            pieces: list[bytes] = pipe.execute()
        return pieces

    def block(self, block_hash: bytes) -> Block | None:
        """Return a block."""
        return self.blocks([block_hash])[0]

    def blocks(self, hashes: Sequence[bytes]) -> list[Block | None]:
        """Return each of these blocks."""
        return self._strings([self._keys.block(block_hash) for block_hash in hashes], Block.parse)

    def undo(self, block_hash: bytes) -> list[list[Coin]] | None:
        """Return the coins that each transaction but the coinbase spent, for a block that was once connected."""
        return self.undos([block_hash])[0]

    def undos(self, hashes: Sequence[bytes]) -> list[list[list[Coin]] | None]:
        """Return the undo data of each of these blocks."""
        return self._strings([self._keys.undo(block_hash) for block_hash in hashes], codec.decode_undo)

    # ── coins and spends ────────────────────────────────────────────────────────────────────────────────────────

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        """Return the confirmed, unspent coin at each outpoint."""
        return self._many(self._keys.coins, [outpoint.serialize() for outpoint in outpoints], codec.decode_coin)

    def all_coins(self) -> dict[bytes, bytes]:
        """Return every coin as stored, by its outpoint: read in slices, so only right if the tip stays the same."""
        with store_errors():
            return dict(self._redis.hscan_iter(self._keys.coins, count=_SLICE))

    def spends(self, outpoints: Sequence[OutPoint]) -> list[Spend | None]:
        """Return the confirmed input that spends each outpoint."""
        return self._many(self._keys.spends, [outpoint.serialize() for outpoint in outpoints], codec.decode_spend)

    def pool_spends(self, outpoints: Sequence[OutPoint]) -> list[Spend | None]:
        """Return the unconfirmed input that spends each outpoint."""
        return self._many(self._keys.pool_spends, [outpoint.serialize() for outpoint in outpoints], codec.decode_spend)

    # ── transactions ────────────────────────────────────────────────────────────────────────────────────────────

    def transactions(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        """Return each transaction of the best chain or the pool."""
        locations = self.tx_locations(txids)
        confirmed = self._read_located([location for location in locations if location])
        missing = [txid for txid, location in zip(txids, locations, strict=True) if location is None]
        pooled = dict(zip(missing, self._pool_records(missing), strict=True))
        found = iter(confirmed)
        return [next(found) if location else pooled[txid] for txid, location in zip(txids, locations, strict=True)]

    def transaction(self, txid: bytes) -> TxRecord | None:
        """Return a transaction of the best chain or the pool."""
        return self.transactions([txid])[0]

    def tx_locations(self, txids: Sequence[bytes]) -> list[TxLocation | None]:
        """Return where each confirmed transaction's bytes are."""
        return self._many(self._keys.txs, txids, codec.decode_location)

    def prevouts(self, txs: Iterable[Transaction]) -> dict[OutPoint, TxOut]:
        """Return the outputs that these transactions spend, those of coinbases apart."""
        outpoints = [txin.prevout for tx in txs if not tx.is_coinbase for txin in tx.inputs]
        parents = list({outpoint.txid: None for outpoint in outpoints})
        records = dict(zip(parents, self.transactions(parents), strict=True))
        found = {}
        for outpoint in outpoints:
            record = records[outpoint.txid]
            if record is not None and outpoint.vout < len(record.tx.outputs):
                found[outpoint] = record.tx.outputs[outpoint.vout]
        return found

    def _read_located(self, locations: Sequence[TxLocation]) -> list[TxRecord]:
        if not locations:
            return []
        raw = self.block_slices([(where.block_hash, where.offset, where.length) for where in locations])
        entries = self.block_entries([where.block_hash for where in locations])
        return [TxRecord(Transaction.parse(data), entry) for data, entry in zip(raw, entries, strict=True)]

    def _pool_records(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        if not txids:
            return []
        with store_errors():
            pipe = self._redis.pipeline()
            pipe.hmget(self._keys.pool_txs, txids)
            pipe.hmget(self._keys.pool_entries, txids)
            raw, entries = pipe.execute()
        return [
            None
            if data is None or entry is None
            else TxRecord(Transaction.parse(data), pool=codec.decode_pool_entry(entry))
            for data, entry in zip(raw, entries, strict=True)
        ]

    # ── scripts ─────────────────────────────────────────────────────────────────────────────────────────────────

    def script_stats(self, scripts: Sequence[bytes]) -> list[ScriptStats]:
        """Return the confirmed counters of each script hash."""
        fields = [field.name for field in dataclasses.fields(ScriptStats)]
        with store_errors():
            pipe = self._redis.pipeline(transaction=False)
            for script in scripts:
                pipe.hmget(self._keys.script_stats(script), fields)
            return [ScriptStats(*(int(value or 0) for value in values)) for values in pipe.execute()]

    def script_history(self, script: bytes, limit: int, after: bytes | None = None) -> list[HistoryItem]:
        """Return up to `limit` confirmed transactions of a script hash, newest first.

        `after` is the txid that the previous page ended with; one that is not in this history gives an empty page.
        """
        key = self._keys.script_history(script)
        with store_errors():
            start = 0
            if after is not None:
                rank = self._redis.zrevrank(key, after)
                if rank is None:
                    return []
                start = rank + 1
            members = self._redis.zrevrange(key, start, start + limit - 1, withscores=True)
        return [HistoryItem(txid, *codec.split_history_score(score)) for txid, score in members]

    def script_first(self, script: bytes) -> HistoryItem | None:
        """Return the first confirmed transaction of a script hash."""
        with store_errors():
            members = self._redis.zrange(self._keys.script_history(script), 0, 0, withscores=True)
        return next((HistoryItem(txid, *codec.split_history_score(score)) for txid, score in members), None)

    def script_pool_txids(self, script: bytes, limit: int | None = None) -> list[bytes]:
        """Return the unconfirmed transactions of a script hash, newest first."""
        return self._newest(self._keys.pool_script(script), limit)

    def scripts_history(self, scripts: Sequence[bytes], limit: int, after: bytes | None = None) -> list[HistoryItem]:
        """Return up to `limit` confirmed transactions that touch any of these script hashes, newest first.

        `after` is the txid that the previous page ended with; one that is in none of the histories gives an empty page.
        """
        keys = [self._keys.script_history(script) for script in scripts]
        most = "+inf"
        with store_errors():
            if after is not None:
                pipe = self._redis.pipeline(transaction=False)
                for key in keys:
                    pipe.zscore(key, after)
                scores = [score for score in pipe.execute() if score is not None]
                if not scores:
                    return []
                most = f"({scores[0]:.0f}"
            pipe = self._redis.pipeline()
            for key in keys:
                pipe.zrevrangebyscore(key, most, "-inf", start=0, num=limit, withscores=True)
            found = {score: txid for members in pipe.execute() for txid, score in members}
        newest = sorted(found, reverse=True)[:limit]
        return [HistoryItem(found[score], *codec.split_history_score(score)) for score in newest]

    def is_in_history(self, scripts: Sequence[bytes], txid: bytes) -> bool:
        """Whether a confirmed transaction touches any of these script hashes."""
        with store_errors():
            pipe = self._redis.pipeline(transaction=False)
            for script in scripts:
                pipe.zscore(self._keys.script_history(script), txid)
            return any(score is not None for score in pipe.execute())

    def scripts_pool_txids(self, scripts: Sequence[bytes]) -> list[bytes]:
        """Return the unconfirmed transactions that touch any of these script hashes, newest first."""
        with store_errors():
            pipe = self._redis.pipeline()
            for script in scripts:
                pipe.zrange(self._keys.pool_script(script), 0, -1, withscores=True)
            found = {txid: order for members in pipe.execute() for txid, order in members}
        return sorted(found, key=lambda txid: found[txid], reverse=True)

    def script_unspent(self, script_pubkeys: Sequence[bytes]) -> list[Unspent]:
        """Return the outputs that pay any of these scriptPubKeys and are not spent by a block or the pool."""
        return self.unspent([script_hash(script) for script in script_pubkeys])

    def unspent(self, hashes: Sequence[bytes]) -> list[Unspent]:
        """Return the outputs that pay any of these script hashes and are not spent by a block or the pool."""
        with store_errors():
            pipe = self._redis.pipeline()
            for key in hashes:
                pipe.smembers(self._keys.script_coins(key))
            for key in hashes:
                pipe.zrange(self._keys.pool_script(key), 0, -1)
            replies = pipe.execute()
        outpoints = [codec.decode_outpoint(data) for members in replies[: len(hashes)] for data in sorted(members)]
        unspent = [
            Unspent(outpoint, coin.output, coin.height, coin.is_coinbase)
            for outpoint, coin in zip(outpoints, self.coins(outpoints), strict=True)
            if coin is not None
        ]
        wanted = set(hashes)
        pool_txids = list({txid: None for members in replies[len(hashes) :] for txid in members})
        for record in self._pool_records(pool_txids):
            if record is not None:
                unspent += [
                    Unspent(OutPoint(record.tx.txid, vout), output, None, False)
                    for vout, output in enumerate(record.tx.outputs)
                    if script_hash(output.script_pubkey) in wanted
                ]
        spent = self.pool_spends([item.outpoint for item in unspent])
        return [item for item, spend in zip(unspent, spent, strict=True) if spend is None]

    def script_pool_stats(self, script: bytes) -> ScriptStats:
        """Return the counters of a script hash over its unconfirmed transactions alone."""
        records = self._pool_records(self.script_pool_txids(script))
        txs = [record.tx for record in records if record is not None]
        prevouts = self.prevouts(txs)
        spent = [prevouts[txin.prevout] for tx in txs for txin in tx.inputs if txin.prevout in prevouts]
        funded_values = [out.value for tx in txs for out in tx.outputs if script_hash(out.script_pubkey) == script]
        spent_values = [out.value for out in spent if script_hash(out.script_pubkey) == script]
        return ScriptStats(len(txs), len(funded_values), sum(funded_values), len(spent_values), sum(spent_values))

    # ── the pool ────────────────────────────────────────────────────────────────────────────────────────────────

    def pool_stats(self) -> PoolStats:
        """Return the pool's totals."""
        with store_errors():
            count, vsize, fees, size = self._redis.hmget(self._keys.pool_stats, "count", "vsize", "fees", "size")
        return PoolStats(int(count or 0), int(vsize or 0), int(fees or 0), int(size or 0))

    def pool_txids(self, limit: int | None = None) -> list[bytes]:
        """Return unconfirmed txids, newest first."""
        return self._newest(self._keys.pool_order, limit)

    def pool_records(self) -> list[TxRecord]:
        """Return every unconfirmed transaction (the writer loads the pool at start)."""
        return [record for record in self._pool_records(self.pool_txids()) if record is not None]

    def pool_entries(self) -> dict[bytes, PoolEntry]:
        """Return the entry of every unconfirmed transaction by its txid."""
        with store_errors():
            entries = self._redis.hgetall(self._keys.pool_entries)
        return {txid: codec.decode_pool_entry(data) for txid, data in entries.items()}

    def pool_transactions(self, txids: Sequence[bytes]) -> list[TxRecord]:
        """Return those of these transactions that are in the pool; confirmed ones are not even looked for."""
        return [record for record in self._pool_records(txids) if record is not None]

    def prioritised(self) -> dict[bytes, int]:
        """Return the satoshis that transactions count as paying beyond their fee, by txid; it may not be known yet."""
        with store_errors():
            deltas = self._redis.hgetall(self._keys.prioritised)
        return {txid: int(delta) for txid, delta in deltas.items()}

    def clock(self) -> int | None:
        """Return the time in seconds at which the node's clock stands; None while it runs."""
        with store_errors():
            time = self._redis.get(self._keys.clock)
        return None if time is None else int(time)

    def _newest(self, key: str, limit: int | None) -> list[bytes]:
        with store_errors():
            txids: list[bytes] = self._redis.zrevrange(key, 0, -1 if limit is None else limit - 1)
        return txids

    def _many(self, key: str, fields: Sequence[bytes], decode: Callable[[bytes], T]) -> list[T | None]:
        if not fields:
            return []
        with store_errors():
            values = self._redis.hmget(key, fields)
        return [None if value is None else decode(value) for value in values]

    def _strings(self, keys: Sequence[str], decode: Callable[[bytes], T]) -> list[T | None]:
        if not keys:
            return []
        with store_errors():
            values = self._redis.mget(keys)
        return [None if value is None else decode(value) for value in values]
