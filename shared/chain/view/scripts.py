"""The part of `ChainView` that reads the index of scripts: counters, histories and coins.

A script's record has its history and coins while they are few; sorted sets have them when they are many, so that a page
costs the same however many there are. `ChainView.at_tip` keeps both reads at one tip.

Methods take script hashes, SHA-256 of the scriptPubKey (`script_hash`), except for parameters named `script_pubkeys`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.chain import codec
from shared.chain.codec import ScriptRecord
from shared.chain.records import HistoryItem, Scored, ScriptLists, ScriptStats, TxRecord, Unspent
from shared.chain.redis_keys import script_hash
from shared.chain.view.known_scripts import find_scripts
from shared.chain.view.pool import PoolReader
from shared.chain.view.reader import Moved, StoreReader
from shared.chain.view.txs import TxReader
from shared.primitives.transaction import OutPoint

_SCRIPTS_ONE_BY_ONE = 100
"""Up to so many scripts are looked up in the pool each by itself, more of them in the list of all its scripts."""
_COINS_AT_ONCE = 1000
"""Coins that one command reads: a script may have very many."""
_UNKNOWN = ScriptRecord()


class ScriptReader:
    """Reads the counters, histories and coins of scripts."""

    def __init__(self, reader: StoreReader, txs: TxReader, pool: PoolReader) -> None:
        self._redis = reader.redis
        self._keys = reader.keys
        self._reader = reader
        self._txs = txs
        self._pool = pool

    def stats(self, scripts: Sequence[bytes]) -> list[ScriptStats]:
        """Return the confirmed counters of each script."""
        return [record.stats for record in self.records(scripts)]

    def records(self, scripts: Sequence[bytes]) -> list[ScriptRecord]:
        """Return the record of each script, an empty one for a script that no block touches."""
        found = self._reader.fields(self._keys.script_records, scripts, codec.decode_script_record)
        return [record or _UNKNOWN for record in found]

    def sorted_sets(self, scripts: Sequence[bytes]) -> list[ScriptLists]:
        """Return all that is in the sorted sets of these scripts."""
        pipe = self._redis.pipeline(transaction=False)
        for script in scripts:
            for key in (self._keys.script_history(script), self._keys.script_coins(script)):
                pipe.zrange(key, 0, -1, withscores=True)
        found = [[(int(score), member) for member, score in members] for members in pipe.execute()]
        return [ScriptLists(history, coins) for history, coins in zip(found[::2], found[1::2], strict=True)]

    def with_prefix(self, ranges: Sequence[tuple[bytes, bytes]], limit: int) -> list[bytes]:
        """Return up to `limit` scriptPubKeys within the ranges that have an address and are paid by the best chain.

        A range has a first and a last scriptPubKey, compared as bytes.
        """
        return find_scripts(self._redis, self._keys.scripts, ranges, limit)

    def groups(self, groups: Sequence[bytes]) -> list[list[bytes]]:
        """Return the known scripts of each group (`codec.script_group`)."""
        values = self._redis.hmget(self._keys.scripts, groups) if groups else []
        return [
            [] if data is None else codec.decode_script_group(group, data)
            for group, data in zip(groups, values, strict=True)
        ]

    def used(self, scripts: Sequence[bytes]) -> list[bool]:
        """Tell of each script whether any transaction of the best chain or the pool touches it.

        Its cost hardly grows with the number of scripts. The pool is read first, so that a transaction that is mined
        meanwhile is not missed.
        """
        if len(scripts) > _SCRIPTS_ONE_BY_ONE and self._redis.zcard(self._keys.pool_scripts) <= 10 * len(scripts):
            pooled = {codec.pool_script_hash(member) for member in self._redis.zrange(self._keys.pool_scripts, 0, -1)}
        else:
            pipe = self._redis.pipeline(transaction=False)
            for script in scripts:
                pipe.zlexcount(self._keys.pool_scripts, *codec.pool_script_range(script))
            pooled = {script for script, count in zip(scripts, pipe.execute(), strict=True) if count}
        confirmed = self._redis.hmget(self._keys.script_records, scripts) if scripts else []
        return [record is not None or script in pooled for script, record in zip(scripts, confirmed, strict=True)]

    # ── histories ───────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, script: bytes, limit: int, after: bytes | None = None) -> list[HistoryItem]:
        """Return up to `limit` confirmed transactions of a script, newest first.

        `after` is the last txid of the previous page; a txid outside of this history gives an empty page.
        """
        return self._reader.at_tip(lambda _: self._history(script, limit, after))

    def _history(self, script: bytes, limit: int, after: bytes | None) -> list[HistoryItem]:
        (record,) = self.records([script])
        if record.packed is not None:
            newest = record.history()[::-1]
            if after is not None:
                newest = newest[[txid for _, txid in newest].index(after) + 1 :] if _has(newest, after) else []
            return _items(newest[:limit])
        key = self._keys.script_history(script)
        start = 0
        if after is not None:
            rank = self._redis.zrevrank(key, after)
            if rank is None:
                return []
            start = rank + 1
        return _items(_scored(self._redis.zrevrange(key, start, start + limit - 1, withscores=True)))

    def first(self, script: bytes) -> HistoryItem | None:
        """Return the first confirmed transaction of a script."""
        return self._reader.at_tip(lambda _: self._first(script))

    def _first(self, script: bytes) -> HistoryItem | None:
        (record,) = self.records([script])
        if record.packed is not None:
            oldest: Scored = record.history()[:1]
        else:
            oldest = _scored(self._redis.zrange(self._keys.script_history(script), 0, 0, withscores=True))
        return next(iter(_items(oldest)), None)

    def merged_history(self, scripts: Sequence[bytes], limit: int, after: bytes | None = None) -> list[HistoryItem]:
        """Return up to `limit` confirmed transactions that touch any of these scripts, newest first.

        `after` is the last txid of the previous page; a txid in none of the histories gives an empty page.
        """
        return self._reader.at_tip(lambda _: self._merged_history(scripts, limit, after))

    def _merged_history(self, scripts: Sequence[bytes], limit: int, after: bytes | None) -> list[HistoryItem]:
        packed, keys = self._packed_and_sets(scripts)
        found = {score: txid for record in packed for score, txid in record.history()}
        most = "+inf"
        if after is not None:
            score = next((score for score, txid in found.items() if txid == after), None)
            if score is None:
                score = next(iter(self._scores(keys, after)), None)
            if score is None:
                return []
            most = f"({score}"
            found = {each: txid for each, txid in found.items() if each < score}
        if keys:
            pipe = self._redis.pipeline(transaction=False)
            for key in keys:
                pipe.zrevrangebyscore(key, most, "-inf", start=0, num=limit, withscores=True)
            found.update(pair for members in pipe.execute() for pair in _scored(members))
        return _items(sorted(found.items(), reverse=True)[:limit])

    def is_in_history(self, scripts: Sequence[bytes], txid: bytes) -> bool:
        """Whether a confirmed transaction touches any of these scripts."""
        return self._reader.at_tip(lambda _: self._is_in_history(scripts, txid))

    def _is_in_history(self, scripts: Sequence[bytes], txid: bytes) -> bool:
        packed, keys = self._packed_and_sets(scripts)
        return any(_has(record.history(), txid) for record in packed) or bool(self._scores(keys, txid))

    def _packed_and_sets(self, scripts: Sequence[bytes]) -> tuple[list[ScriptRecord], list[str]]:
        """Return the records that have their histories, and the keys of the other histories."""
        records = self.records(scripts)
        keys = [
            self._keys.script_history(script)
            for script, record in zip(scripts, records, strict=True)
            if record.packed is None
        ]
        return [record for record in records if record.packed is not None], keys

    def _scores(self, keys: Sequence[str], txid: bytes) -> list[int]:
        """Return the score of a transaction in those of these histories that have it."""
        if not keys:
            return []
        pipe = self._redis.pipeline(transaction=False)
        for key in keys:
            pipe.zscore(key, txid)
        return [int(score) for score in pipe.execute() if score is not None]

    def pool_txids(self, script: bytes, limit: int | None = None) -> list[bytes]:
        """Return the unconfirmed transactions that touch a script, newest first."""
        low, high = codec.pool_script_range(script)
        page = {} if limit is None else {"start": 0, "num": limit}
        members = self._redis.zrevrangebylex(self._keys.pool_scripts, high, low, **page)
        return [codec.decode_pool_script(member)[1] for member in members]

    def merged_pool_txids(self, scripts: Sequence[bytes]) -> list[bytes]:
        """Return the unconfirmed transactions that touch any of these scripts, newest first."""
        replies = self._reader.at_once(lambda pipe: self._queue_pool(pipe, scripts))
        found = {codec.decode_pool_script(member) for members in replies for member in members}
        return [txid for _, txid in sorted(found, reverse=True)]

    # ── coins ───────────────────────────────────────────────────────────────────────────────────────────────────

    def coin_count(self, script: bytes) -> int:
        """Return the number of a script's confirmed outputs that no block has spent."""
        return self._reader.at_tip(lambda _: self._coin_count(script))

    def _coin_count(self, script: bytes) -> int:
        (record,) = self.records([script])
        if record.packed is not None:
            return len(record.coins())
        count: int = self._redis.zcard(self._keys.script_coins(script))
        return count

    def coins(self, script: bytes, start: int, count: int) -> list[Unspent]:
        """Return `count` confirmed outputs of a script from position `start` on; position 0 is the newest output.

        Outputs spent in the pool are included, so that positions do not change until the next block.
        """
        return self._reader.at_tip(lambda _: self._coins(script, start, count))

    def _coins(self, script: bytes, start: int, count: int) -> list[Unspent]:
        (record,) = self.records([script])
        if record.packed is not None:
            outpoints = [data for _, data in record.coins()[::-1][start : start + count]]
        else:
            outpoints = self._redis.zrevrange(self._keys.script_coins(script), start, start + count - 1)
        return self._stored([codec.decode_outpoint(data) for data in outpoints])

    def unspent_paying(self, script_pubkeys: Sequence[bytes]) -> list[Unspent]:
        """Return the outputs that pay any of these scriptPubKeys and are spent neither in a block nor in the pool."""
        return self.unspent([script_hash(script) for script in script_pubkeys])

    def unspent(self, scripts: Sequence[bytes]) -> list[Unspent]:
        """Return the outputs that pay any of these scripts and are spent neither in a block nor in the pool.

        The oldest come first, unconfirmed outputs last.
        """
        return self._reader.at_tip(lambda _: self._unspent(scripts))

    def _unspent(self, scripts: Sequence[bytes]) -> list[Unspent]:
        def read(pipe: Any) -> None:
            pipe.hmget(self._keys.script_records, scripts)
            self._queue_pool(pipe, scripts)

        stored, *pooled = self._reader.at_once(read) if scripts else [[]]
        touching = [codec.decode_pool_script(member) for members in pooled for member in members]
        records = self._all_in_pool(list({txid: None for _, txid in touching}))
        # A transaction that spends a coin of a script also touches the script, so these reads suffice.
        spent = {txin.prevout for record in records for txin in record.tx.inputs}
        found = [_UNKNOWN if data is None else codec.decode_script_record(data) for data in stored]
        confirmed = sorted(self._all_coins(scripts, found))
        outpoints = [outpoint for _, data in confirmed if (outpoint := codec.decode_outpoint(data)) not in spent]
        unspent = self._stored(outpoints)
        wanted = set(scripts)
        for record in records:
            for vout, output in enumerate(record.tx.outputs):
                outpoint = OutPoint(record.tx.txid, vout)
                if outpoint not in spent and script_hash(output.script_pubkey) in wanted:
                    unspent.append(Unspent(outpoint, output, None, False))
        return unspent

    def _queue_pool(self, pipe: Any, scripts: Sequence[bytes]) -> None:
        for script in scripts:
            pipe.zrangebylex(self._keys.pool_scripts, *codec.pool_script_range(script))

    def _all_coins(self, scripts: Sequence[bytes], records: Sequence[ScriptRecord]) -> list[tuple[int, bytes]]:
        """Return the height and the outpoint of each confirmed coin of these scripts, in no order."""
        found = [coin for record in records if record.packed is not None for coin in record.coins()]
        keys = [
            self._keys.script_coins(script)
            for script, record in zip(scripts, records, strict=True)
            if record.packed is None
        ]
        if keys:
            pipe = self._redis.pipeline(transaction=False)
            for key in keys:
                pipe.zrange(key, 0, -1, withscores=True)
            found += [pair for members in pipe.execute() for pair in _scored(members)]
        return found

    def _stored(self, outpoints: Sequence[OutPoint]) -> list[Unspent]:
        """Return these confirmed coins; `Moved` if a block has spent one."""
        unspent = []
        for first in range(0, len(outpoints), _COINS_AT_ONCE):
            part = outpoints[first : first + _COINS_AT_ONCE]
            for outpoint, coin in zip(part, self._txs.coins(part), strict=True):
                if coin is None:
                    raise Moved
                unspent.append(Unspent(outpoint, coin.output, coin.height, coin.is_coinbase))
        return unspent

    def _all_in_pool(self, txids: Sequence[bytes]) -> list[TxRecord]:
        """Return these transactions of the pool; `Moved` if one has left it."""
        records = self._pool.present(txids)
        if len(records) != len(txids):
            raise Moved
        return records


def _scored(members: Sequence[tuple[bytes, float]]) -> list[tuple[int, bytes]]:
    """Return the members of a sorted set as a packed list has them."""
    return [(int(score), member) for member, score in members]


def _items(scored: Scored) -> list[HistoryItem]:
    return [HistoryItem(txid, *codec.split_history_score(score)) for score, txid in scored]


def _has(history: Scored, txid: bytes) -> bool:
    return any(each == txid for _, each in history)
