"""The part of `ChainView` that reads blocks, coins and transactions, by their hashes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from shared.chain import codec
from shared.chain.base_view import BaseView, Moved
from shared.chain.codec import BlockEntry, Spend, TxLocation
from shared.chain.records import TxRecord
from shared.chain.store import store_errors
from shared.primitives.block import Block
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxOut

_SLICE = 1000
"""Fields that one step of a scan asks for."""


class TxView(BaseView):
    """Reads one chain of one Redis server."""

    # ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def block_entries(self, hashes: Sequence[bytes]) -> list[BlockEntry | None]:
        """Return the index entry of each block, on the best chain or off it."""
        return self._many(self._keys.blocks, hashes, codec.decode_block_entry)

    def block_entry(self, block_hash: bytes) -> BlockEntry | None:
        """Return a block's index entry."""
        return self.block_entries([block_hash])[0]

    def all_block_entries(self) -> list[BlockEntry]:
        """Return the whole block index, in no order (the writer loads it at start)."""
        with store_errors():
            return [codec.decode_block_entry(value) for value in self._redis.hvals(self._keys.blocks)]

    def raw_block(self, block_hash: bytes) -> bytes | None:
        """Return a block's bytes."""
        with store_errors():
            data: bytes | None = self._redis.get(self._keys.block(block_hash))
        return data

    def block_slices(self, slices: Sequence[tuple[bytes, int, int]]) -> list[bytes]:
        """Return pieces of raw blocks, each of (block hash, offset, length); empty where there is no such block."""
        with store_errors():
            pipe = self._redis.pipeline(transaction=False)
            for block_hash, offset, length in slices:
                pipe.getrange(self._keys.block(block_hash), offset, offset + length - 1)
            pieces: list[bytes] = pipe.execute()
        return pieces

    def block_part(self, block_hash: bytes, span: tuple[int, int], undo_span: tuple[int, int]) -> tuple[bytes, bytes]:
        """Return a piece of a raw block and one of its undo data, each from one offset up to another."""
        with store_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.getrange(self._keys.block(block_hash), span[0], span[1] - 1)
            pipe.getrange(self._keys.undo(block_hash), undo_span[0], undo_span[1] - 1)
            raw, undo = pipe.execute()
        return raw, undo

    def block(self, block_hash: bytes) -> Block | None:
        """Return a block."""
        return self.blocks([block_hash])[0]

    def blocks(self, hashes: Sequence[bytes]) -> list[Block | None]:
        """Return each of these blocks."""
        return self._strings([self._keys.block(block_hash) for block_hash in hashes], Block.parse)

    def undo(self, block_hash: bytes) -> list[list[Coin]] | None:
        """Return the coins that each transaction but the coinbase spent, for a block that was once connected."""
        return self.undos([block_hash])[0]

    def undos(self, hashes: Sequence[bytes]) -> list[list[list[Coin]] | None]:
        """Return the undo data of each of these blocks."""
        return self._strings([self._keys.undo(block_hash) for block_hash in hashes], codec.decode_undo)

    # ── coins and spends ────────────────────────────────────────────────────────────────────────────────────────

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        """Return the confirmed, unspent coin at each outpoint."""
        return self._many(self._keys.coins, [outpoint.serialize() for outpoint in outpoints], codec.decode_coin)

    def all_coins(self) -> dict[bytes, bytes]:
        """Return every coin as stored, by its outpoint: read in slices, so only right if the tip stays the same."""
        with store_errors():
            return dict(self._redis.hscan_iter(self._keys.coins, count=_SLICE))

    def spends(self, outpoints: Sequence[OutPoint]) -> list[Spend | None]:
        """Return the confirmed input that spends each outpoint."""
        return self._many(self._keys.spends, [outpoint.serialize() for outpoint in outpoints], codec.decode_spend)

    def pool_spends(self, outpoints: Sequence[OutPoint]) -> list[Spend | None]:
        """Return the unconfirmed input that spends each outpoint."""
        return self._many(self._keys.pool_spends, [outpoint.serialize() for outpoint in outpoints], codec.decode_spend)

    def all_spends(self, outpoints: Sequence[OutPoint]) -> list[tuple[Spend | None, Spend | None]]:
        """Return the confirmed and the unconfirmed input that spends each outpoint, at once: it has one or none."""
        if not outpoints:
            return []
        fields = [outpoint.serialize() for outpoint in outpoints]
        with store_errors():
            pipe = self._redis.pipeline()
            pipe.hmget(self._keys.spends, fields)
            pipe.hmget(self._keys.pool_spends, fields)
            confirmed, pooled = pipe.execute()
        decoded = ([data and codec.decode_spend(data) for data in found] for found in (confirmed, pooled))
        return list(zip(*decoded, strict=True))

    # ── transactions ────────────────────────────────────────────────────────────────────────────────────────────

    def transactions(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        """Return each transaction of the best chain or the pool."""
        locations = self.tx_locations(txids)
        confirmed = self._read_located([location for location in locations if location])
        missing = [txid for txid, location in zip(txids, locations, strict=True) if location is None]
        pooled = dict(zip(missing, self._pool_records(missing), strict=True))
        found = iter(confirmed)
        return [next(found) if location else pooled[txid] for txid, location in zip(txids, locations, strict=True)]

    def transaction(self, txid: bytes) -> TxRecord | None:
        """Return a transaction of the best chain or the pool."""
        return self.transactions([txid])[0]

    def tx_locations(self, txids: Sequence[bytes]) -> list[TxLocation | None]:
        """Return where each confirmed transaction's bytes are."""
        return self._many(self._keys.txs, txids, codec.decode_location)

    def prevouts(self, txs: Iterable[Transaction]) -> dict[OutPoint, TxOut]:
        """Return the outputs that these transactions spend, those of coinbases apart."""
        outpoints = [txin.prevout for tx in txs if not tx.is_coinbase for txin in tx.inputs]
        parents = list({outpoint.txid: None for outpoint in outpoints})
        records = dict(zip(parents, self.transactions(parents), strict=True))
        found = {}
        for outpoint in outpoints:
            record = records[outpoint.txid]
            if record is not None and outpoint.vout < len(record.tx.outputs):
                found[outpoint] = record.tx.outputs[outpoint.vout]
        return found

    def _read_located(self, locations: Sequence[TxLocation]) -> list[TxRecord]:
        if not locations:
            return []
        raw = self.block_slices([(where.block_hash, where.offset, where.length) for where in locations])
        entries = self.block_entries([where.block_hash for where in locations])
        return [TxRecord(Transaction.parse(data), entry) for data, entry in zip(raw, entries, strict=True)]

    def spending(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        """Return each transaction of the best chain or the pool with the outputs that it spends."""
        return self._settled(lambda: self._spending(txids)) if txids else []

    def _spending(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        with store_errors():
            pipe = self._redis.pipeline()  # at once: what moves from the pool to a block is never missed
            pipe.hmget(self._keys.txs, txids)
            pipe.hmget(self._keys.pool_txs, txids)
            pipe.hmget(self._keys.pool_entries, txids)
            locations, raw, entries = pipe.execute()
        confirmed = iter(self._read_with_spent([codec.decode_location(data) for data in locations if data]))
        pooled = iter(
            self._with_pool_spent(
                [
                    TxRecord(Transaction.parse(data), pool=codec.decode_pool_entry(entry))
                    for where, data, entry in zip(locations, raw, entries, strict=True)
                    if not where and data and entry
                ]
            )
        )
        return [
            next(confirmed) if where else next(pooled) if data and entry else None
            for where, data, entry in zip(locations, raw, entries, strict=True)
        ]

    def _read_with_spent(self, locations: Sequence[TxLocation]) -> list[TxRecord]:
        """Read confirmed transactions: what is named by a block's hash is the same whenever it is read."""
        if not locations:
            return []
        hashes = list(dict.fromkeys(where.block_hash for where in locations))
        with store_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hmget(self._keys.blocks, hashes)
            for where in locations:
                block_key, undo_key = self._keys.block(where.block_hash), self._keys.undo(where.block_hash)
                pipe.getrange(block_key, where.offset, where.offset + where.length - 1)
                if where.spent_length:
                    pipe.getrange(undo_key, where.spent_offset, where.spent_offset + where.spent_length - 1)
            replies = iter(pipe.execute())
        blocks = {key: codec.decode_block_entry(data) for key, data in zip(hashes, next(replies), strict=True)}
        records = []
        for where in locations:
            tx = Transaction.parse(next(replies))
            coins = codec.decode_spent(next(replies))[0] if where.spent_length else []
            records.append(TxRecord(tx, blocks[where.block_hash], spent=tuple(coin.output for coin in coins)))
        return records

    def _with_pool_spent(self, records: Sequence[TxRecord]) -> list[TxRecord]:
        """Add what unconfirmed transactions spend: confirmed coins, or outputs of the pool. `Moved` if one is gone."""
        outpoints = [txin.prevout for record in records for txin in record.tx.inputs]
        outputs = {
            outpoint: coin.output
            for outpoint, coin in zip(outpoints, self.coins(outpoints), strict=True)
            if coin is not None
        }
        parents = list({outpoint.txid: None for outpoint in outpoints if outpoint not in outputs})
        for record in self._pool_records(parents):
            if record is None:
                raise Moved
            outputs.update((OutPoint(record.tx.txid, vout), output) for vout, output in enumerate(record.tx.outputs))
        return [
            dataclasses.replace(record, spent=tuple(outputs[txin.prevout] for txin in record.tx.inputs))
            for record in records
        ]

    def _pool_records(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        if not txids:
            return []
        with store_errors():
            pipe = self._redis.pipeline()
            pipe.hmget(self._keys.pool_txs, txids)
            pipe.hmget(self._keys.pool_entries, txids)
            raw, entries = pipe.execute()
        return [
            None
            if data is None or entry is None
            else TxRecord(Transaction.parse(data), pool=codec.decode_pool_entry(entry))
            for data, entry in zip(raw, entries, strict=True)
        ]
