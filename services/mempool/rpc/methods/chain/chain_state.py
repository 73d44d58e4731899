"""RPC methods about the block tree and the rules on it, and the operator's orders to it (rpc/blockchain.cpp)."""

from __future__ import annotations

from services.mempool.pool.script_cache import Verifier
from services.mempool.rpc.json.block_json import stored_block
from services.mempool.rpc.server.claims import order
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, block_or_tx_hash, integer, real
from shared.bus.events import ControlAction
from shared.chain.codec import BlockEntry, BlockStatus
from shared.chain.connect_block import connect_block, disconnect_block
from shared.chain.overlay import Overlay
from shared.chain.view import Tip
from shared.consensus.block_check import check_block
from shared.consensus.script_flags import block_flags
from shared.errors import DecodeError, ValidationError
from shared.primitives.block import Block
from shared.primitives.hex import display_hash
from shared.script.flags import Flags

_CATEGORY = "Blockchain"

_MONTH = 30 * 24 * 60 * 60
_NO_TIMEOUT = (1 << 63) - 1


def getchaintips(node: NodeContext) -> list[Json]:
    """Return the last block of every branch, highest first."""
    return node.view.at_tip(lambda tip: _tips(node, tip))


def _tips(node: NodeContext, tip: Tip) -> list[Json]:
    entries = {entry.hash: entry for entry in node.view.blocks.all_entries()}
    best = set(node.view.block_hashes(0, tip.height + 1))
    parents = {entry.header.prev_hash for entry in entries.values()}
    ends = [entry for entry in entries.values() if entry.hash not in parents or entry.hash == tip.hash]
    shown: list[Json] = []
    for end in sorted(ends, key=lambda entry: entry.height, reverse=True):
        branch: list[BlockEntry] = []
        entry = end
        while entry.hash not in best:
            branch.append(entry)
            entry = entries[entry.header.prev_hash]
        status = _status(branch)
        shown.append(
            {"height": end.height, "hash": end.header.hash_hex, "branchlen": len(branch), "status": status},
        )
    return shown


def _status(branch: list[BlockEntry]) -> str:
    if not branch:
        return "active"
    end = branch[0]
    if end.failed:
        return "invalid"
    if not all(entry.status & BlockStatus.HAVE_DATA for entry in branch):
        return "headers-only"
    return "valid-fork" if end.status & BlockStatus.CONNECTED else "valid-headers"


def getchaintxstats(node: NodeContext, count: object, block_hash_hex: str | None) -> Json:
    """Return the number and rate of transactions in the last blocks up to a block of the best chain."""
    wanted = integer(count) if count is not None else None
    block_hash = block_or_tx_hash(block_hash_hex, "blockhash") if block_hash_hex is not None else None
    return node.view.at_tip(lambda tip: _tx_stats(node, wanted, block_hash or tip.hash))


def _tx_stats(node: NodeContext, wanted: int | None, block_hash: bytes) -> Json:
    last = node.block_entry(block_hash)
    if not node.view.is_in_best_chain(last):
        raise RpcError(RpcCode.INVALID_PARAMETER, "Block is not in main chain")
    if wanted is None:
        count = max(0, min(_MONTH // node.params.pow_spacing, last.height - 1))
    else:
        count = wanted
        if count < 0 or (count > 0 and count >= last.height):
            message = "Invalid block count: should be between 0 and the block's height - 1"
            raise RpcError(RpcCode.INVALID_PARAMETER, message)
    stats: dict[str, Json] = {
        "time": last.header.time,
        "txcount": last.chain_tx_count,
        "window_final_block_hash": last.header.hash_hex,
        "window_final_block_height": last.height,
        "window_block_count": count,
    }
    if count > 0:
        first_hash = node.view.block_hash(last.height - count)
        if first_hash is None:
            raise RpcError(RpcCode.INTERNAL_ERROR, "a block of the best chain is missing")
        first = node.block_entry(first_hash)
        interval = node.median_time_past(last) - node.median_time_past(first)
        tx_count = last.chain_tx_count - first.chain_tx_count
        stats["window_tx_count"] = tx_count
        stats["window_interval"] = interval
        if interval > 0:
            stats["txrate"] = real(tx_count / interval)
    return stats


def getdeploymentinfo(node: NodeContext, block_hash_hex: str | None) -> Json:
    """Return which soft forks are active for the block after a given one, by default the tip."""
    wanted = block_or_tx_hash(block_hash_hex, "blockhash") if block_hash_hex is not None else node.view.tip().hash
    entry = node.block_entry(wanted)
    params = node.params
    buried = {
        "bip34": params.bip34_height,
        "bip66": params.bip66_height,
        "bip65": params.bip65_height,
        "csv": params.csv_height,
        "segwit": params.segwit_height,
        "taproot": params.taproot_height,
    }
    flags = block_flags(entry.height, params, entry.hash)
    return {
        "hash": entry.header.hash_hex,
        "height": entry.height,
        "script_flags": sorted(flag.name or "" for flag in Flags if flag and flag in flags),
        "deployments": {
            name: {"type": "buried", "active": entry.height + 1 >= height, "height": height}
            for name, height in buried.items()
        },
    }


def verifychain(node: NodeContext, level: object, count: object) -> bool:
    """Check stored blocks again: readable (0), valid by themselves (1), undo data (2), coins (3), reconnected (4)."""
    depth = 3 if level is None else integer(level)
    wanted = 6 if count is None else integer(count)
    return node.view.at_tip(
        lambda tip: _is_sound(node, tip, depth, tip.height if wanted <= 0 else min(wanted, tip.height))
    )


def _is_sound(node: NodeContext, tip: Tip, depth: int, count: int) -> bool:
    try:
        _verify(node, tip, depth, count)
    except (DecodeError, ValidationError, ValueError, KeyError):
        return False
    return True


def _verify(node: NodeContext, tip: Tip, depth: int, count: int) -> None:
    overlay = Overlay(node.view.txs)
    blocks: list[tuple[int, Block]] = []
    hashes = node.view.block_hashes(tip.height - count + 1, count)
    for height, block_hash in zip(range(tip.height, tip.height - count, -1), reversed(hashes), strict=True):
        block = stored_block(node, block_hash)
        if block.hash != block_hash:
            raise ValueError("a stored block has another hash")
        if depth >= 1:
            check_block(block, node.params)
        if depth >= 2:
            undo = node.view.blocks.undo(block_hash)
            if undo is None or [len(coins) for coins in undo] != [len(tx.inputs) for tx in block.transactions[1:]]:
                raise ValueError("undo data does not fit its block")
            if depth >= 3:
                _expect_outputs(overlay, block)
                disconnect_block(overlay, block, undo)
        blocks.append((height, block))
    if depth >= 4:
        verifier = Verifier()
        for height, block in reversed(blocks):
            connect_block(
                overlay,
                block,
                height,
                node.params,
                median_time_past=_median_time_at(node, height - 1),
                mtp_at=lambda at: _median_time_at(node, at),
                verifier=verifier,
            )


def _expect_outputs(overlay: Overlay, block: Block) -> None:
    """Every output that the block's transactions spend from outside must be gone from the coins."""
    own = {tx.txid for tx in block.transactions}
    spent = [txin.prevout for tx in block.transactions[1:] for txin in tx.inputs if txin.prevout.txid not in own]
    if any(coin is not None for coin in overlay.coins(spent)):
        raise ValueError("a spent coin is still there")


def _median_time_at(node: NodeContext, height: int) -> int:
    block_hash = node.view.block_hash(height)
    if block_hash is None:
        raise ValueError(f"no block at height {height}")
    return node.median_time_past(node.block_entry(block_hash))


async def invalidateblock(node: NodeContext, block_hash_hex: str) -> None:
    """Treat a block as breaking a rule; the best chain without it takes over."""
    await _order_on_block(node, ControlAction.INVALIDATE, block_hash_hex)


async def reconsiderblock(node: NodeContext, block_hash_hex: str) -> None:
    """Take an `invalidateblock` back, for the block and all above it."""
    await _order_on_block(node, ControlAction.RECONSIDER, block_hash_hex)


async def preciousblock(node: NodeContext, block_hash_hex: str) -> None:
    """Prefer a block over others with as much work."""
    await _order_on_block(node, ControlAction.PRECIOUS, block_hash_hex)


async def _order_on_block(node: NodeContext, action: ControlAction, block_hash_hex: str) -> None:
    entry = node.block_entry(block_or_tx_hash(block_hash_hex, "blockhash"))
    await order(node, RpcCode.DATABASE_ERROR, action=action, block=display_hash(entry.hash))


_BLOCK_HASH = Arg("blockhash", Kind.STRING, "The block hash")

METHODS = (
    Method("getchaintips", _CATEGORY, "Returns the last block of every known branch.", (), getchaintips),
    Method(
        "getchaintxstats",
        _CATEGORY,
        "Returns the number and rate of transactions in a window of blocks.",
        (
            Arg("nblocks", Kind.NUMBER, "The size of the window", "one month"),
            Arg("blockhash", Kind.STRING, "The block that ends the window", "chain tip"),
        ),
        getchaintxstats,
    ),
    Method(
        "getdeploymentinfo",
        _CATEGORY,
        "Returns the state of the soft forks.",
        (Arg("blockhash", Kind.STRING, "The block at which to look", "hash of current chain tip"),),
        getdeploymentinfo,
    ),
    Method("invalidateblock", _CATEGORY, "Treats a block as if it broke a rule.", (_BLOCK_HASH,), invalidateblock),
    Method("preciousblock", _CATEGORY, "Prefers a block to others with the same work.", (_BLOCK_HASH,), preciousblock),
    Method("reconsiderblock", _CATEGORY, "Takes the effect of invalidateblock back.", (_BLOCK_HASH,), reconsiderblock),
    Method(
        "verifychain",
        _CATEGORY,
        "Checks stored blocks again and returns whether they are sound.",
        (
            Arg("checklevel", Kind.NUMBER, "How thorough, 0 to 4", "3"),
            Arg("nblocks", Kind.NUMBER, "How many blocks from the tip, 0 for all", "6"),
        ),
        verifychain,
    ),
)
