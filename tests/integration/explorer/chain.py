"""Writes a small chain for the explorer into Redis, as the mempool service would but without validating it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import redis

from shared.bus.events import BlockConnected, BlockDisconnected, Removal, TxAccepted, TxRemoved
from shared.chain.block_fees import block_fees
from shared.chain.codec import BlockEntry, BlockStatus, PoolEntry, store_block
from shared.chain.commit import Committer, Delta, PoolRecord, PoolReplacement
from shared.chain.overlay import Overlay
from shared.chain.redis_keys import Keys
from shared.chain.view import ChainView
from shared.consensus.params import REGTEST
from shared.consensus.pow import block_work
from shared.crypto.hashes import sha256
from shared.crypto.keys import PrivateKey
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction, TxOut
from tests.builders import make_block, p2wpkh


class TestChain:
    """A regtest chain in one Redis database; `blocks` is its best chain."""

    __test__ = False

    def __init__(self, client: redis.Redis, genesis: bool = True) -> None:
        self.keys = Keys(REGTEST.name)
        self.view = ChainView(client, self.keys)
        client.set(self.keys.writer_epoch, 1)
        self._committer = Committer(client, self.keys, 1, b"", 0)
        self._entries: dict[bytes, BlockEntry] = {}
        self._undo: dict[bytes, list] = {}
        self._pool: dict[bytes, PoolRecord] = {}
        self._sequences = itertools.count(1)
        self.blocks: list[Block] = []
        if genesis:
            self._commit_blocks([], [REGTEST.genesis])

    @property
    def tip(self) -> Block:
        return self.blocks[-1]

    def mine(self, owner: PrivateKey, txs: Sequence[Transaction] = (), miner: str = "miner-1", fees: int = 0) -> Block:
        """Add a block that pays `owner`."""
        tag = f"/{miner}/".encode() + len(self._entries).to_bytes(4, "little") + bytes(4)
        height = len(self.blocks)
        block = make_block(self.tip.header, height, p2wpkh(owner), txs, tag=tag, fees=fees)
        self._commit_blocks([], [block])
        return block

    def replace_tip(self, owner: PrivateKey) -> tuple[Block, list[Block]]:
        """Reorganise: replace the tip by two new blocks. Return the stale block and the new ones."""
        stale = self.blocks[-1]
        height = len(self.blocks) - 1
        first = make_block(self.blocks[-2].header, height, p2wpkh(owner), tag=b"/rival/....")
        second = make_block(first.header, height + 1, p2wpkh(owner), tag=b"/rival/....")
        self._commit_blocks([stale], [first, second])
        return stale, [first, second]

    def pool_add(self, tx: Transaction, time: int = 1_700_000_000) -> None:
        """Put a transaction into the pool."""
        self.pool_add_all([tx], time)

    def pool_add_all(self, txs: Sequence[Transaction], time: int = 1_700_000_000) -> None:
        """Put transactions into the pool in one commit; none spends from another."""
        prevouts = self.view.txs.prevouts(txs)
        added = []
        for tx in txs:
            added.append(self._record(tx, [prevouts[txin.prevout] for txin in tx.inputs], time))
            self._pool[tx.txid] = added[-1]
        self._committer.commit(Delta(pool_added=added, time=time, events=[_accepted(record) for record in added]))

    def pool_remove(self, tx: Transaction, why: Removal = Removal.EVICTED) -> None:
        """Take a transaction out of the pool."""
        record = self._pool.pop(tx.txid)
        self._committer.commit(Delta(pool_removed=[record], events=[TxRemoved(txid=tx.txid_hex, why=why)]))

    def pool_replace(
        self, tx: Transaction, replaced: Sequence[Transaction], with_them: Sequence[Transaction] = (), time: int = 0
    ) -> None:
        """Put a transaction into the pool that replaces others and their descendants."""
        prevouts = self.view.txs.prevouts([tx])
        record = self._record(tx, [prevouts[txin.prevout] for txin in tx.inputs], time)
        direct, descendants = (tuple(self._pool.pop(gone.txid) for gone in txs) for txs in (replaced, with_them))
        replacement = PoolReplacement(tx.txid, time, direct, descendants)
        self._pool[tx.txid] = record
        gone = [
            *(TxRemoved(txid=old.txid_hex, why=Removal.REPLACED, replaced_by=tx.txid_hex) for old in replaced),
            *(TxRemoved(txid=old.txid_hex, why=Removal.CONFLICT) for old in with_them),
        ]
        delta = Delta(
            pool_added=[record],
            pool_removed=replacement.removed,
            replacements=[replacement],
            time=time,
            events=[*gone, _accepted(record)],
        )
        self._committer.commit(delta)

    def _record(self, tx: Transaction, spent: Sequence[TxOut], time: int) -> PoolRecord:
        fee = sum(output.value for output in spent) - sum(output.value for output in tx.outputs)
        scripts = {output.script_pubkey: None for output in (*spent, *tx.outputs)}
        entry = PoolEntry(
            wtxid=tx.wtxid,
            fee=fee,
            vsize=tx.vsize,
            weight=tx.weight,
            sigop_cost=len(tx.inputs),
            time=time,
            sequence=next(self._sequences),
        )
        return PoolRecord(tx, entry, tuple(sha256(script) for script in scripts))

    def _commit_blocks(self, removed: Sequence[Block], added: Sequence[Block]) -> None:
        overlay = Overlay(self.view.txs)
        delta = Delta(overlay=overlay)
        for block in removed:
            self.blocks.pop()
            for tx, spent in zip(block.transactions[:0:-1], self._undo[block.hash][::-1], strict=True):
                overlay.revert(tx, spent)
            overlay.revert(block.transactions[0], [])
        delta.first_height = len(self.blocks)
        delta.best_chain = [block.hash for block in added]
        delta.entries = [self._connect(overlay, delta, block) for block in added]
        delta.new_tip = delta.entries[-1]
        delta.events = [_fact(BlockDisconnected, self._entries[block.hash]) for block in removed]
        delta.events += [_fact(BlockConnected, entry) for entry in delta.entries]
        mined = [self._pool.pop(tx.txid) for block in added for tx in block.transactions if tx.txid in self._pool]
        delta.pool_removed = mined
        delta.events += [TxRemoved(txid=record.tx.txid_hex, why=Removal.MINED) for record in mined]
        self._committer.commit(delta)

    def _connect(self, overlay: Overlay, delta: Delta, block: Block) -> BlockEntry:
        height = len(self.blocks)
        undo = []
        for position, tx in enumerate(block.transactions if height else ()):
            spent = overlay.apply(tx, height, position)
            if position:
                undo.append(spent)
        stored = store_block(block, undo)
        overlay.locate(block, stored.locations)
        self._undo[block.hash] = undo
        delta.blocks[block.hash] = block.serialize()
        delta.undo[block.hash] = stored.undo
        delta.layouts[block.hash] = stored.layout
        paid = [
            sum(coin.output.value for coin in coins) - sum(output.value for output in tx.outputs)
            for tx, coins in zip(block.transactions[1:], undo, strict=True)
        ]
        fees = block_fees(block, paid)
        if fees is not None:
            delta.fees[block.hash] = fees
        parent = self._entries.get(block.header.prev_hash)
        entry = BlockEntry(
            header=block.header,
            height=height,
            chain_work=(parent.chain_work if parent else 0) + block_work(block.header.bits),
            status=BlockStatus.HAVE_DATA | BlockStatus.CONNECTED,
            tx_count=len(block.transactions),
            size=block.size,
            weight=block.weight,
            chain_tx_count=(parent.chain_tx_count if parent else 0) + len(block.transactions),
            arrival=len(self._entries),
        )
        self._entries[block.hash] = entry
        self.blocks.append(block)
        return entry


def _accepted(record: PoolRecord) -> TxAccepted:
    tx, entry = record.tx, record.entry
    return TxAccepted(txid=tx.txid_hex, wtxid=tx.wtxid_hex, fee=entry.fee, vsize=entry.vsize)


def _fact(
    kind: type[BlockConnected] | type[BlockDisconnected], entry: BlockEntry
) -> BlockConnected | BlockDisconnected:
    header = entry.header
    return kind(hash=header.hash_hex, height=entry.height, time=header.time, tx_count=entry.tx_count)
