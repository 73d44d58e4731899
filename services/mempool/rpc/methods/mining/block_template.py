"""RPC `getblocktemplate` (BIP22, BIP23, BIP145; rpc/mining.cpp): work for miners that speak JSON-RPC."""

from __future__ import annotations

import time
from typing import Any

from services.mempool.mining import gbt
from services.mempool.rpc.methods.chain.blockchain import LONGEST_WAIT, wait_for
from services.mempool.rpc.server.claims import submit_block, work_template
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, block
from shared.chain.codec import BlockEntry, BlockStatus
from shared.chain.view import Tip
from shared.primitives.block import BlockHeader
from shared.primitives.hex import display_hash
from shared.reasons import Reason

_REFRESH_SECONDS = 60
"""Seconds after which new transactions alone end a long poll, though the tip has not moved."""


class HeadersBelow:
    """The best chain as the difficulty rules look back on it."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node

    def header_at(self, height: int) -> BlockHeader:
        """Return the header at a height of the best chain."""
        block_hash = self._node.view.block_hash(height)
        if block_hash is None:
            raise RpcError(RpcCode.INTERNAL_ERROR, f"no block at height {height}")
        return self._node.block_entry(block_hash).header


async def getblocktemplate(node: NodeContext, request: dict[str, Any]) -> Json:
    """Return a template for the next block, or in proposal mode BIP22's word for the fault of a block."""
    mode = request.get("mode", "template")
    if mode is not None and not isinstance(mode, str):
        raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid mode")
    if mode == "proposal":
        return await _propose(node, request.get("data"))
    if mode not in ("template", None):
        raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid mode")
    rules = request.get("rules")
    names = [rule.lstrip("!") for rule in rules if isinstance(rule, str)] if isinstance(rules, list) else []
    if node.params.signet_challenge and "signet" not in names:
        message = 'getblocktemplate must be called with the signet rule set (call with {"rules": ["segwit", "signet"]})'
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    if "segwit" not in names:
        message = 'getblocktemplate must be called with the segwit rule set (call with {"rules": ["segwit"]})'
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    if isinstance(request.get("longpollid"), str):
        await _wait(node, request["longpollid"])
    return await work_template(node)


async def _wait(node: NodeContext, known: str) -> None:
    """Wait until the tip is another one than in a long poll id, or the pool has changed and is a minute older."""
    begun = time.monotonic()

    def is_news(tip: Tip) -> bool:
        is_old = time.monotonic() - begun > _REFRESH_SECONDS
        return not known.startswith(display_hash(tip.hash)) or (is_old and known != gbt.long_poll_id(tip.hash, tip.seq))

    await wait_for(node, is_news, LONGEST_WAIT)


def next_time(node: NodeContext, entry: BlockEntry) -> tuple[int, int]:
    """Return the earliest time of the block after `entry`, and the time that it should have now, in seconds."""
    return gbt.next_time(entry.header, entry.height, node.median_time_past(entry), node.now(), node.params)


async def _propose(node: NodeContext, data: object) -> str | None:
    if not isinstance(data, str):
        raise RpcError(RpcCode.TYPE_ERROR, "Missing data String key for proposal")
    proposed = block(data)
    known = node.view.blocks.entry(proposed.hash)
    if known is not None:
        if known.failed:
            return str(Reason.DUPLICATE_INVALID)
        is_valid = known.status & BlockStatus.CONNECTED
        return str(Reason.DUPLICATE if is_valid else Reason.DUPLICATE_INCONCLUSIVE)
    if proposed.header.prev_hash != node.view.tip().hash:
        return str(Reason.INCONCLUSIVE_NOT_BEST_PREVBLK)
    verdict = await submit_block(node, data, proposed, test_only=True)
    return None if verdict.accepted else verdict.reason or str(Reason.REJECTED)


METHODS = (
    Method(
        "getblocktemplate",
        "Mining",
        "Returns what a miner needs for the next block (BIP22, BIP23, BIP145), or with mode `proposal` and a block as\n"
        "`data` what is wrong with it: null for nothing.",
        (Arg("template_request", Kind.OBJECT, 'Such as {"rules": ["segwit"]}'),),
        getblocktemplate,
    ),
)
