"""Checks a header against the branch that it extends, before its block is checked."""

from __future__ import annotations

from services.mempool.block_tree import Branch
from services.mempool.state import NodeState
from shared.chain.codec import BlockEntry, BlockStatus
from shared.consensus.block_check import BlockContext, check_header_context
from shared.consensus.pow import block_work, check_proof_of_work, next_bits
from shared.errors import ValidationError
from shared.primitives.block import BlockHeader
from shared.reasons import Reason


def check_header(node: NodeState, header: BlockHeader) -> BlockEntry:
    """Return the index entry of a known header, or a new entry for an unknown one; the index is not changed.

    Raises `ValidationError` with Core's reasons (AcceptBlockHeader): `duplicate-invalid`, `high-hash`,
    `prev-blk-not-found`, `bad-prevblk`, and the reasons of `check_header_context`.
    """
    known = node.tree.get(header.hash)
    if known is not None:
        if known.failed:
            raise ValidationError(Reason.DUPLICATE_INVALID)
        return known
    check_proof_of_work(header, node.params)
    parent = node.tree.get(header.prev_hash)
    if parent is None:
        raise ValidationError(Reason.PREV_BLK_NOT_FOUND)
    if parent.failed:
        raise ValidationError(Reason.BAD_PREVBLK)
    check_header_context(header, context_above(node, parent, header), node.params, node.now())
    return BlockEntry(
        header=header,
        height=parent.height + 1,
        chain_work=parent.chain_work + block_work(header.bits),
        status=BlockStatus(0),
        tx_count=0,
        size=0,
        weight=0,
        chain_tx_count=0,
        arrival=0,
    )


def context_above(node: NodeState, parent: BlockEntry, header: BlockHeader) -> BlockContext:
    """Return the context of a header that extends the branch ending with `parent`."""
    height = parent.height + 1
    return BlockContext(
        height=height,
        prev_hash=parent.hash,
        prev_time=parent.header.time,
        median_time_past=node.tree.median_time_past(parent),
        expected_bits=next_bits(Branch(node.tree, parent), height, header.time, node.params),
    )
