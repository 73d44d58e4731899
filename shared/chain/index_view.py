"""The part of `ChainView` that looks back and looks up: fees of blocks, the pool's past, replacements, addresses."""

from __future__ import annotations

from collections.abc import Sequence

from shared.bus.events import Fact
from shared.chain import codec
from shared.chain.base_view import BaseView
from shared.chain.codec import BlockFees, LayoutEntry, PoolEntry, PoolSample, Replaced
from shared.chain.store import store_errors
from shared.errors import NoChain


class IndexView(BaseView):
    """Reads one chain of one Redis server."""

    def events_since(self, seq: int, limit: int) -> list[Fact]:
        """Return up to `limit` facts that follow number `seq`, oldest first.

        Every number has exactly one (the commit script counts by them), and the last 10,000 are kept: where the first
        one returned is not `seq` + 1, or there is none though the tip's `seq` is higher, those between are gone.
        """
        with store_errors():
            found = self._redis.xrange(self._keys.events, min=f"{seq + 1}-0", count=limit)
        return [codec.decode_event(int(entry_id.split(b"-")[0]), fields) for entry_id, fields in found]

    def block_fees(self, hashes: Sequence[bytes]) -> list[BlockFees | None]:
        """Return what the payments of each block paid; None if it has none, or was never on the best chain."""
        return self._many(self._keys.block_fees, hashes, codec.decode_block_fees)

    def layout(self, block_hash: bytes, start: int = 0, stop: int | None = None) -> list[LayoutEntry]:
        """Return where transactions `start` to `stop` of a block end; none of a block that was never connected."""
        first, last = start * codec.LAYOUT_ENTRY_SIZE, -1 if stop is None else stop * codec.LAYOUT_ENTRY_SIZE - 1
        with store_errors():
            return codec.decode_layout(self._redis.getrange(self._keys.layout(block_hash), first, last))

    def pool_history(self, since: int) -> list[PoolSample]:
        """Return what was in the pool at the end of each minute that had a commit, oldest first.

        Minutes that began before `since` (seconds since 1970) are left out. What was in the pool stays there until the
        next sample.
        """
        with store_errors():
            values = self._redis.zrangebyscore(self._keys.pool_history, since, "+inf")
        return [codec.decode_pool_sample(value) for value in values]

    def pool_entries_and_seq(self) -> tuple[dict[bytes, PoolEntry], int]:
        """Return the entry of every unconfirmed transaction by txid, and the `seq` as of which they are."""
        with store_errors():
            pipe = self._redis.pipeline()
            pipe.hgetall(self._keys.pool_entries)
            pipe.hget(self._keys.tip, "seq")
            entries, seq = pipe.execute()
        if seq is None:
            raise NoChain("there is no chain here yet")
        return {txid: codec.decode_pool_entry(data) for txid, data in entries.items()}, int(seq)

    def scripts_with_prefix(self, ranges: Sequence[tuple[bytes, bytes]], limit: int) -> list[bytes]:
        """Return up to `limit` known scriptPubKeys that have an address and lie within any of these ranges.

        A range is its first and its last script, compared as bytes. Known is what the best chain has paid to.
        """
        with store_errors():
            pipe = self._redis.pipeline(transaction=False)
            for low, high in ranges:
                pipe.zrangebylex(self._keys.scripts, b"[" + low, b"[" + high, start=0, num=limit)
            return [script for found in pipe.execute() for script in found][:limit]

    def replaced(self, txids: Sequence[bytes]) -> list[Replaced | None]:
        """Return what became of each transaction that another took the place of, as far back as the history goes.

        One that is in a block or in the pool is not replaced, whatever happened to it before.
        """
        if not txids:
            return []
        with store_errors():
            pipe = self._redis.pipeline()
            for key in (self._keys.replaced, self._keys.txs, self._keys.pool_entries):
                pipe.hmget(key, txids)
            found = zip(*pipe.execute(), strict=True)
        return [
            codec.decode_replaced(record) if record is not None and confirmed is None and pooled is None else None
            for record, confirmed, pooled in found
        ]

    def replaces(self, txid: bytes) -> list[bytes]:
        """Return the transactions that this one directly took the place of."""
        return self.all_replaces([txid])[0]

    def all_replaces(self, txids: Sequence[bytes]) -> list[list[bytes]]:
        """Return for each transaction those that it directly took the place of."""
        if not txids:
            return []
        with store_errors():
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

    def latest_replacements(self, limit: int, start: int = 0) -> list[bytes]:
        """Return up to `limit` transactions that took the place of others, newest first, after the first `start`."""
        with store_errors():
            txids: list[bytes] = self._redis.zrevrange(self._keys.replacements, start, start + limit - 1)
        return txids
