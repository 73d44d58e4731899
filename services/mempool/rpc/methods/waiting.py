"""RPC methods that wait for the tip to move (rpc/blockchain.cpp).

Each waiting call holds a thread of the HTTP server, so only as many as `NodeContext.mining_slots` lets in may wait at
once, and none longer than `LONGEST` seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, block_or_tx_hash, integer
from shared.chain.view import Tip
from shared.errors import BrokerUnavailable
from shared.primitives.hex import display_hash

_CATEGORY = "Blockchain"

LONGEST = 600.0
"""Seconds after which a wait without a time limit is answered with the tip as it is."""
_POLL = 0.01


def wait_for(node: NodeContext, is_reached: Callable[[Tip], bool], seconds: float) -> Tip:
    """Return the tip once `is_reached` says so, or as it is after these seconds."""
    tip = node.view.tip()
    if is_reached(tip):
        return tip
    if not node.mining_slots.acquire(blocking=False):
        raise BrokerUnavailable("too many calls are waiting, try again when one of them is done")
    deadline = time.monotonic() + seconds
    try:
        while not is_reached(tip) and (left := deadline - time.monotonic()) > 0:
            if node.stop.wait(min(left, _POLL)):
                break
            tip = node.view.tip()
    finally:
        node.mining_slots.release()
    return tip


def waitfornewblock(node: NodeContext, timeout: object, current_tip_hex: str | None) -> Json:
    """Wait until the tip is another one than now, or than the one given."""
    seconds = _seconds(timeout)
    known = node.view.tip().hash
    if current_tip_hex is not None:
        known = block_or_tx_hash(current_tip_hex, "current_tip")
    return _shown(wait_for(node, lambda tip: tip.hash != known, seconds))


def waitforblock(node: NodeContext, block_hash_hex: str, timeout: object) -> Json:
    """Wait until a block is the tip."""
    wanted = block_or_tx_hash(block_hash_hex, "blockhash")
    return _shown(wait_for(node, lambda tip: tip.hash == wanted, _seconds(timeout)))


def waitforblockheight(node: NodeContext, height: object, timeout: object) -> Json:
    """Wait until the tip has at least a height."""
    wanted = integer(height)
    return _shown(wait_for(node, lambda tip: tip.height >= wanted, _seconds(timeout)))


def _seconds(timeout: object) -> float:
    milliseconds = 0 if timeout is None else integer(timeout)
    if milliseconds < 0:
        raise RpcError(RpcCode.MISC_ERROR, "Negative timeout")
    return min(milliseconds / 1000, LONGEST) if milliseconds else LONGEST


def _shown(tip: Tip) -> Json:
    return {"hash": display_hash(tip.hash), "height": tip.height}


_TIMEOUT = Arg("timeout", Kind.NUMBER, f"Milliseconds to wait at most; 0 for {LONGEST:.0f} s", "0")

METHODS = (
    Method(
        "waitforblock",
        _CATEGORY,
        "Waits until a block is the tip, and returns the tip.",
        (Arg("blockhash", Kind.STRING, "The block hash to wait for"), _TIMEOUT),
        waitforblock,
    ),
    Method(
        "waitforblockheight",
        _CATEGORY,
        "Waits until the tip has at least a height, and returns the tip.",
        (Arg("height", Kind.NUMBER, "The height to wait for"), _TIMEOUT),
        waitforblockheight,
    ),
    Method(
        "waitfornewblock",
        _CATEGORY,
        "Waits until there is a new tip, and returns it.",
        (_TIMEOUT, Arg("current_tip", Kind.STRING, "The tip that the caller knows", "the tip now")),
        waitfornewblock,
    ),
)
