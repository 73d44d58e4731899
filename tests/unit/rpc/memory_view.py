"""A chain in memory with the interface of `ChainView`, for the RPC methods to read without a server."""

from __future__ import annotations

from collections.abc import Sequence

from shared.chain.codec import BlockEntry, BlockStatus, PoolEntry, Spend, TxLocation, encode_coin
from shared.chain.redis_keys import Keys
from shared.chain.view import ChainView, FoundTx, PoolStats, Tip, TxRecord
from shared.chain.view.blocks import BlockReader
from shared.chain.view.pool import PoolReader
from shared.chain.view.reader import StoreReader
from shared.chain.view.txs import TxReader
from shared.consensus.params import REGTEST, ChainParams
from shared.consensus.pow import block_work
from shared.errors import StoreUnavailable
from shared.mining_mode import MANUAL, MiningSetting
from shared.primitives.block import Block
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction


class MemoryView(ChainView):
    """Blocks are not validated. Set `away` to make every read fail as if Redis were away."""

    def __init__(self, params: ChainParams = REGTEST) -> None:
        self._reader = reader = MemoryReader(self)
        self.blocks = MemoryBlocks(reader)
        self.pool = MemoryPool(reader)
        self.txs = MemoryTxs(reader, self.blocks, self.pool)
        self.away = False
        self.seq = 1
        self.priorities: dict[bytes, int] = {}
        self.time: int | None = None
        self.mining_setting = MANUAL
        self.best: list[bytes] = []
        self.entries: dict[bytes, BlockEntry] = {}
        self.raw: dict[bytes, bytes] = {}
        self.undo_data: dict[bytes, list[list[Coin]]] = {}
        self.unspent: dict[OutPoint, Coin] = {}
        self.confirmed: dict[bytes, tuple[Transaction, bytes]] = {}
        self.unconfirmed: dict[bytes, TxRecord] = {}
        self.connect(params.genesis)

    def connect(self, block: Block) -> None:
        """Put a block on top of the best chain."""
        height = len(self.best)
        self._store(block, height)
        self.best.append(block.hash)
        undo = []
        for tx in block.transactions:
            self.unconfirmed.pop(tx.txid, None)
            if not tx.is_coinbase:
                undo.append([self.unspent.pop(txin.prevout) for txin in tx.inputs])
            if height > 0:
                for vout, output in enumerate(tx.outputs):
                    self.unspent[OutPoint(tx.txid, vout)] = Coin(output, height, tx.is_coinbase)
            self.confirmed[tx.txid] = (tx, block.hash)
        self.undo_data[block.hash] = undo
        self.seq += 1

    def add_side_block(self, block: Block, height: int) -> None:
        """Put a block beside the best chain."""
        self._store(block, height)

    def lose_undo(self, block_hash: bytes) -> None:
        """Drop a block's undo data, as in a damaged store."""
        del self.undo_data[block_hash]

    def add_to_pool(self, tx: Transaction, fee: int, time: int = 1_700_000_000) -> None:
        """Put a transaction into the pool."""
        sequence = len(self.unconfirmed) + 1
        entry = PoolEntry(tx.wtxid, fee, tx.vsize, tx.weight, 4, time, sequence)
        self.unconfirmed[tx.txid] = TxRecord(tx, pool=entry)
        self.seq += 1

    def block_hashes(self, start: int, count: int) -> list[bytes]:
        return self.best[start : start + count] if start >= 0 and count > 0 else []

    def clock(self) -> int | None:
        return self.time

    def mining(self) -> MiningSetting:
        return self.mining_setting

    def record(self, txid: bytes) -> TxRecord | None:
        if txid in self.confirmed:
            tx, block_hash = self.confirmed[txid]
            return TxRecord(tx, self.entries[block_hash])
        return self.unconfirmed.get(txid)

    def _store(self, block: Block, height: int) -> None:
        below = self.entries.get(block.header.prev_hash)
        self.raw[block.hash] = block.serialize()
        self.entries[block.hash] = BlockEntry(
            header=block.header,
            height=height,
            chain_work=(below.chain_work if below else 0) + block_work(block.header.bits),
            status=BlockStatus.HAVE_DATA | BlockStatus.CONNECTED,
            tx_count=len(block.transactions),
            size=block.size,
            weight=block.weight,
            chain_tx_count=(below.chain_tx_count if below else 0) + len(block.transactions),
            arrival=len(self.entries),
        )


class MemoryReader(StoreReader):
    """The state that the parts read."""

    def __init__(self, state: MemoryView) -> None:
        super().__init__(None, Keys("memory"))  # type: ignore[arg-type]
        self.state = state

    def tip(self) -> Tip:
        state = self.state
        if state.away:
            raise StoreUnavailable("Redis is away: test")
        entry = state.entries[state.best[-1]]
        return Tip(entry.hash, entry.height, entry.chain_work, state.seq, moves=state.seq)


class MemoryBlocks(BlockReader):
    def __init__(self, reader: MemoryReader) -> None:
        self._state = reader.state

    def entries(self, hashes: Sequence[bytes]) -> list[BlockEntry | None]:
        return [self._state.entries.get(block_hash) for block_hash in hashes]

    def all_entries(self) -> list[BlockEntry]:
        return list(self._state.entries.values())

    def raw(self, block_hash: bytes) -> bytes | None:
        return self._state.raw.get(block_hash)

    def get_many(self, hashes: Sequence[bytes]) -> list[Block | None]:
        raws = [self._state.raw.get(block_hash) for block_hash in hashes]
        return [None if raw is None else Block.parse(raw) for raw in raws]

    def txids(self, block_hash: bytes) -> list[bytes]:
        if block_hash not in self._state.best:
            return []
        return [tx.txid for tx in Block.parse(self._state.raw[block_hash]).transactions]

    def undos(self, hashes: Sequence[bytes]) -> list[list[list[Coin]] | None]:
        return [self._state.undo_data.get(block_hash) for block_hash in hashes]


class MemoryPool(PoolReader):
    def __init__(self, reader: MemoryReader) -> None:
        self._state = reader.state

    def prioritised(self) -> dict[bytes, int]:
        return dict(self._state.priorities)

    def spends(self, outpoints: Sequence[OutPoint]) -> list[Spend | None]:
        spends = {
            txin.prevout: Spend(txid, vin)
            for txid, record in self._state.unconfirmed.items()
            for vin, txin in enumerate(record.tx.inputs)
        }
        return [spends.get(outpoint) for outpoint in outpoints]

    def stats(self) -> PoolStats:
        records = self._state.unconfirmed.values()
        entries = self.entries().values()
        return PoolStats(
            len(entries),
            sum(entry.vsize for entry in entries),
            sum(entry.fee for entry in entries),
            sum(record.tx.size for record in records),
        )

    def entries(self) -> dict[bytes, PoolEntry]:
        return {txid: record.pool for txid, record in self._state.unconfirmed.items() if record.pool is not None}

    def txids(self, limit: int | None = None) -> list[bytes]:
        return list(reversed(self._state.unconfirmed))[:limit]

    def txids_and_seq(self) -> tuple[list[bytes], int]:
        return self.txids(), self._state.seq

    def get_many(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        return [self._state.unconfirmed.get(txid) for txid in txids]


class MemoryTxs(TxReader):
    def __init__(self, reader: MemoryReader, blocks: MemoryBlocks, pool: MemoryPool) -> None:
        self._state = reader.state

    def get_many(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        return [self._state.record(txid) for txid in txids]

    def find(self, txid: bytes) -> FoundTx | None:
        state, record = self._state, self._state.record(txid)
        if record is None:
            return None
        spent = None
        if record.block is not None and not record.tx.is_coinbase and record.block.hash in state.undo_data:
            places = [tx.txid for tx in Block.parse(state.raw[record.block.hash]).transactions]
            spent = tuple(state.undo_data[record.block.hash][places.index(txid) - 1])
        tip = state._reader.tip()
        return FoundTx(record.tx.serialize(), tip, record.block, spent)

    def locations(self, txids: Sequence[bytes]) -> list[TxLocation | None]:
        found = [self._state.confirmed.get(txid) for txid in txids]
        return [None if where is None else TxLocation(where[1], 0, where[0].size, 0, 0) for where in found]

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        return [self._state.unspent.get(outpoint) for outpoint in outpoints]

    def all_coins(self) -> dict[bytes, bytes]:
        return {outpoint.serialize(): encode_coin(coin) for outpoint, coin in self._state.unspent.items()}
