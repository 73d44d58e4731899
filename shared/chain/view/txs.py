"""The part of `ChainView` that reads transactions by txid, and coins and spends by outpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from shared.chain import codec
from shared.chain.codec import Spend, TxLocation, TxPart
from shared.chain.reads import expect_bytes
from shared.chain.records import FoundTx, TxRecord
from shared.chain.view.blocks import BlockReader
from shared.chain.view.pool import PoolReader
from shared.chain.view.reader import TIP_FIELDS, Moved, StoreReader, decode_tip, settled
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxOut

_SCAN_STEP = 1000
"""Parts of transactions that each step of a scan asks for."""


class TxReader:
    """Reads transactions of the best chain and of the pool."""

    def __init__(self, reader: StoreReader, blocks: BlockReader, pool: PoolReader) -> None:
        self._redis = reader.redis
        self._keys = reader.keys
        self._reader = reader
        self._blocks = blocks
        self._pool = pool

    # ── transactions ────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, txid: bytes) -> TxRecord | None:
        """Return a transaction of the best chain or the pool."""
        return self.get_many([txid])[0]

    def get_many(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        """Return each transaction of the best chain or the pool."""
        locations = self.locations(txids)
        confirmed = self._read_located([location for location in locations if location])
        missing = [txid for txid, location in zip(txids, locations, strict=True) if location is None]
        pooled = dict(zip(missing, self._pool.get_many(missing), strict=True))
        found = iter(confirmed)
        return [next(found) if location else pooled[txid] for txid, location in zip(txids, locations, strict=True)]

    def get_with_spent(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        """Return each transaction of the best chain or the pool with the outputs that it spends."""
        return settled(lambda: self._with_spent(txids)) if txids else []

    def find(self, txid: bytes) -> FoundTx | None:
        """Return the bytes of a transaction of the best chain or the pool, with the tip, in two round trips."""

        def read(pipe: Any) -> None:
            pipe.hmget(self._keys.tip, TIP_FIELDS)
            pipe.hget(self._keys.txs, txid)
            pipe.hget(self._keys.pool_txs, txid)

        tip_values, part, pooled = self._reader.at_once(read)
        tip = decode_tip(tip_values)
        where = part and codec.decode_tx_part(part).decoded_location()
        expect_bytes(where.length + where.spent_length if where else len(pooled or b""))
        if where is None:
            return None if pooled is None else FoundTx(pooled, tip)
        pipe = self._redis.pipeline(transaction=False)  # what a block has and has spent never changes
        pipe.getrange(self._keys.block(where.block_hash), where.offset, where.offset + where.length - 1)
        pipe.hget(self._keys.blocks, where.block_hash)
        if where.spent_length:
            undo_key = self._keys.undo(where.block_hash)
            pipe.getrange(undo_key, where.spent_offset, where.spent_offset + where.spent_length - 1)
        raw, entry, *undo = pipe.execute()
        spent = tuple(codec.decode_spent(undo[0])[0]) if undo and undo[0] else None
        return FoundTx(raw, tip, codec.decode_block_entry(entry), spent)

    def locations(self, txids: Sequence[bytes]) -> list[TxLocation | None]:
        """Return the location of each confirmed transaction's bytes."""
        return [None if part is None else part.decoded_location() for part in self.parts(txids)]

    def parts(self, fields: Sequence[bytes]) -> list[TxPart | None]:
        """Return the stored parts of confirmed transactions, by their fields (`codec.part_field`)."""
        return self._reader.fields(self._keys.txs, fields, codec.decode_tx_part)

    def prevouts(self, txs: Iterable[Transaction]) -> dict[OutPoint, TxOut]:
        """Return the outputs that these transactions spend; unknown outputs are left out."""
        outpoints = [txin.prevout for tx in txs if not tx.is_coinbase for txin in tx.inputs]
        parents = list({outpoint.txid: None for outpoint in outpoints})
        records = dict(zip(parents, self.get_many(parents), strict=True))
        found = {}
        for outpoint in outpoints:
            record = records[outpoint.txid]
            if record is not None and outpoint.vout < len(record.tx.outputs):
                found[outpoint] = record.tx.outputs[outpoint.vout]
        return found

    # ── coins and spends ────────────────────────────────────────────────────────────────────────────────────────

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        """Return the confirmed, unspent coin at each outpoint."""
        stored = [part and part.coin(outpoint.vout) for outpoint, part in self._parts_of(outpoints)]
        return [None if data is None else codec.decode_coin(data) for data in stored]

    def all_coins(self) -> dict[bytes, bytes]:
        """Return every coin as stored, by its outpoint, in many round trips: correct only if the tip does not move."""
        found: dict[bytes, bytes] = {}
        for field, value in self._redis.hscan_iter(self._keys.txs, count=_SCAN_STEP):
            part = codec.decode_tx_part(value)
            for outpoint in codec.part_outpoints(field, part):
                if (coin := part.coin(outpoint.vout)) is not None:
                    found[outpoint.serialize()] = coin
        return found

    def spends(self, outpoints: Sequence[OutPoint]) -> list[Spend | None]:
        """Return the confirmed input that spends each outpoint."""
        return [part and part.spend(outpoint.vout) for outpoint, part in self._parts_of(outpoints)]

    def all_spends(self, outpoints: Sequence[OutPoint]) -> list[tuple[Spend | None, Spend | None]]:
        """Return the confirmed and the unconfirmed input that spends each outpoint; at most one of them exists."""
        if not outpoints:
            return []
        fields = [codec.part_field(outpoint) for outpoint in outpoints]
        names = [outpoint.serialize() for outpoint in outpoints]

        def read(pipe: Any) -> None:
            pipe.hmget(self._keys.txs, fields)
            pipe.hmget(self._keys.pool_spends, names)

        parts, pooled = self._reader.at_once(read)
        return [
            (part and codec.decode_tx_part(part).spend(outpoint.vout), data and codec.decode_spend(data))
            for outpoint, part, data in zip(outpoints, parts, pooled, strict=True)
        ]

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _parts_of(self, outpoints: Sequence[OutPoint]) -> Iterator[tuple[OutPoint, TxPart | None]]:
        """Return each outpoint with the part that has its output; a part is read once, however many it is asked for."""
        fields = [codec.part_field(outpoint) for outpoint in outpoints]
        wanted = list(dict.fromkeys(fields))
        parts = dict(zip(wanted, self.parts(wanted), strict=True))
        return ((outpoint, parts[field]) for outpoint, field in zip(outpoints, fields, strict=True))

    def _read_located(self, locations: Sequence[TxLocation]) -> list[TxRecord]:
        if not locations:
            return []
        raw = self._blocks.slices([(where.block_hash, where.offset, where.length) for where in locations])
        entries = self._blocks.entries([where.block_hash for where in locations])
        return [TxRecord(Transaction.parse(data), entry) for data, entry in zip(raw, entries, strict=True)]

    def _with_spent(self, txids: Sequence[bytes]) -> list[TxRecord | None]:
        keys = (self._keys.txs, self._keys.pool_txs, self._keys.pool_entries)
        # At once: a transaction that moves from the pool to a block is not missed.
        parts, raw, entries = self._reader.at_once(lambda pipe: [pipe.hmget(key, txids) for key in keys])
        locations = [None if data is None else codec.decode_tx_part(data).decoded_location() for data in parts]
        confirmed = iter(self._read_with_spent([where for where in locations if where]))
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
        """Read confirmed transactions with their spent outputs; the bytes of a block never change between reads."""
        if not locations:
            return []
        hashes = list(dict.fromkeys(where.block_hash for where in locations))
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
        """Add the outputs, in blocks or the pool, that unconfirmed transactions spend; `Moved` if one is gone."""
        outpoints = [txin.prevout for record in records for txin in record.tx.inputs]
        outputs = {
            outpoint: coin.output
            for outpoint, coin in zip(outpoints, self.coins(outpoints), strict=True)
            if coin is not None
        }
        parents = list({outpoint.txid: None for outpoint in outpoints if outpoint not in outputs})
        for record in self._pool.get_many(parents):
            if record is None:
                raise Moved
            outputs.update((OutPoint(record.tx.txid, vout), output) for vout, output in enumerate(record.tx.outputs))
        return [
            dataclasses.replace(record, spent=tuple(outputs[txin.prevout] for txin in record.tx.inputs))
            for record in records
        ]
