"""RPC methods about the best chain, its blocks and its coins (rpc/blockchain.cpp, rpc/txoutproof.cpp).

A method that waits for the tip to move holds no thread; none waits longer than `LONGEST_WAIT` seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from services.mempool.rpc.json.block_json import (
    block_json,
    difficulty_json,
    header_json,
    raw_block,
    stored_block,
    target_hex,
)
from services.mempool.rpc.json.tx_json import script_json
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, block_or_tx_hash, btc, expect, hex_bytes, integer, verbosity
from shared.chain.view import Tip
from shared.consensus.partial_merkle import decode_proof, encode_proof
from shared.errors import DecodeError
from shared.primitives.coin import Coin
from shared.primitives.hex import display_hash
from shared.primitives.merkle import merkle_tree
from shared.primitives.transaction import MAX_VOUT, OutPoint
from shared.process.waiting import pause

_CATEGORY = "Blockchain"

LONGEST_WAIT = 600.0
"""Seconds after which a wait without a time limit is answered with the tip as it is."""
_POLL = 0.01
"""Seconds between two looks at the tip, for each call that waits: a hundred look at it together as often as one."""
_SLOWEST_POLL = 1.0


def getblockcount(node: NodeContext) -> int:
    """Return the height of the tip."""
    return node.view.tip().height


def getbestblockhash(node: NodeContext) -> str:
    """Return the hash of the tip."""
    return display_hash(node.view.tip().hash)


def getblockhash(node: NodeContext, height: object) -> str:
    """Return the hash of the best chain's block at a height."""
    block_hash = node.view.block_hash(integer(height))
    if block_hash is None:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Block height out of range")
    return display_hash(block_hash)


def getblockheader(node: NodeContext, hash_hex: str, verbose: bool | None) -> Json:
    """Return a header as hex or as an object."""
    entry = node.block_entry(block_or_tx_hash(hash_hex, "hash"))
    if verbose is False:
        return entry.header.serialize().hex()
    return node.view.at_tip(lambda tip: header_json(node, entry, tip))


def getblock(node: NodeContext, hash_hex: str, level_or_flag: object) -> Json:
    """Return a block as hex or as an object of growing detail."""
    block_hash = block_or_tx_hash(hash_hex, "blockhash")
    level = verbosity(level_or_flag, default=1)
    entry = node.block_entry(block_hash)
    if level <= 0:
        return raw_block(node, block_hash).hex()
    return node.view.at_tip(lambda tip: block_json(node, entry, tip, level))


def getblockchaininfo(node: NodeContext) -> Json:
    """Return the state of the chain."""
    return node.view.at_tip(lambda tip: _chain_info(node, tip))


def _chain_info(node: NodeContext, tip: Tip) -> Json:
    entry = node.block_entry(tip.hash)
    info: dict[str, Json] = {
        "chain": node.params.name,
        "blocks": tip.height,
        "headers": tip.height,
        "bestblockhash": entry.header.hash_hex,
        "bits": f"{entry.header.bits:08x}",
        "target": target_hex(entry.header.bits),
        "difficulty": difficulty_json(entry.header.bits),
        "time": entry.header.time,
        "mediantime": node.median_time_past(entry),
        "verificationprogress": 1,
        "initialblockdownload": False,
        "chainwork": f"{tip.chain_work:064x}",
        "size_on_disk": node.chain_size.at(tip),
        "pruned": False,
    }
    if node.params.signet_challenge:
        info["signet_challenge"] = node.params.signet_challenge.hex()
    info["warnings"] = []
    return info


def getdifficulty(node: NodeContext) -> Json:
    """Return the difficulty of the tip."""
    return difficulty_json(node.block_entry(node.view.tip().hash).header.bits)


def gettxout(node: NodeContext, txid_hex: str, vout: object, include_mempool: bool | None) -> Json:
    """Return a coin, null if it is spent or was never there."""
    outpoint = OutPoint(block_or_tx_hash(txid_hex, "txid"), integer(vout, 0, MAX_VOUT))
    with_pool = include_mempool is not False
    return node.view.at_tip(lambda tip: _coin(node, outpoint, with_pool, tip))


def _coin(node: NodeContext, outpoint: OutPoint, with_pool: bool, tip: Tip) -> Json:
    coin = node.view.txs.coins([outpoint])[0]
    confirmations = tip.height - coin.height + 1 if coin else 0
    if with_pool:
        if coin is None:
            record = node.view.txs.get(outpoint.txid)
            if record is not None and record.pool is not None and outpoint.vout < len(record.tx.outputs):
                coin = Coin(record.tx.outputs[outpoint.vout], tip.height + 1, False)
        if coin is not None and node.view.pool.spends([outpoint])[0] is not None:
            coin = None
    if coin is None:
        return None
    return {
        "bestblock": display_hash(tip.hash),
        "confirmations": confirmations,
        "value": btc(coin.output.value),
        "scriptPubKey": script_json(coin.output.script_pubkey, node.params.address),
        "coinbase": coin.is_coinbase,
    }


async def wait_for(node: NodeContext, is_reached: Callable[[Tip], bool], seconds: float) -> Tip:
    """Return the tip once `is_reached` says so, or as it is after these seconds or when the node stops."""
    deadline = time.monotonic() + seconds
    tip = node.view.tip()
    with node.waiting_for_tip():
        while not is_reached(tip) and not node.stop.is_set() and (left := deadline - time.monotonic()) > 0:
            await pause(min(left, _POLL * len(node.tip_waiters), _SLOWEST_POLL))
            tip = node.view.tip()
    return tip


async def waitfornewblock(node: NodeContext, timeout: object, current_tip_hex: str | None) -> Json:
    """Wait until the tip differs from the one now, or from the one given."""
    seconds = _wait_seconds(timeout)
    known = node.view.tip().hash
    if current_tip_hex is not None:
        known = block_or_tx_hash(current_tip_hex, "current_tip")
    return _tip_json(await wait_for(node, lambda tip: tip.hash != known, seconds))


async def waitforblock(node: NodeContext, block_hash_hex: str, timeout: object) -> Json:
    """Wait until a block is the tip."""
    wanted = block_or_tx_hash(block_hash_hex, "blockhash")
    return _tip_json(await wait_for(node, lambda tip: tip.hash == wanted, _wait_seconds(timeout)))


async def waitforblockheight(node: NodeContext, height: object, timeout: object) -> Json:
    """Wait until the tip has at least a height."""
    wanted = integer(height)
    return _tip_json(await wait_for(node, lambda tip: tip.height >= wanted, _wait_seconds(timeout)))


def _wait_seconds(timeout: object) -> float:
    milliseconds = 0 if timeout is None else integer(timeout)
    if milliseconds < 0:
        raise RpcError(RpcCode.MISC_ERROR, "Negative timeout")
    return min(milliseconds / 1000, LONGEST_WAIT) if milliseconds else LONGEST_WAIT


def _tip_json(tip: Tip) -> Json:
    return {"hash": display_hash(tip.hash), "height": tip.height}


_BLOCK_HASH = Arg("blockhash", Kind.STRING, "The block hash")
_TIMEOUT = Arg("timeout", Kind.NUMBER, f"Milliseconds to wait at most; 0 for {LONGEST_WAIT:.0f} s", "0")


def gettxoutproof(node: NodeContext, txid_hexes: list[object], block_hash_hex: str | None) -> str:
    """Return a proof, in hex, that transactions are in a block."""
    if not txid_hexes:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Parameter 'txids' cannot be empty")
    txids: set[bytes] = set()
    for txid_hex in txid_hexes:
        expect(txid_hex, str)
        txid = block_or_tx_hash(str(txid_hex), "txid")
        if txid in txids:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid parameter, duplicated txid: {txid_hex}")
        txids.add(txid)
    if block_hash_hex is not None:
        block_hash = node.block_entry(block_or_tx_hash(block_hash_hex, "blockhash")).hash
    else:
        location = next(filter(None, node.view.txs.locations(sorted(txids))), None)
        if location is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Transaction not yet in block")
        block_hash = location.block_hash
    block = stored_block(node, block_hash)
    leaves = [tx.txid for tx in block.transactions]
    if not txids.issubset(leaves):
        message = "Not all transactions found in specified or retrieved block"
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message)
    return encode_proof(block.header, merkle_tree(leaves), txids).hex()


def verifytxoutproof(node: NodeContext, proof_hex: str) -> Json:
    """Return the txids that a proof shows to be in a block of the best chain; none if it does not hold."""
    try:
        header, count, proven = decode_proof(hex_bytes(proof_hex, "proof"))
    except DecodeError as error:
        raise RpcError(RpcCode.MISC_ERROR, str(error)) from None
    if not proven:
        return []
    entry = node.view.blocks.entry(header.hash)
    if entry is None or not node.view.is_in_best_chain(entry):
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block not found in chain")
    # A proof for an inner node of the tree would have another number of transactions (CVE-2017-12842).
    return list(map(display_hash, proven)) if count == entry.tx_count else []


METHODS = (
    Method(
        "getbestblockhash",
        _CATEGORY,
        "Returns the hash of the tip of the most-work chain.",
        (),
        getbestblockhash,
        is_short=True,
    ),
    Method(
        "getblock",
        _CATEGORY,
        "Returns a block: hex (verbosity 0), its fields and txids (1), with transactions and fees (2), and with the\n"
        "outputs that these spend (3).",
        (_BLOCK_HASH, Arg("verbosity|verbose", Kind.LEVEL, "0 to 3; true is 1 and false is 0", "1")),
        getblock,
    ),
    Method("getblockchaininfo", _CATEGORY, "Returns the state of the chain.", (), getblockchaininfo),
    Method("getblockcount", _CATEGORY, "Returns the height of the most-work chain.", (), getblockcount, is_short=True),
    Method(
        "getblockhash",
        _CATEGORY,
        "Returns the hash of the most-work chain's block at a height.",
        (Arg("height", Kind.NUMBER, "The height; the genesis block has 0"),),
        getblockhash,
        is_short=True,
    ),
    Method(
        "getblockheader",
        _CATEGORY,
        "Returns a block header, as an object or as hex.",
        (_BLOCK_HASH, Arg("verbose", Kind.BOOL, "true for an object, false for hex", "true")),
        getblockheader,
    ),
    Method("getdifficulty", _CATEGORY, "Returns the proof-of-work difficulty of the tip.", (), getdifficulty),
    Method(
        "gettxout",
        _CATEGORY,
        "Returns details of an unspent transaction output, null if there is none.",
        (
            Arg("txid", Kind.STRING, "The transaction id"),
            Arg("n", Kind.NUMBER, "The number of the output"),
            Arg("include_mempool", Kind.BOOL, "Whether unconfirmed transactions count", "true"),
        ),
        gettxout,
        is_short=True,
    ),
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
    Method(
        "gettxoutproof",
        _CATEGORY,
        "Returns a proof, in hex, that transactions are in a block.",
        (
            Arg("txids", Kind.ARRAY, "The transaction ids"),
            Arg("blockhash", Kind.STRING, "The block in which to look", ""),
        ),
        gettxoutproof,
    ),
    Method(
        "verifytxoutproof",
        _CATEGORY,
        "Returns the txids that a proof shows to be in a block of the best chain, none if the proof does not hold.",
        (Arg("proof", Kind.STRING, "The proof in hex"),),
        verifytxoutproof,
    ),
)
