"""The part of `ChainView` that reads the index of scripts: counters, histories and coins.

Methods take script hashes, SHA-256 of the scriptPubKey (`script_hash`), except for parameters named `script_pubkeys`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.chain import codec
from shared.chain.records import HistoryItem, ScriptStats, TxRecord, Unspent
from shared.chain.redis_keys import script_hash
from shared.chain.view.pool import PoolReader
from shared.chain.view.reader import Moved, StoreReader
from shared.chain.view.txs import TxReader
from shared.primitives.transaction import OutPoint

_SCRIPTS_ONE_BY_ONE = 100
"""Up to so many scripts are looked up in the pool each by itself, more of them in the list of all its scripts."""
_COINS_AT_ONCE = 1000
"""Coins that one command reads: a script may have very many."""


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
        found = self._reader.fields(self._keys.script_stats, scripts, codec.decode_script_stats)
        return [stats or ScriptStats() for stats in found]

    def with_prefix(self, ranges: Sequence[tuple[bytes, bytes]], limit: int) -> list[bytes]:
        """Return up to `limit` scriptPubKeys within the ranges that have an address and are paid by the best chain.

        A range has a first and a last scriptPubKey, compared as bytes.
        """
        pipe = self._redis.pipeline(transaction=False)
        for low, high in ranges:
            pipe.zrangebylex(self._keys.scripts, b"[" + low, b"[" + high, start=0, num=limit)
        return [script for found in pipe.execute() for script in found][:limit]

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
        confirmed = self._redis.hmget(self._keys.script_stats, scripts) if scripts else []
        return [stats is not None or script in pooled for script, stats in zip(scripts, confirmed, strict=True)]

    # ── histories ───────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, script: bytes, limit: int, after: bytes | None = None) -> list[HistoryItem]:
        """Return up to `limit` confirmed transactions of a script, newest first.

        `after` is the last txid of the previous page; a txid outside of this history gives an empty page.
        """
        key = self._keys.script_history(script)
        start = 0
        if after is not None:
            rank = self._redis.zrevrank(key, after)
            if rank is None:
                return []
            start = rank + 1
        members = self._redis.zrevrange(key, start, start + limit - 1, withscores=True)
        return [HistoryItem(txid, *codec.split_history_score(score)) for txid, score in members]

    def first(self, script: bytes) -> HistoryItem | None:
        """Return the first confirmed transaction of a script."""
        members = self._redis.zrange(self._keys.script_history(script), 0, 0, withscores=True)
        return next((HistoryItem(txid, *codec.split_history_score(score)) for txid, score in members), None)

    def merged_history(self, scripts: Sequence[bytes], limit: int, after: bytes | None = None) -> list[HistoryItem]:
        """Return up to `limit` confirmed transactions that touch any of these scripts, newest first.

        `after` is the last txid of the previous page; a txid in none of the histories gives an empty page.
        """
        keys = [self._keys.script_history(script) for script in scripts]
        most = "+inf"
        if after is not None:
            pipe = self._redis.pipeline(transaction=False)
            for key in keys:
                pipe.zscore(key, after)
            scores = [score for score in pipe.execute() if score is not None]
            if not scores:
                return []
            most = f"({scores[0]:.0f}"

        def read(pipe: Any) -> None:
            for key in keys:
                pipe.zrevrangebyscore(key, most, "-inf", start=0, num=limit, withscores=True)

        found = {score: txid for members in self._reader.at_once(read) for txid, score in members}
        newest = sorted(found, reverse=True)[:limit]
        return [HistoryItem(found[score], *codec.split_history_score(score)) for score in newest]

    def is_in_history(self, scripts: Sequence[bytes], txid: bytes) -> bool:
        """Whether a confirmed transaction touches any of these scripts."""
        pipe = self._redis.pipeline(transaction=False)
        for script in scripts:
            pipe.zscore(self._keys.script_history(script), txid)
        return any(score is not None for score in pipe.execute())

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
        count: int = self._redis.zcard(self._keys.script_coins(script))
        return count

    def coins(self, script: bytes, start: int, count: int) -> list[Unspent]:
        """Return `count` confirmed outputs of a script from position `start` on; position 0 is the newest output.

        Outputs spent in the pool are included, so that positions do not change until the next block.
        """
        members = self._redis.zrevrange(self._keys.script_coins(script), start, start + count - 1)
        return self._stored([codec.decode_outpoint(data) for data in members])

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
            for script in scripts:
                pipe.zrange(self._keys.script_coins(script), 0, -1, withscores=True)
            self._queue_pool(pipe, scripts)

        replies = self._reader.at_once(read)
        touching = [codec.decode_pool_script(member) for members in replies[len(scripts) :] for member in members]
        records = self._all_in_pool(list({txid: None for _, txid in touching}))
        # A transaction that spends a coin of a script also touches the script, so these reads suffice.
        spent = {txin.prevout for record in records for txin in record.tx.inputs}
        stored = sorted((height, data) for members in replies[: len(scripts)] for data, height in members)
        outpoints = [outpoint for _, data in stored if (outpoint := codec.decode_outpoint(data)) not in spent]
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
