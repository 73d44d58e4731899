"""Moves the tip: disconnects and connects blocks in memory, and writes the result in one commit.

A reorganisation of any depth, with its changes of the pool, is computed and validated before anything is written.
Blocks are read in chunks and not kept, so that a deep reorganisation takes few round trips and bounded memory.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.mempool.block_tree import Branch
from services.mempool.blocks.pool_after_move import Leaving, Returning, rebuild_pool
from services.mempool.pool.pool import Pool
from services.mempool.state import NodeState
from services.mempool.transactions.pool_change import accepted
from shared.bus.events import BlockConnected, BlockDisconnected, Fact, TxRemoved
from shared.chain import codec
from shared.chain.block_fees import block_fees
from shared.chain.codec import BlockEntry, BlockFees, BlockStatus, StoredBlock
from shared.chain.commit import Delta
from shared.chain.connect_block import connect_block, disconnect_block, touched_by_connect, touched_by_disconnect
from shared.chain.overlay import Overlay
from shared.errors import StoreUnavailable, ValidationError
from shared.logs import with_fields
from shared.primitives.block import Block
from shared.process.collector import paused_collector

log = logging.getLogger(__name__)

CHUNK = 50
"""The most blocks to read at once."""
CHUNK_BYTES = 4_000_000
"""The most bytes of blocks to read at once, unless one block alone has more: parsed, they take ten times as much."""

JobChanges = Mapping[str, bytes | None]
"""Id of a mining request → its state, None if it is forgotten."""


@dataclass(slots=True)
class Change:
    """Changes to write together with the next move of the tip, or alone if the tip stays."""

    entries: dict[bytes, BlockEntry] = field(default_factory=dict)
    """Index entries that changed, by block hash."""
    blocks: dict[bytes, Block] = field(default_factory=dict)
    """Blocks that are not stored yet."""
    jobs: dict[bytes, JobChanges] = field(default_factory=dict)
    """Block hash → mining requests whose state changes if the block joins the best chain; a later block's count."""

    def update(self, entries: Sequence[BlockEntry]) -> None:
        """Add changed index entries."""
        self.entries.update((entry.hash, entry) for entry in entries)

    def delta(self) -> Delta:
        """Return the delta that writes these changes if the tip stays."""
        raw = {block_hash: block.serialize() for block_hash, block in self.blocks.items()}
        return Delta(entries=list(self.entries.values()), blocks=raw)


@dataclass(slots=True)
class _Move:
    """A move of the tip that is being computed."""

    overlay: Overlay
    fork: BlockEntry
    """The last block that remains on the best chain."""
    returning: Returning
    connected: list[BlockEntry] = field(default_factory=list)
    disconnected: list[BlockEntry] = field(default_factory=list)
    leaving: Leaving = field(default_factory=Leaving)
    stored: dict[bytes, StoredBlock] = field(default_factory=dict)
    """Block hash → undo data and layout of a connected block."""
    fees: dict[bytes, BlockFees] = field(default_factory=dict)


class _BrokenBlock(Exception):
    """A block of the branch that was being connected breaks a rule."""

    def __init__(self, entry: BlockEntry, error: ValidationError) -> None:
        super().__init__(entry, error)
        self.entry = entry
        self.error = error


def activate(node: NodeState, change: Change) -> dict[bytes, ValidationError]:
    """Make the best candidate the tip, in one commit with `change`.

    Blocks that turn out to break a rule are marked, with all blocks above, and the next best candidate is tried. Return
    block hash → broken rule.
    """
    with paused_collector():
        return _activate(node, change)


def _activate(node: NodeState, change: Change) -> dict[bytes, ValidationError]:
    broken: dict[bytes, ValidationError] = {}
    while True:
        candidate = node.tree.best_candidate()
        if candidate.hash == node.tree.tip.hash:
            node.commit(change.delta())
            return broken
        try:
            move = _compute(node, candidate, change.blocks)
        except _BrokenBlock as problem:
            broken[problem.entry.hash] = problem.error
            change.update(node.tree.mark_failed(problem.entry))
            log.warning(
                "block breaks a rule",
                extra=with_fields(hash=problem.entry.header.hash_hex, reason=problem.error.reject_reason),
            )
            continue
        _commit(node, move, change)
        return broken


def _compute(node: NodeState, candidate: BlockEntry, unstored: Mapping[bytes, Block]) -> _Move:
    """Disconnect and connect blocks, in memory, until `candidate` is the tip."""
    branch = node.tree.branch(candidate)
    fork = node.tree.parent(branch[0]) if branch else candidate
    if fork is None:
        raise ValueError("a branch without a fork")
    move = _Move(Overlay(node.view.txs), fork, Returning())
    old = [node.tree.best_at(height) for height in range(node.tree.tip.height, fork.height, -1)]
    for entries in _chunks([entry for entry in old if entry is not None]):
        _disconnect(node, move, entries)
    parent = fork
    for entries in _chunks(branch):
        blocks = _blocks(node, entries, unstored)
        if len(blocks) > 1:
            move.overlay.prefetch(outpoint for block in blocks for outpoint in touched_by_connect(block, node.params))
        for entry, block in zip(entries, blocks, strict=True):
            _connect(node, move, entry, block, parent)
            parent = entry
    return move


def _disconnect(node: NodeState, move: _Move, entries: Sequence[BlockEntry]) -> None:
    blocks = _blocks(node, entries, {})
    undos = node.view.blocks.undos([entry.hash for entry in entries])
    move.overlay.prefetch(outpoint for block in blocks for outpoint in touched_by_disconnect(block))
    for entry, block, undo in zip(entries, blocks, undos, strict=True):
        if undo is None:
            raise StoreUnavailable(f"no undo data of block {entry.header.hash_hex}")
        disconnect_block(move.overlay, block, undo)
        move.disconnected.append(entry)
        move.returning.add(block)


def _connect(node: NodeState, move: _Move, entry: BlockEntry, block: Block, parent: BlockEntry) -> None:
    try:
        payments = connect_block(
            move.overlay,
            block,
            entry.height,
            node.params,
            median_time_past=node.tree.median_time_past(parent),
            mtp_at=Branch(node.tree, parent).median_time_at,
            verifier=node.verifier,
        )
    except ValidationError as error:
        raise _BrokenBlock(entry, error) from None
    move.stored[entry.hash] = stored = codec.store_block(block, payments.spent)
    move.overlay.locate(block, stored.locations)
    fees = block_fees(block, payments.fees)
    if fees is not None:
        move.fees[entry.hash] = fees
    move.connected.append(entry)
    move.leaving.add(node.pool, block)


def _chunks(entries: Sequence[BlockEntry]) -> Iterator[Sequence[BlockEntry]]:
    chunk: list[BlockEntry] = []
    size = 0
    for entry in entries:
        if chunk and (len(chunk) == CHUNK or size + entry.size > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += entry.size
    if chunk:
        yield chunk


def _blocks(node: NodeState, entries: Sequence[BlockEntry], unstored: Mapping[bytes, Block]) -> list[Block]:
    """Return the blocks of these entries, from the store or from the blocks that will be stored with this change."""
    wanted = [entry.hash for entry in entries if entry.hash not in unstored]
    stored = dict(zip(wanted, node.view.blocks.get_many(wanted), strict=True))
    found = []
    for entry in entries:
        block = unstored.get(entry.hash) or stored[entry.hash]
        if block is None:
            raise StoreUnavailable(f"block {entry.header.hash_hex} is not stored")
        found.append(block)
    return found


def _commit(node: NodeState, move: _Move, change: Change) -> None:
    connected = [dataclasses.replace(entry, status=entry.status | BlockStatus.CONNECTED) for entry in move.connected]
    change.update(connected)
    tip = connected[-1] if connected else move.fork
    events: list[Fact] = [_fact(BlockDisconnected, entry) for entry in move.disconnected]
    events += [_fact(BlockConnected, entry) for entry in connected]
    pool: Pool | None = None
    if move.disconnected:
        pool, added, removed = rebuild_pool(node, tip, move.overlay, move.returning)
    else:
        added, removed = [], move.leaving.records(node.pool)
    events += [TxRemoved(txid=record.tx.txid_hex, why=why) for record, why in removed]
    events += [accepted(record) for record in added]
    mined = [txid for txid in node.prioritised if move.overlay.txs.get(txid) is not None]
    delta = change.delta()
    delta.overlay = move.overlay
    delta.new_tip = tip
    delta.first_height = move.fork.height + 1
    delta.best_chain = [entry.hash for entry in connected]
    delta.undo = {block_hash: stored.undo for block_hash, stored in move.stored.items()}
    delta.layouts = {block_hash: stored.layout for block_hash, stored in move.stored.items()}
    delta.fees = move.fees
    delta.pool_added = added
    delta.pool_removed = [record for record, _ in removed]
    delta.prioritised = dict.fromkeys(mined, 0)
    for entry in connected:
        delta.jobs.update(change.jobs.get(entry.hash, {}))
    delta.events = events
    node.commit(delta)
    for entry in connected:
        node.tree.add(entry)
    node.tree.set_best_chain(move.fork.height + 1, delta.best_chain)
    for txid in mined:
        del node.prioritised[txid]
    if pool is None:
        for record, _ in removed:
            node.pool.remove(record.tx.txid)
    else:
        node.pool = pool
        log.info("chain reorganised", extra=with_fields(disconnected=len(move.disconnected), connected=len(connected)))


def _fact(event: type[BlockConnected | BlockDisconnected], entry: BlockEntry) -> Fact:
    return event(hash=entry.header.hash_hex, height=entry.height, time=entry.header.time, tx_count=entry.tx_count)
