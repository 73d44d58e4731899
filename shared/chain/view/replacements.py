"""The part of `ChainView` that reads the history of replacements in the pool (BIP125)."""

from __future__ import annotations

from collections.abc import Sequence

from shared.chain import codec
from shared.chain.codec import Replaced
from shared.chain.view.reader import StoreReader


class ReplacementReader:
    """Reads the history of replacements."""

    def __init__(self, reader: StoreReader) -> None:
        self._redis = reader.redis
        self._keys = reader.keys
        self._reader = reader

    def replaced(self, txids: Sequence[bytes]) -> list[Replaced | None]:
        """Return the replacement of each transaction; None for a transaction that was not replaced.

        A transaction in a block or in the pool counts as not replaced, whatever happened to it before.
        """
        if not txids:
            return []
        keys = (self._keys.replaced, self._keys.txs, self._keys.pool_entries)
        found = zip(*self._reader.at_once(lambda pipe: [pipe.hmget(key, txids) for key in keys]), strict=True)
        return [
            codec.decode_replaced(record) if record is not None and confirmed is None and pooled is None else None
            for record, confirmed, pooled in found
        ]

    def replaces(self, txid: bytes) -> list[bytes]:
        """Return the transactions that this one directly replaced."""
        return self.all_replaces([txid])[0]

    def all_replaces(self, txids: Sequence[bytes]) -> list[list[bytes]]:
        """Return txid → txids that the transaction directly replaced."""
        if not txids:
            return []
        values = self._redis.hmget(self._keys.replaces, txids)
        lists = [[] if value is None else codec.decode_replaces(value)[0] for value in values]
        pairs = [(txid, replaced) for txid, direct in zip(txids, lists, strict=True) for replaced in direct]
        records = self.replaced([replaced for _, replaced in pairs])
        still = {
            pair
            for pair, record in zip(pairs, records, strict=True)
            if record is not None and record.replaced_by == pair[0]
        }
        return [
            [replaced for replaced in direct if (txid, replaced) in still]
            for txid, direct in zip(txids, lists, strict=True)
        ]

    def latest(self, limit: int, start: int = 0) -> list[bytes]:
        """Return up to `limit` transactions that replaced others, newest first, after the first `start`."""
        txids: list[bytes] = self._redis.zrevrange(self._keys.replacements, start, start + limit - 1)
        return txids
