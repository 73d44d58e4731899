"""Committed chain state, read-only: wallet, explorer and RPC read the chain only through this view.

`ChainView` reads the tip and the best chain's hashes; its parts read the rest:

    view.blocks          blocks, their index entries, undo data and fees, by block hash
    view.txs             transactions by txid, coins and spends by outpoint
    view.scripts         counters, histories and coins by script hash
    view.pool            the unconfirmed transactions
    view.replacements    transactions that others replaced in the pool

A method takes one or two round trips and reads only the values that it returns; methods named `all…` read a whole
index. Each single read is consistent, because a commit is atomic; `ChainView.at_tip` makes several reads consistent.
All methods raise `StoreUnavailable` while Redis is away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from shared.bus.events import Fact
from shared.chain import codec
from shared.chain.codec import BlockEntry, Replaced
from shared.chain.records import FoundTx, HistoryItem, PoolStats, ScriptStats, Tip, TxRecord, Unspent
from shared.chain.redis_keys import Keys, script_hash
from shared.chain.store import StoreClient
from shared.chain.view.blocks import BlockReader
from shared.chain.view.pool import PoolReader
from shared.chain.view.reader import Moved, StoreReader
from shared.chain.view.replacements import ReplacementReader
from shared.chain.view.scripts import ScriptReader
from shared.chain.view.txs import TxReader
from shared.mining_mode import MANUAL, MiningSetting

__all__ = [
    "ChainView",
    "FoundTx",
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

T = TypeVar("T")


class ChainView:
    """Reads one chain of one Redis server."""

    blocks: BlockReader
    txs: TxReader
    scripts: ScriptReader
    pool: PoolReader
    replacements: ReplacementReader

    def __init__(self, client: StoreClient, keys: Keys) -> None:
        self._reader = reader = StoreReader(client, keys)
        self.blocks = BlockReader(reader)
        self.pool = PoolReader(reader)
        self.txs = TxReader(reader, self.blocks, self.pool)
        self.scripts = ScriptReader(reader, self.txs, self.pool)
        self.replacements = ReplacementReader(reader)

    # ── the tip ─────────────────────────────────────────────────────────────────────────────────────────────────

    def has_chain(self) -> bool:
        """Whether there is a chain: the writer commits the genesis block first of all."""
        return bool(self._reader.redis.exists(self._reader.keys.heights))

    def tip(self) -> Tip:
        """Return the tip; `NoChain` before the first block, `UnsafeStore` for a chain stored in another format."""
        return self._reader.tip()

    def at_tip(self, read: Callable[[Tip], T]) -> T:
        """Call `read` with the tip and return its result; all its reads see the chain with that tip.

        `read` is called again if the tip moved meanwhile, or if a listed record was gone (`Moved`). A nested call of
        `at_tip` keeps the tip of the outer call. The pool may change during `read`: a flood of transactions must not
        keep anyone from reading.
        """
        return self._reader.at_tip(read)

    # ── the best chain, by height ───────────────────────────────────────────────────────────────────────────────

    def block_hash(self, height: int) -> bytes | None:
        """Return the hash of the best chain's block at this height."""
        hashes = self.block_hashes(height, 1)
        return hashes[0] if hashes else None

    def block_hashes(self, start: int, count: int) -> list[bytes]:
        """Return up to `count` hashes of the best chain from height `start` upwards."""
        if start < 0 or count <= 0:
            return []
        data = self._reader.redis.getrange(self._reader.keys.heights, start * 32, (start + count) * 32 - 1)
        return [data[i : i + 32] for i in range(0, len(data), 32)]

    def block_hashes_at(self, heights: Sequence[int]) -> list[bytes]:
        """Return the best chain's hash at each of these heights, which must not be above the tip."""
        pipe = self._reader.redis.pipeline(transaction=False)
        for height in heights:
            pipe.getrange(self._reader.keys.heights, height * 32, height * 32 + 31)
        hashes: list[bytes] = pipe.execute()
        if not all(hashes):
            raise Moved
        return hashes

    def is_in_best_chain(self, entry: BlockEntry) -> bool:
        """Whether this block is on the best chain."""
        return self.block_hash(entry.height) == entry.hash

    # ── the node ────────────────────────────────────────────────────────────────────────────────────────────────

    def events_since(self, seq: int, limit: int) -> list[Fact]:
        """Return up to `limit` facts that follow number `seq`, oldest first.

        Facts are numbered without gaps (the commit script counts them), and the last 10,000 are kept. Facts are lost if
        the first one returned is not number `seq` + 1, or if none is returned although the tip's `seq` is higher.
        """
        found = self._reader.redis.xrange(self._reader.keys.events, min=f"{seq + 1}-0", count=limit)
        return [codec.decode_event(int(entry_id.split(b"-")[0]), fields) for entry_id, fields in found]

    def clock(self) -> int | None:
        """Return the time in seconds since 1970 at which the node's clock stands still; None while it runs."""
        time = self._reader.redis.get(self._reader.keys.clock)
        return None if time is None else int(time)

    def mining(self) -> MiningSetting:
        """Return the mode of mining and whom its blocks pay; `manual` until somebody has set it."""
        stored = self._reader.redis.get(self._reader.keys.mode)
        return MANUAL if stored is None else codec.decode_mining(stored)
