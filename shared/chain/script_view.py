"""The part of `ChainView` that reads what is kept of scripts, by script hash: counters, histories, coins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.chain import codec
from shared.chain.base_view import Moved, script_hash
from shared.chain.records import HistoryItem, ScriptStats, TxRecord, Unspent
from shared.chain.store import store_errors
from shared.chain.tx_view import TxView
from shared.primitives.transaction import OutPoint

_SLICE = 1000
"""Coins that are read at once: a script may have very many."""


class ScriptView(TxView):
    """Reads one chain of one Redis server."""

    def script_stats(self, scripts: Sequence[bytes]) -> list[ScriptStats]:
        """Return the confirmed counters of each script hash."""
        found = self._many(self._keys.script_stats, scripts, codec.decode_script_stats)
        return [stats or ScriptStats() for stats in found]

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

    def script_coin_count(self, script: bytes) -> int:
        """Return how many confirmed outputs of a script hash no block has spent."""
        with store_errors():
            count: int = self._redis.zcard(self._keys.script_coins(script))
        return count

    def script_coins(self, script: bytes, start: int, count: int) -> list[Unspent]:
        """Return `count` confirmed outputs of a script hash from place `start`, 0 for the newest, downwards.

        Those that the pool spends are among them: so a place means the same until the next block.
        """
        with store_errors():
            members = self._redis.zrevrange(self._keys.script_coins(script), start, start + count - 1)
        return self._stored([codec.decode_outpoint(data) for data in members])

    def script_pool_txids(self, script: bytes, limit: int | None = None) -> list[bytes]:
        """Return the unconfirmed transactions of a script hash, newest first."""
        low, high = codec.pool_script_range(script)
        page = {} if limit is None else {"start": 0, "num": limit}
        with store_errors():
            members = self._redis.zrevrangebylex(self._keys.pool_scripts, high, low, **page)
        return [codec.decode_pool_script(member)[1] for member in members]

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
                pipe.zrangebylex(self._keys.pool_scripts, *codec.pool_script_range(script))
            found = {codec.decode_pool_script(member) for members in pipe.execute() for member in members}
        return [txid for _, txid in sorted(found, reverse=True)]

    def script_unspent(self, script_pubkeys: Sequence[bytes]) -> list[Unspent]:
        """Return the outputs that pay any of these scriptPubKeys and are not spent by a block or the pool."""
        return self.unspent([script_hash(script) for script in script_pubkeys])

    def unspent(self, hashes: Sequence[bytes]) -> list[Unspent]:
        """Return the outputs that pay any of these script hashes and are not spent by a block or the pool.

        The oldest first, unconfirmed ones last.
        """
        return self.consistent(lambda: self._unspent(hashes))

    def _unspent(self, hashes: Sequence[bytes]) -> list[Unspent]:
        with store_errors():
            pipe = self._redis.pipeline()
            for key in hashes:
                pipe.zrange(self._keys.script_coins(key), 0, -1, withscores=True)
            for key in hashes:
                pipe.zrangebylex(self._keys.pool_scripts, *codec.pool_script_range(key))
            replies = pipe.execute()
        touching = [codec.decode_pool_script(member) for members in replies[len(hashes) :] for member in members]
        records = self._all_in_pool({txid: None for _, txid in touching})
        # Whatever spends one of the scripts is among the transactions that touch it: no later state is asked.
        spent = {txin.prevout for record in records for txin in record.tx.inputs}
        stored = sorted((height, data) for members in replies[: len(hashes)] for data, height in members)
        outpoints = [outpoint for _, data in stored if (outpoint := codec.decode_outpoint(data)) not in spent]
        unspent = self._stored(outpoints)
        wanted = set(hashes)
        for record in records:
            for vout, output in enumerate(record.tx.outputs):
                outpoint = OutPoint(record.tx.txid, vout)
                if outpoint not in spent and script_hash(output.script_pubkey) in wanted:
                    unspent.append(Unspent(outpoint, output, None, False))
        return unspent

    def _stored(self, outpoints: Sequence[OutPoint]) -> list[Unspent]:
        """Return these confirmed coins; `Moved` if one was spent by a block."""
        unspent = []
        for first in range(0, len(outpoints), _SLICE):
            part = outpoints[first : first + _SLICE]
            for outpoint, coin in zip(part, self.coins(part), strict=True):
                if coin is None:
                    raise Moved
                unspent.append(Unspent(outpoint, coin.output, coin.height, coin.is_coinbase))
        return unspent

    def _all_in_pool(self, txids: Iterable[bytes]) -> list[TxRecord]:
        """Return these transactions of the pool; `Moved` if one has left it."""
        found = self._pool_records(list(txids))
        records = [record for record in found if record is not None]
        if len(records) != len(found):
            raise Moved
        return records
