"""Takes blocks in: checks them, and makes the valid branch with the most work the best chain.

Whatever a block brings about, the next tip, a reorganisation of any depth, what leaves the pool and what returns to
it, is computed and validated in memory first and is one commit. A block that breaks a rule is remembered, with its
descendants.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass, field

from services.mempool.accept import Acceptor
from services.mempool.block_index import Branch
from services.mempool.node import Node
from services.mempool.pool import Pool
from services.mempool.submissions import accepted
from shared.bus.events import BlockConnected, BlockDisconnected, BlockVerdict, Fact, Removal, TxRemoved
from shared.chain import codec
from shared.chain.codec import BlockEntry, BlockStatus
from shared.chain.commit import Delta, PoolRecord
from shared.chain.connect import connect_block, disconnect_block
from shared.chain.overlay import Overlay
from shared.consensus.block_check import BlockContext, check_block, check_block_context, check_header_context
from shared.consensus.pow import block_work, next_bits
from shared.errors import StoreUnavailable, ValidationError
from shared.logs import with_fields
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction
from shared.reasons import Reason

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Move:
    """A move of the tip that is being computed."""

    overlay: Overlay
    fork: BlockEntry
    """The last block that stays."""
    connected: list[tuple[BlockEntry, Block]] = field(default_factory=list)
    disconnected: list[tuple[BlockEntry, Block]] = field(default_factory=list)
    undo: dict[bytes, bytes] = field(default_factory=dict)


class _BrokenBlock(Exception):
    """A block of the branch that was being connected breaks a rule."""

    def __init__(self, entry: BlockEntry, error: ValidationError) -> None:
        super().__init__(entry, error)
        self.entry = entry
        self.error = error


def accept_block(node: Node, block: Block, jobs: dict[str, bytes | None] | None = None) -> BlockVerdict:
    """Check a block and commit what follows from it.

    `jobs` goes into the same commit if the block joins the best chain. A valid block on a branch with less work is
    stored: accepted, `inconclusive`.
    """
    try:
        entry = _check_new(node, block)
    except ValidationError as error:
        return _refusal(block, error)
    node.index.add(entry)
    changed = {entry.hash: entry}
    refused: ValidationError | None = None
    while True:
        extends = entry.header.prev_hash == node.index.tip.hash and not refused
        candidate = entry if extends else node.index.best_candidate()
        if candidate.chain_work <= node.index.tip.chain_work:
            node.commit(Delta(entries=list(changed.values()), blocks=_raw_if_valid(node, block)))
            break
        try:
            move = _compute_move(node, candidate, block)
        except _BrokenBlock as broken:
            for failed in node.index.mark_failed(broken.entry):
                changed[failed.hash] = failed
            if changed[entry.hash].failed:
                refused = refused or broken.error
            log.warning(
                "block breaks a rule",
                extra=with_fields(hash=broken.entry.header.hash_hex, reason=broken.error.reject_reason),
            )
            continue
        _commit_move(node, move, changed, block, jobs)
        break
    if refused is not None:
        return _refusal(block, refused)
    if node.index.is_best(node.index.get(block.hash) or entry):
        return BlockVerdict(hash=block.hash_hex, accepted=True)
    return BlockVerdict(hash=block.hash_hex, accepted=True, reason=str(Reason.INCONCLUSIVE))


def _refusal(block: Block, error: ValidationError) -> BlockVerdict:
    return BlockVerdict(hash=block.hash_hex, accepted=False, reason=error.reject_reason, detail=error.detail)


def _raw_if_valid(node: Node, block: Block) -> dict[bytes, bytes]:
    entry = node.index.get(block.hash)
    return {} if entry is None or entry.failed else {block.hash: block.serialize()}


def _check_new(node: Node, block: Block) -> BlockEntry:
    """Return the index entry of a new block that passes every rule which needs no coins."""
    known = node.index.get(block.hash)
    if known is not None:
        raise ValidationError(Reason.DUPLICATE_INVALID if known.failed else Reason.DUPLICATE)
    check_block(block, node.params)
    parent = node.index.get(block.header.prev_hash)
    if parent is None:
        raise ValidationError(Reason.PREV_BLK_NOT_FOUND)
    if parent.failed:
        raise ValidationError(Reason.BAD_PREVBLK)
    context = BlockContext(
        height=parent.height + 1,
        prev_hash=parent.hash,
        prev_time=parent.header.time,
        median_time_past=node.index.median_time_past(parent),
        expected_bits=next_bits(Branch(node.index, parent), parent.height + 1, block.header.time, node.params),
    )
    check_header_context(block.header, context, node.params, node.now())
    check_block_context(block, context, node.params)
    return BlockEntry(
        header=block.header,
        height=context.height,
        chain_work=parent.chain_work + block_work(block.header.bits),
        status=BlockStatus.HAVE_DATA,
        tx_count=len(block.transactions),
        size=block.size,
        weight=block.weight,
        chain_tx_count=parent.chain_tx_count + len(block.transactions),
        arrival=node.index.next_arrival,
    )


def _compute_move(node: Node, candidate: BlockEntry, new: Block) -> _Move:
    """Connect and disconnect, in memory, all that makes `candidate` the tip."""
    branch = node.index.branch(candidate)
    fork = node.index.parent(branch[0])
    if fork is None:
        raise ValueError("a branch without a fork")
    move = _Move(Overlay(node.view), fork)
    entry = node.index.tip
    while entry.hash != fork.hash:
        block = _stored_block(node, entry)
        undo = node.view.undo(entry.hash)
        if undo is None:
            raise StoreUnavailable(f"no undo data of block {entry.header.hash_hex}")
        disconnect_block(move.overlay, block, undo)
        move.disconnected.append((entry, block))
        entry = node.index.ancestor(entry, entry.height - 1)
    parent = fork
    for entry in branch:
        block = new if entry.hash == new.hash else _stored_block(node, entry)
        try:
            spent = connect_block(
                move.overlay,
                block,
                entry.height,
                node.params,
                median_time_past=node.index.median_time_past(parent),
                mtp_at=Branch(node.index, parent).median_time_at,
                verifier=node.verifier,
            )
        except ValidationError as error:
            raise _BrokenBlock(entry, error) from None
        move.undo[entry.hash] = codec.encode_undo(spent)
        move.connected.append((entry, block))
        parent = entry
    return move


def _stored_block(node: Node, entry: BlockEntry) -> Block:
    block = node.view.block(entry.hash)
    if block is None:
        raise StoreUnavailable(f"block {entry.header.hash_hex} is not stored")
    return block


def _commit_move(
    node: Node, move: _Move, changed: dict[bytes, BlockEntry], new: Block, jobs: dict[str, bytes | None] | None
) -> None:
    connected = [dataclasses.replace(entry, status=entry.status | BlockStatus.CONNECTED) for entry, _ in move.connected]
    changed.update((entry.hash, entry) for entry in connected)
    tip = connected[-1]
    events: list[Fact] = [_fact(BlockDisconnected, entry) for entry, _ in move.disconnected]
    events += [_fact(BlockConnected, entry) for entry in connected]
    if move.disconnected:
        pool, added, removed = _refill_pool(node, move, tip)
    else:
        pool, added, removed = node.pool, [], _leaving(node.pool, [block for _, block in move.connected])
    events += [TxRemoved(txid=record.tx.txid_hex, why=why) for record, why in removed]
    events += [accepted(record) for record in added]
    is_best = any(entry.hash == new.hash for entry in connected)
    node.commit(
        Delta(
            overlay=move.overlay,
            new_tip=tip,
            first_height=move.fork.height + 1,
            best_chain=[entry.hash for entry in connected],
            entries=list(changed.values()),
            blocks=_raw_if_valid(node, new),
            undo=move.undo,
            pool_added=added,
            pool_removed=[record for record, _ in removed],
            jobs=jobs if jobs and is_best else {},
            events=events,
        )
    )
    for entry in connected:
        node.index.add(entry)
    node.index.set_best_chain(move.fork.height + 1, [entry.hash for entry in connected])
    if pool is node.pool:
        for record, _ in removed:
            node.pool.remove(record.tx.txid)
    node.pool = pool
    if move.disconnected:
        log.info("chain reorganised", extra=with_fields(disconnected=len(move.disconnected), connected=len(connected)))


def _fact(event: type[BlockConnected | BlockDisconnected], entry: BlockEntry) -> Fact:
    return event(hash=entry.header.hash_hex, height=entry.height, time=entry.header.time, tx_count=entry.tx_count)


def _leaving(pool: Pool, blocks: list[Block]) -> list[tuple[PoolRecord, Removal]]:
    """Return what leaves the pool when these blocks extend the chain: what they confirm or conflict with."""
    confirmed = {tx.txid for block in blocks for tx in block.transactions}
    mined = [item for txid in confirmed if (item := pool.get(txid)) is not None]
    conflicting = {
        spender
        for block in blocks
        for tx in block.transactions
        for txin in tx.inputs
        if (spender := pool.spender(txin.prevout)) is not None and spender not in confirmed
    }
    leaving = [(item.record, Removal.MINED) for item in mined]
    leaving += [(item.record, Removal.CONFLICT) for item in pool.descendants(conflicting).values()]
    return leaving


def _refill_pool(
    node: Node, move: _Move, tip: BlockEntry
) -> tuple[Pool, list[PoolRecord], list[tuple[PoolRecord, Removal]]]:
    """Return the pool after a reorganisation, what is new in it, and what left it.

    Transactions of disconnected blocks return, oldest first, ahead of those that waited all along; each is checked
    anew on the new chain.
    """
    confirmed = {tx.txid for _, block in move.connected for tx in block.transactions}
    pool = Pool()
    acceptor = Acceptor(node.context(tip, move.overlay), pool, node.verifier)

    def check(tx: Transaction, sequence: int) -> PoolRecord | None:
        if tx.txid in confirmed:
            return None
        try:
            return acceptor.accept(tx, sequence, from_block=True)
        except ValidationError as error:
            log.info("left the pool", extra=with_fields(txid=tx.txid_hex, reason=error.reject_reason))
            return None

    added = []
    for _, block in reversed(move.disconnected):
        for tx in block.transactions[1:]:
            record = check(tx, node.next_sequence)
            if record is not None:
                node.take_sequence()
                pool.add(record)
                added.append(record)
    removed = []
    for item in sorted(node.pool, key=lambda item: item.record.entry.sequence):
        if check(item.tx, item.record.entry.sequence) is not None:
            pool.add(item.record)
        else:
            removed.append((item.record, Removal.MINED if item.tx.txid in confirmed else Removal.CONFLICT))
    return pool, added, removed
