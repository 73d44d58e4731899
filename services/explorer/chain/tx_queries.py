"""Reads transactions of the best chain and the pool, the spends of their outputs, and merkle proofs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

from services.explorer.chain.block_queries import BlockQueries
from services.explorer.chain.models import MerkleProof, Outspend, TxInfo, prevouts_of
from services.explorer.errors import transaction_not_confirmed, transaction_not_found
from shared.chain.codec import BlockEntry
from shared.chain.view import ChainView, Moved, Tip, TxRecord
from shared.primitives.merkle import merkle_tree
from shared.primitives.transaction import OutPoint, Transaction

_CACHED_TREES = 16
"""Merkle trees kept, of the blocks last asked about: the tree of a block hash never changes."""


class TxQueries:
    """Reads transactions by txid, and spends by outpoint."""

    def __init__(self, view: ChainView, blocks: BlockQueries) -> None:
        self._view = view
        self._blocks = blocks
        self._tree = lru_cache(maxsize=_CACHED_TREES)(lambda block_hash: merkle_tree(blocks.txids(block_hash)))

    def get(self, txid: bytes) -> TxInfo:
        """Return a transaction of the best chain or the pool; 404 if there is none."""
        [record] = self._view.txs.get_with_spent([txid])
        if record is None:
            raise transaction_not_found()
        return _info(record)

    def find_many(self, txids: Sequence[bytes]) -> list[TxInfo]:
        """Return the transactions that are on the best chain or in the pool, leaving out unknown txids."""
        return [_info(record) for record in self._view.txs.get_with_spent(txids) if record is not None]

    def listed(self, txids: Sequence[bytes]) -> list[TxInfo]:
        """Return transactions that were listed within the same `at_tip`; `Moved` if one is gone."""
        records = self._view.txs.get_with_spent(txids)
        known = [_info(record) for record in records if record is not None]
        if len(known) != len(records):
            raise Moved
        return known

    def record(self, txid: bytes) -> TxRecord:
        """Return a transaction and its place; 404 if it is unknown."""
        record = self.find(txid)
        if record is None:
            raise transaction_not_found()
        return record

    def find(self, txid: bytes) -> TxRecord | None:
        """Return a transaction and its place, None if it is unknown."""
        return self._view.txs.get_with_spent([txid])[0]

    def with_prevouts(self, tx: Transaction) -> TxInfo:
        """Return a transaction that is in neither chain nor pool, with its known prevouts."""
        return TxInfo(tx, self._view.txs.prevouts([tx]))

    # ── merkle proofs ───────────────────────────────────────────────────────────────────────────────────────────

    def proof(self, txid: bytes) -> MerkleProof:
        """Return the proof that a transaction is in a block of the best chain; 404 if it is in none."""
        block = self._view.at_tip(lambda _: self._blocks_of([txid])).get(txid)
        if block is None:
            raise transaction_not_confirmed()
        return self.proof_in(block, txid)

    def proof_in(self, block: BlockEntry, txid: bytes) -> MerkleProof:
        """Return the proof that a transaction is in the block that holds it."""
        tree = self._tree(block.hash)
        return MerkleProof(block, tree, tree[0].index(txid))

    # ── spends ──────────────────────────────────────────────────────────────────────────────────────────────────

    def outspend(self, outpoint: OutPoint) -> Outspend | None:
        """Return the spend of an output; None if it is unspent or unknown."""
        [found] = self._view.at_tip(lambda _: self._outspends([outpoint]))
        return found

    def outspends(self, txid: bytes) -> list[Outspend | None]:
        """Return the spend of each output of a transaction; 404 if it is unknown."""
        return self.outspends_in(self.record(txid).tx, slice(None))

    def outspends_in(self, tx: Transaction, window: slice) -> list[Outspend | None]:
        """Return the spend of each output within `window` of a known transaction."""
        outpoints = [OutPoint(tx.txid, vout) for vout in range(len(tx.outputs))[window]]
        return self._view.at_tip(lambda _: self._outspends(outpoints))

    def outspends_of(self, txids: Sequence[bytes]) -> list[list[Outspend | None]]:
        """Return the spend of each output of several transactions, an empty list for an unknown one."""

        def read(_: Tip) -> list[list[Outspend | None]]:
            sizes = [len(record.tx.outputs) if record else 0 for record in self._view.txs.get_many(txids)]
            pairs = zip(txids, sizes, strict=True)
            found = iter(self._outspends([OutPoint(txid, vout) for txid, size in pairs for vout in range(size)]))
            return [list(islice(found, size)) for size in sizes]

        return self._view.at_tip(read)

    def _outspends(self, outpoints: Sequence[OutPoint]) -> list[Outspend | None]:
        spends = self._view.txs.all_spends(outpoints)
        blocks = self._blocks_of([confirmed.txid for confirmed, _ in spends if confirmed is not None])
        found: list[Outspend | None] = []
        for in_block, in_pool in spends:
            spend = in_block or in_pool
            found.append(None if spend is None else Outspend(spend, blocks.get(spend.txid)))
        return found

    def _blocks_of(self, txids: Sequence[bytes]) -> dict[bytes, BlockEntry]:
        """Return the block of each confirmed transaction by txid."""
        found = {
            txid: location.block_hash
            for txid, location in zip(txids, self._view.txs.locations(txids), strict=True)
            if location is not None
        }
        hashes = list(dict.fromkeys(found.values()))
        entries = dict(zip(hashes, self._blocks.entries(hashes), strict=True))
        return {txid: entries[block_hash] for txid, block_hash in found.items()}


def _info(record: TxRecord) -> TxInfo:
    return TxInfo(record.tx, prevouts_of(record.tx, record.spent), record.block, record.pool)
