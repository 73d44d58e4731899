"""Blocks and headers as bitcoind shows them (rpc/blockchain.cpp: blockheaderToJSON, blockToJSON)."""

from __future__ import annotations

from collections.abc import Sequence

from services.mempool.rpc.json.tx_json import tx_json
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.values import Json, real
from shared.chain.codec import BlockEntry
from shared.chain.view import Tip
from shared.consensus.pow import bits_to_target, difficulty
from shared.primitives.block import Block
from shared.primitives.coin import Coin
from shared.primitives.hex import display_hash
from shared.primitives.weight import WITNESS_SCALE_FACTOR


def target_hex(bits: int) -> str:
    """Return the target of `bits`, 64 hex digits, most significant first."""
    return f"{bits_to_target(bits):064x}"


def difficulty_json(bits: int) -> Json:
    """Return the difficulty of `bits` as a JSON number."""
    return real(difficulty(bits))


def header_json(node: NodeContext, entry: BlockEntry, tip: Tip) -> dict[str, Json]:
    """Return a header with its place in the chain; confirmations are -1 off the best chain."""
    header = entry.header
    around = node.view.block_hashes(entry.height, 2)
    is_best = bool(around) and around[0] == entry.hash
    shown: dict[str, Json] = {
        "hash": header.hash_hex,
        "confirmations": tip.height - entry.height + 1 if is_best else -1,
        "height": entry.height,
        "version": header.version,
        "versionHex": f"{header.version & 0xFFFFFFFF:08x}",
        "merkleroot": display_hash(header.merkle_root),
        "time": header.time,
        "mediantime": node.median_time_past(entry),
        "nonce": header.nonce,
        "bits": f"{header.bits:08x}",
        "target": target_hex(header.bits),
        "difficulty": difficulty_json(header.bits),
        "chainwork": f"{entry.chain_work:064x}",
        "nTx": entry.tx_count,
    }
    if entry.height > 0:
        shown["previousblockhash"] = display_hash(header.prev_hash)
    if is_best and len(around) == 2:
        shown["nextblockhash"] = display_hash(around[1])
    return shown


def block_json(node: NodeContext, entry: BlockEntry, tip: Tip, level: int) -> dict[str, Json]:
    """Return a block with txids (level 1), transactions (2), or transactions with the coins that they spend (3)."""
    shown = header_json(node, entry, tip)
    shown["strippedsize"] = (entry.weight - entry.size) // (WITNESS_SCALE_FACTOR - 1)
    shown["size"] = entry.size
    shown["weight"] = entry.weight
    shown["tx"] = _txids(node, entry.hash) if level == 1 else _transactions(node, stored_block(node, entry.hash), level)
    return shown


def _txids(node: NodeContext, block_hash: bytes) -> list[str]:
    txids = node.view.blocks.txids(block_hash)
    return [display_hash(txid) for txid in txids] or [tx.txid_hex for tx in stored_block(node, block_hash).transactions]


def raw_block(node: NodeContext, block_hash: bytes) -> bytes:
    """Return the bytes of a block that is in the index; `RpcError` MISC_ERROR if they are not there."""
    raw = node.view.blocks.raw(block_hash)
    if raw is None:
        raise RpcError(RpcCode.MISC_ERROR, "Block not available (not fully downloaded)")
    return raw


def stored_block(node: NodeContext, block_hash: bytes) -> Block:
    """Return a block that is in the index; `RpcError` MISC_ERROR if its data is not there."""
    return Block.parse(raw_block(node, block_hash))


def _transactions(node: NodeContext, block: Block, level: int) -> list[Json]:
    undo = node.view.blocks.undo(block.hash)
    coins: Sequence[Sequence[Coin] | None]
    coins = [None, *undo] if undo is not None else [None] * len(block.transactions)
    prefix = node.params.address
    return [
        tx_json(tx, prefix, spent=spent, with_prevouts=level >= 3)
        for tx, spent in zip(block.transactions, coins, strict=True)
    ]
