"""A chain in memory behind the interface of `ChainView`: what the RPC interface reads, without a server."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from shared.chain.codec import BlockEntry, BlockStatus, PoolEntry, Spend, TxLocation, encode_coin
from shared.chain.view import ChainView, PoolStats, Tip, TxRecord
from shared.consensus.params import REGTEST, ChainParams
from shared.consensus.pow import block_work
from shared.errors import StoreUnavailable
from shared.primitives.block import Block
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction


class MemoryView(ChainView):
    """Blocks are not validated. Set `away` to make every read fail as if Redis were away."""

    def __init__(self, params: ChainParams = REGTEST) -> None:
        self._thread = threading.local()
        self.away = False
        self.seq = 1
        self.priorities: dict[bytes, int] = {}
        self.time: int | None = None
        self._best: list[bytes] = []
        self._entries: dict[bytes, BlockEntry] = {}
        self._raw: dict[bytes, bytes] = {}
        self._undo: dict[bytes, list[list[Coin]]] = {}
        self._coins: dict[OutPoint, Coin] = {}
        self._confirmed: dict[bytes, tuple[Transaction, bytes]] = {}
        self._pool: dict[bytes, TxRecord] = {}
        self.connect(params.genesis)

    def connect(self, block: Block) -> None:
        """Put a block on top of the best chain."""
        height = len(self._best)
        self._store(block, height)
        self._best.append(block.hash)
        undo = []
        for tx in block.transactions:
            self._pool.pop(tx.txid, None)
            if not tx.is_coinbase:
                undo.append([self._coins.pop(txin.prevout) for txin in tx.inputs])
            if height > 0:
                for vout, output in enumerate(tx.outputs):
                    self._coins[OutPoint(tx.txid, vout)] = Coin(output, height, tx.is_coinbase)
            self._confirmed[tx.txid] = (tx, block.hash)
        self._undo[block.hash] = undo
        self.seq += 1

    def add_side_block(self, block: Block, height: int) -> None:
        """Put a block beside the best chain."""
        self._store(block, height)

    def lose_undo(self, block_hash: bytes) -> None:
        """Forget what a block spent, as a damaged store would."""
        del self._undo[block_hash]

    def add_to_pool(self, tx: Transaction, fee: int, time: int = 1_700_000_000) -> None:
        """Put a transaction into the pool."""
        sequence = len(self._pool) + 1
        entry = PoolEntry(tx.wtxid, fee, tx.vsize, tx.weight, 4, time, sequence)
        self._pool[tx.txid] = TxRecord(tx, pool=entry)
        self.seq += 1

    def tip(self) -> Tip:
        if self.away:
            raise StoreUnavailable("Redis is away: test")
        entry = self._entries[self._best[-1]]
        return Tip(entry.hash, entry.height, entry.chain_work, self.seq, moves=self.seq)

    def block_hashes(self, start: int, count: int) -> list[bytes]:
        return self._best[start : start + count] if start >= 0 and count > 0 else []

    def block_entries(self, hashes: Sequence[bytes]) -> list[BlockEntry | None]:
        return [self._entries.get(block_hash) for block_hash in hashes]

    def all_block_entries(self) -> list[BlockEntry]:
        return list(self._entries.values())

    def tx_locations(self, txids: Sequence[bytes]) -> list[TxLocation | None]:
        found = [self._confirmed.get(txid) for txid in txids]
        return [None if where is None else TxLocation(where[1], 0, where[0].size, 0, 0) for where in found]

    def prioritised(self) -> dict[bytes, int]:
        return dict(self.priorities)

    def clock(self) -> int | None:
        return self.time

    def raw_block(self, block_hash: bytes) -> bytes | None:
        return self._raw.get(block_hash)

    def block(self, block_hash: bytes) -> Block | None:
        raw = self._raw.get(block_hash)
        return None if raw is None else Block.parse(raw)

    def undo(self, block_hash: bytes) -> list[list[Coin]] | None:
        return self._undo.get(block_hash)

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        return [self._coins.get(outpoint) for outpoint in outpoints]

    def all_coins(self) -> dict[bytes, bytes]:
        return {outpoint.serialize(): encode_coin(coin) for outpoint, coin in self._coins.items()}

    def pool_spends(self, outpoints: Sequence[OutPoint]) -> list[Spend | None]:
        spends = {
            txin.prevout: Spend(txid, vin)
            for txid, record in self._pool.items()
            for vin, txin in enumerate(record.tx.inputs)
        }
        return [spends.get(outpoint) for outpoint in outpoints]

    def transactions(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        return [self._record(txid) for txid in txids]

    def pool_stats(self) -> PoolStats:
        records = self._pool.values()
        entries = [record.pool for record in records if record.pool is not None]
        return PoolStats(
            len(entries),
            sum(entry.vsize for entry in entries),
            sum(entry.fee for entry in entries),
            sum(record.tx.size for record in records),
        )

    def pool_entries(self) -> dict[bytes, PoolEntry]:
        return {txid: record.pool for txid, record in self._pool.items() if record.pool is not None}

    def pool_txids(self, limit: int | None = None) -> list[bytes]:
        return list(reversed(self._pool))[:limit]

    def pool_records(self) -> list[TxRecord]:
        return list(reversed(self._pool.values()))

    def _record(self, txid: bytes) -> TxRecord | None:
        if txid in self._confirmed:
            tx, block_hash = self._confirmed[txid]
            return TxRecord(tx, self._entries[block_hash])
        return self._pool.get(txid)

    def _store(self, block: Block, height: int) -> None:
        below = self._entries.get(block.header.prev_hash)
        self._raw[block.hash] = block.serialize()
        self._entries[block.hash] = BlockEntry(
            header=block.header,
            height=height,
            chain_work=(below.chain_work if below else 0) + block_work(block.header.bits),
            status=BlockStatus.HAVE_DATA | BlockStatus.CONNECTED,
            tx_count=len(block.transactions),
            size=block.size,
            weight=block.weight,
            chain_tx_count=(below.chain_tx_count if below else 0) + len(block.transactions),
            arrival=len(self._entries),
        )
