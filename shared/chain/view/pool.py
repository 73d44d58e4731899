"""The part of `ChainView` that reads the pool: unconfirmed transactions, their entries, totals and history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.chain import codec
from shared.chain.codec import PoolEntry, PoolSample, Spend
from shared.chain.records import PoolStats, StoredTx, TxRecord
from shared.chain.view.reader import StoreReader
from shared.errors import NoChain
from shared.primitives.transaction import OutPoint, Transaction


class PoolReader:
    """Reads the unconfirmed transactions."""

    def __init__(self, reader: StoreReader) -> None:
        self._redis = reader.redis
        self._keys = reader.keys
        self._reader = reader

    def stats(self) -> PoolStats:
        """Return the pool's totals."""
        count, vsize, fees, size = self._redis.hmget(self._keys.pool_stats, "count", "vsize", "fees", "size")
        return PoolStats(int(count or 0), int(vsize or 0), int(fees or 0), int(size or 0))

    def txids(self, limit: int | None = None) -> list[bytes]:
        """Return unconfirmed txids, newest first."""
        txids: list[bytes] = self._redis.zrevrange(self._keys.pool_order, 0, -1 if limit is None else limit - 1)
        return txids

    def txids_and_seq(self) -> tuple[list[bytes], int]:
        """Return unconfirmed txids, newest first, and the tip's `seq` at that moment."""

        def read(pipe: Any) -> None:
            pipe.zrevrange(self._keys.pool_order, 0, -1)
            pipe.hget(self._keys.tip, "seq")

        txids, seq = self._reader.at_once(read)
        return txids, _seq(seq)

    def get_many(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        """Return each of these transactions, None if it is not in the pool."""
        if not txids:
            return []

        def read(pipe: Any) -> None:
            pipe.hmget(self._keys.pool_txs, txids)
            pipe.hmget(self._keys.pool_entries, txids)

        raw, entries = self._reader.at_once(read)
        return [
            None
            if data is None or entry is None
            else TxRecord(Transaction.parse(data), pool=codec.decode_pool_entry(entry))
            for data, entry in zip(raw, entries, strict=True)
        ]

    def present(self, txids: Sequence[bytes]) -> list[TxRecord]:
        """Return the records of those txids that are in the pool, in the order given."""
        return [record for record in self.get_many(txids) if record is not None]

    def all_records(self) -> list[TxRecord]:
        """Return every unconfirmed transaction, newest first."""
        return self.present(self.txids())

    def stored(self) -> tuple[list[StoredTx], dict[OutPoint, bytes]]:
        """Return every unconfirmed transaction, not parsed, and the txid of the spender of each outpoint."""

        def read(pipe: Any) -> None:
            pipe.hgetall(self._keys.pool_txs)
            pipe.hgetall(self._keys.pool_entries)
            pipe.zrange(self._keys.pool_scripts, 0, -1)
            pipe.hgetall(self._keys.pool_spends)

        raws, entries, members, spends = self._reader.at_once(read)
        scripts = codec.pool_scripts_by_txid(members)
        txs = [
            StoredTx(txid, raw, codec.decode_pool_entry(entries[txid]), tuple(scripts.get(txid, ())))
            for txid, raw in raws.items()
        ]
        return txs, {OutPoint.parse(name): codec.decode_spend(spend).txid for name, spend in spends.items()}

    def entries(self) -> dict[bytes, PoolEntry]:
        """Return the entry of every unconfirmed transaction by its txid."""
        entries = self._redis.hgetall(self._keys.pool_entries)
        return {txid: codec.decode_pool_entry(data) for txid, data in entries.items()}

    def entries_and_seq(self) -> tuple[dict[bytes, PoolEntry], int]:
        """Return the entry of every unconfirmed transaction by its txid, and the tip's `seq`, in one atomic read."""

        def read(pipe: Any) -> None:
            pipe.hgetall(self._keys.pool_entries)
            pipe.hget(self._keys.tip, "seq")

        entries, seq = self._reader.at_once(read)
        return {txid: codec.decode_pool_entry(data) for txid, data in entries.items()}, _seq(seq)

    def spends(self, outpoints: Sequence[OutPoint]) -> list[Spend | None]:
        """Return the unconfirmed input that spends each outpoint."""
        names = [outpoint.serialize() for outpoint in outpoints]
        return self._reader.fields(self._keys.pool_spends, names, codec.decode_spend)

    def prioritised(self) -> dict[bytes, int]:
        """Return txid → fee delta in satoshis (`prioritisetransaction`).

        The transaction need not be in the pool yet.
        """
        deltas = self._redis.hgetall(self._keys.prioritised)
        return {txid: int(delta) for txid, delta in deltas.items()}

    def history(self, since: int) -> list[PoolSample]:
        """Return the pool's totals at the end of each minute that had a commit, oldest first.

        Minutes that began before `since` (seconds since 1970) are left out. Totals stay true until the next sample.
        """
        values = self._redis.zrangebyscore(self._keys.pool_history, since, "+inf")
        return [codec.decode_pool_sample(value) for value in values]


def _seq(stored: bytes | None) -> int:
    if stored is None:
        raise NoChain("there is no chain here yet")
    return int(stored)
