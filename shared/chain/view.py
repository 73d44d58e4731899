"""Committed chain state, read-only: the one way in which wallet, explorer and RPC see the chain.

Every method is one or two round trips and reads what it returns, never the whole chain. Each single read is consistent,
because a commit is atomic; use `consistent` when an answer needs several reads. All raise `StoreUnavailable` when Redis
is away or holds no chain yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.chain import codec
from shared.chain.base_view import Moved, script_hash
from shared.chain.codec import PoolEntry, Replaced
from shared.chain.index_view import IndexView
from shared.chain.records import HistoryItem, PoolStats, ScriptStats, Tip, TxRecord, Unspent
from shared.chain.script_view import ScriptView
from shared.chain.store import store_errors

__all__ = [
    "ChainView",
    "HistoryItem",
    "Moved",
    "PoolStats",
    "Replaced",
    "ScriptStats",
    "Tip",
    "TxRecord",
    "Unspent",
    "script_hash",
]


class ChainView(ScriptView, IndexView):
    """Reads one chain of one Redis server."""

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
