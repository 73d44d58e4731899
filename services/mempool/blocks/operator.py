"""The operator's orders: refuse or prefer blocks, submit headers, prioritise transactions, set clock and mining mode.

Each order is one commit, and is answered after it. Source: Core's RPCs of these names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from services.mempool.blocks.accept_header import check_header
from services.mempool.blocks.activate import Change, activate
from services.mempool.state import NodeState
from shared.bus.events import ChainControl, ControlAction, ControlResult
from shared.chain.codec import BlockEntry
from shared.chain.commit import Delta
from shared.errors import DecodeError, ValidationError
from shared.logs import with_fields
from shared.mining_mode import MiningKind, MiningSetting, parse_mode
from shared.primitives.block import BlockHeader
from shared.primitives.hex import display_hash, parse_display_hash, parse_hex
from shared.script.script import MAX_SCRIPT_SIZE

log = logging.getLogger(__name__)

BLOCK_NOT_FOUND = "Block not found"
HEADER_DECODE_FAILED = "Block header decode failed"
MAX_TIME = (1 << 32) - 1 + (1 << 31)
"""Seconds; beyond the time of any block."""

_DONE = ControlResult(done=True)


def control(node: NodeState, order: ChainControl) -> ControlResult:
    """Carry out an order; a wrong order gets an error as its reply, and raises nothing."""
    try:
        return _ACTIONS[order.action](node, order)
    except DecodeError as error:
        return ControlResult(done=False, reason="malformed", detail=str(error))


def _invalidate(node: NodeState, order: ChainControl) -> ControlResult:
    """Mark a block and all above it as failed, and move the tip to the next best branch."""
    entry = _entry(node, order)
    if entry is None:
        return ControlResult(done=False, reason=BLOCK_NOT_FOUND)
    if entry.height == 0:
        return _DONE  # as in Core: no block is below the genesis block
    change = Change()
    change.update(node.tree.mark_failed(entry))
    node.tree.find_candidates()
    activate(node, change)
    return _DONE


def _reconsider(node: NodeState, order: ChainControl) -> ControlResult:
    """Remove marks of failure from a block, all below it and all above it, and try them again."""
    entry = _entry(node, order)
    if entry is None:
        return ControlResult(done=False, reason=BLOCK_NOT_FOUND)
    change = Change()
    change.update(node.tree.forgive(entry))
    activate(node, change)
    return _DONE


def _precious(node: NodeState, order: ChainControl) -> ControlResult:
    """Treat a block as if it had arrived before all others of equal work, until the next start."""
    entry = _entry(node, order)
    if entry is None:
        return ControlResult(done=False, reason=BLOCK_NOT_FOUND)
    node.tree.prefer(entry)
    activate(node, Change())
    return _DONE


def _submit_header(node: NodeState, order: ChainControl) -> ControlResult:
    """Store a valid header whose block may arrive later."""
    try:
        header = BlockHeader.parse(parse_hex(order.header, "header"))
    except DecodeError as error:
        return ControlResult(done=False, reason=HEADER_DECODE_FAILED, detail=str(error))
    if node.tree.get(header.prev_hash) is None:
        return ControlResult(done=False, reason=f"Must submit previous header ({display_hash(header.prev_hash)}) first")
    try:
        entry = check_header(node, header)
    except ValidationError as error:
        return ControlResult(done=False, reason=error.reject_reason, detail=error.detail)
    if node.tree.get(header.hash) is None:
        node.commit(Delta(entries=[entry]))
        node.tree.add(entry)
    return _DONE


def _prioritise(node: NodeState, order: ChainControl) -> ControlResult:
    """Add to the fee delta of a transaction."""
    txid = parse_display_hash(order.txid)
    total = node.prioritised.get(txid, 0) + order.fee_delta
    if not -(1 << 63) <= total < 1 << 63:
        return ControlResult(done=False, reason="malformed", detail="fee_delta is out of range")
    node.commit(Delta(prioritised={txid: total}))
    node.prioritise(txid, total)
    return _DONE


def _set_time(node: NodeState, order: ChainControl) -> ControlResult:
    """Stop the node's clock, or let it run again."""
    if not 0 <= order.time <= MAX_TIME:
        return ControlResult(done=False, reason="malformed", detail=f"time must be from 0 to {MAX_TIME}")
    node.commit(Delta(clock=order.time))
    node.set_clock(order.time)
    return _DONE


def _set_mining(node: NodeState, order: ChainControl) -> ControlResult:
    """Set when blocks are mined that nobody requests, and whom they pay."""
    mode = parse_mode(order.mode)
    script = parse_hex(order.script_pubkey, "script_pubkey") or node.mining.script_pubkey
    if not script and mode.kind is not MiningKind.MANUAL:
        return ControlResult(done=False, reason="malformed", detail="script_pubkey is missing")
    if len(script) > MAX_SCRIPT_SIZE:
        return ControlResult(
            done=False, reason="malformed", detail=f"script_pubkey is longer than {MAX_SCRIPT_SIZE} bytes"
        )
    setting = MiningSetting(mode, script)
    node.commit(Delta(mining=setting))
    node.mining = setting
    log.info("mining mode set", extra=with_fields(mode=mode.text))
    return _DONE


def _entry(node: NodeState, order: ChainControl) -> BlockEntry | None:
    return node.tree.get(parse_display_hash(order.block))


_ACTIONS: dict[ControlAction, Callable[[NodeState, ChainControl], ControlResult]] = {
    ControlAction.INVALIDATE: _invalidate,
    ControlAction.RECONSIDER: _reconsider,
    ControlAction.PRECIOUS: _precious,
    ControlAction.SUBMIT_HEADER: _submit_header,
    ControlAction.PRIORITISE: _prioritise,
    ControlAction.SET_TIME: _set_time,
    ControlAction.SET_MINING: _set_mining,
}
