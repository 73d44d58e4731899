"""Accepts blocks: checks and stores them, and makes the valid branch with the most work the best chain.

A block that breaks a rule is marked, with its descendants, unless its header may belong to other transactions. All
changes that follow from a block are one commit: see `activate`.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from services.mempool.block_tree import Branch
from services.mempool.blocks.accept_header import check_header, context_above
from services.mempool.blocks.activate import Change, JobChanges, activate
from services.mempool.state import NodeState
from shared.bus.events import BlockVerdict
from shared.chain.codec import BlockEntry, BlockStatus
from shared.chain.connect_block import connect_block
from shared.chain.overlay import Overlay
from shared.consensus.block_check import check_block, check_block_context, check_header_context
from shared.errors import ValidationError
from shared.logs import with_fields
from shared.primitives.block import Block
from shared.reasons import Reason

log = logging.getLogger(__name__)

_MUTATED = (
    Reason.BAD_TXNMRKLROOT,
    Reason.BAD_TXNS_DUPLICATE,
    Reason.BAD_WITNESS_NONCE_SIZE,
    Reason.BAD_WITNESS_MERKLE_MATCH,
    Reason.UNEXPECTED_WITNESS,
)
"""Reasons that do not prove the header invalid: the received transactions may not be its own (Core's BLOCK_MUTATED)."""


def accept_block(node: NodeState, block: Block, jobs: JobChanges | None = None) -> BlockVerdict:
    """Check a block and commit the changes that follow from it.

    If the block joins the best chain, `jobs` is part of the commit. A valid block on a branch with less work is stored;
    its verdict is accepted, `inconclusive`.
    """
    try:
        entry = _checked_alone(node, block)
    except ValidationError as error:
        return _refusal(block, error)
    try:
        _check_on_branch(node, block, entry)
    except ValidationError as error:
        if error.reason not in _MUTATED:
            _remember_failed(node, entry)
        return _refusal(block, error)
    change = Change()
    _add(node, change, block, entry, jobs or {})
    broken = activate(node, change)
    return _verdict(node, block, broken)


def accept_blocks(node: NodeState, found: Sequence[tuple[Block, JobChanges]]) -> list[BlockVerdict]:
    """Check blocks, each on top of the one before, and commit the changes that follow from them in one commit.

    Return the verdicts up to the first block that is refused.
    """
    change = Change()
    taken = 0
    for block, jobs in found:
        try:
            entry = _checked_alone(node, block)
            _check_on_branch(node, block, entry)
        except ValidationError:
            break
        _add(node, change, block, entry, jobs)
        taken += 1
    verdicts = []
    if taken:
        broken = activate(node, change)
        for block, _ in found[:taken]:
            verdicts.append(_verdict(node, block, broken))
            if not verdicts[-1].accepted:
                return verdicts
    if taken < len(found):
        verdicts.append(accept_block(node, *found[taken]))
    return verdicts


def propose(node: NodeState, block: Block) -> BlockVerdict:
    """Check a block on the tip by every rule except proof of work, and change nothing (Core's TestBlockValidity).

    The reasons are those of a proposal to `getblocktemplate` (BIP23), for example `inconclusive-not-best-prevblk`.
    """
    known = node.tree.get(block.hash)
    try:
        if known is not None:
            if known.failed:
                raise ValidationError(Reason.DUPLICATE_INVALID)
            is_valid = known.status & BlockStatus.CONNECTED
            raise ValidationError(Reason.DUPLICATE if is_valid else Reason.DUPLICATE_INCONCLUSIVE)
        check_on_tip(node, block)
    except ValidationError as error:
        return _refusal(block, error)
    return BlockVerdict(hash=block.hash_hex, accepted=True)


def check_on_tip(node: NodeState, block: Block) -> None:
    """Raise `ValidationError` unless the block, apart from its proof of work, can extend the tip."""
    tip = node.tree.tip
    if block.header.prev_hash != tip.hash:
        raise ValidationError(Reason.INCONCLUSIVE_NOT_BEST_PREVBLK)
    check_block(block, node.params, check_pow=False)
    context = context_above(node, tip, block.header)
    check_header_context(block.header, context, node.params, node.now())
    check_block_context(block, context, node.params)
    connect_block(
        Overlay(node.view.txs),
        block,
        context.height,
        node.params,
        median_time_past=context.median_time_past,
        mtp_at=Branch(node.tree, tip).median_time_at,
        verifier=node.verifier,
    )


def _checked_alone(node: NodeState, block: Block) -> BlockEntry:
    check_block(block, node.params)
    entry = check_header(node, block.header)
    if entry.status & BlockStatus.HAVE_DATA:
        raise ValidationError(Reason.DUPLICATE)
    return entry


def _add(node: NodeState, change: Change, block: Block, entry: BlockEntry, jobs: JobChanges) -> None:
    change.blocks[block.hash] = block
    change.jobs[block.hash] = jobs
    change.update(node.tree.link(_with_data(entry, block)))


def _check_on_branch(node: NodeState, block: Block, entry: BlockEntry) -> None:
    parent = node.tree.parent(entry)
    if parent is None:
        raise ValidationError(Reason.PREV_BLK_NOT_FOUND)
    check_block_context(block, context_above(node, parent, block.header), node.params)


def _remember_failed(node: NodeState, entry: BlockEntry) -> None:
    """Mark a block, whose data are not stored, and all known blocks above it as failed."""
    change = Change()
    change.update(node.tree.mark_failed(entry))
    node.commit(change.delta())
    log.warning("block breaks a rule", extra=with_fields(hash=entry.header.hash_hex))


def _with_data(entry: BlockEntry, block: Block) -> BlockEntry:
    return dataclasses.replace(
        entry,
        status=entry.status | BlockStatus.HAVE_DATA,
        tx_count=len(block.transactions),
        size=block.size,
        weight=block.weight,
    )


def _verdict(node: NodeState, block: Block, broken: dict[bytes, ValidationError]) -> BlockVerdict:
    if block.hash in broken:
        return _refusal(block, broken[block.hash])
    entry = node.tree.get(block.hash)
    if entry is not None and entry.failed:
        detail = f"a block below it breaks a rule: {next(iter(broken.values()))}"
        return BlockVerdict(hash=block.hash_hex, accepted=False, reason=str(Reason.INCONCLUSIVE), detail=detail)
    if entry is not None and node.tree.is_best(entry):
        return BlockVerdict(hash=block.hash_hex, accepted=True)
    return BlockVerdict(hash=block.hash_hex, accepted=True, reason=str(Reason.INCONCLUSIVE))


def _refusal(block: Block, error: ValidationError) -> BlockVerdict:
    return BlockVerdict(hash=block.hash_hex, accepted=False, reason=error.reject_reason, detail=error.detail)
