"""RPC methods that make blocks (rpc/mining.cpp)."""

from __future__ import annotations

from msgspec import structs

from services.mempool.mining import template
from services.mempool.mining.select_txs import CHOICE_REFUSED
from services.mempool.rpc.descriptors.parse import single_script
from services.mempool.rpc.json.block_json import difficulty_json, target_hex
from services.mempool.rpc.methods.mining.block_template import HeadersBelow, next_time
from services.mempool.rpc.server.claims import mine, order, submit_block
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import (
    Json,
    block,
    block_or_tx_hash,
    btc,
    expect,
    integer,
    real,
    transaction,
)
from shared.bus.events import ControlAction
from shared.chain.view import Tip
from shared.consensus.block_check import WITNESS_RESERVED_VALUE, witness_commitment
from shared.consensus.limits import MAX_MONEY
from shared.consensus.pow import HASH_RATE_BLOCKS, bits_to_target, hash_rate, next_bits
from shared.consensus.subsidy import block_subsidy
from shared.crypto.address import decode_address
from shared.crypto.hashes import sha256d
from shared.errors import DecodeError
from shared.policy import BLOCK_MIN_FEERATE
from shared.primitives.block import Block, BlockHeader
from shared.primitives.hex import display_hash, parse_hex
from shared.primitives.merkle import root_from_branch
from shared.primitives.transaction import Transaction
from shared.reasons import Reason

_CATEGORY = "Mining"
_OWN_TRIES = 1_000_000
"""Nonces that `generateblock` tries by itself for a block that is not submitted."""


async def generatetoaddress(node: NodeContext, count: object, address: str, max_tries: object) -> list[str]:
    """Mine blocks that pay an address, and return their hashes."""
    blocks = integer(count)
    if max_tries is not None:
        integer(max_tries, 0)  # the miners search until the block is found, or until the time for it is up
    try:
        script = decode_address(address, node.params.address)
    except DecodeError:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Error: Invalid address") from None
    return await _generate(node, blocks, script)


async def generatetodescriptor(node: NodeContext, count: object, descriptor: str, max_tries: object) -> list[str]:
    """Mine blocks that pay a descriptor's script, and return their hashes."""
    blocks = integer(count)
    if max_tries is not None:
        integer(max_tries, 0)
    return await _generate(node, blocks, single_script(descriptor, node.params.address))


async def _generate(node: NodeContext, blocks: int, script: bytes) -> list[str]:
    if blocks <= 0:
        return []
    result = await mine(node, blocks, script)
    if result.error:
        message = f"{result.error} ({len(result.hashes)} of {blocks} blocks are on the chain)"
        raise RpcError(RpcCode.MISC_ERROR, message)
    return list(result.hashes)


async def generateblock(node: NodeContext, output: str, transactions: list[object], submit: bool | None) -> Json:
    """Mine one block with exactly these transactions, given by txid or raw; it collects no fees."""
    script = _payee(node, output)
    raws = [_raw_of(node, item) for item in transactions]
    if submit is not False:
        result = await mine(node, 1, script, tuple(raw.serialize().hex() for raw in raws))
        if result.error:
            is_refusal = result.error.startswith(CHOICE_REFUSED)
            raise RpcError(RpcCode.VERIFY_ERROR if is_refusal else RpcCode.MISC_ERROR, result.error)
        return {"hash": result.hashes[0]}
    found = node.view.at_tip(lambda tip: _solved(node, tip, script, raws))
    found_hex = found.serialize().hex()
    verdict = await submit_block(node, found_hex, found, test_only=True)
    if not verdict.accepted:
        raise RpcError(RpcCode.VERIFY_ERROR, f"{CHOICE_REFUSED}: {verdict.reason}")
    return {"hash": found.hash_hex, "hex": found_hex}


def _payee(node: NodeContext, output: str) -> bytes:
    try:
        return decode_address(output, node.params.address)
    except DecodeError:
        pass  # no address: then it must be a descriptor
    try:
        return single_script(output, node.params.address)
    except RpcError:
        message = "Error: Invalid address or descriptor"
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message) from None


def _raw_of(node: NodeContext, item: object) -> Transaction:
    expect(item, str)
    text = str(item)
    if len(text) == 64:
        record = node.view.txs.get(block_or_tx_hash(text, "txid"))
        if record is None or record.pool is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"Transaction {text} not in mempool.")
        return record.tx
    message = f"Transaction decode failed for {text}. Make sure the tx has at least one input."
    return transaction(text, message)


def _solved(node: NodeContext, tip: Tip, script: bytes, txs: list[Transaction]) -> Block:
    """Return a block with a nonce found in this process, as only chains of low difficulty allow."""
    entry = node.block_entry(tip.hash)
    min_time, now = next_time(node, entry)
    made = template.build(
        job_id="",
        txs=txs,
        reward=block_subsidy(tip.height + 1, node.params),
        script_pubkey=script,
        height=tip.height + 1,
        previous_hash=tip.hash,
        bits=next_bits(HeadersBelow(node), tip.height + 1, now, node.params),
        time=now,
        min_time=min_time,
    )
    work = made.message
    coinbase = bytes.fromhex(work.coinbase_prefix) + bytes(work.extranonce_size) + bytes.fromhex(work.coinbase_suffix)
    root = root_from_branch(sha256d(coinbase), [bytes.fromhex(node_hex) for node_hex in work.merkle_branch], 0)
    target = bits_to_target(work.bits)
    for nonce in range(_OWN_TRIES):
        header = BlockHeader(work.version, tip.hash, root, work.time, work.bits, nonce)
        if int.from_bytes(header.hash, "little") <= target:
            return made.complete(header.serialize(), coinbase)
    raise RpcError(RpcCode.MISC_ERROR, "Failed to make block.")


async def submitheader(node: NodeContext, header_hex: str) -> None:
    """Submit a header ahead of its block."""
    try:
        header = BlockHeader.parse(parse_hex(header_hex, "header"))
    except DecodeError:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, "Block header decode failed") from None
    if node.view.blocks.entry(header.prev_hash) is None:
        message = f"Must submit previous header ({display_hash(header.prev_hash)}) first"
        raise RpcError(RpcCode.VERIFY_ERROR, message)
    await order(node, RpcCode.VERIFY_ERROR, action=ControlAction.SUBMIT_HEADER, header=header_hex)


async def prioritisetransaction(node: NodeContext, txid_hex: str, dummy: object, fee_delta: object) -> bool:
    """Let a transaction count as paying more, or less, when blocks are made."""
    txid = block_or_tx_hash(txid_hex, "txid")
    if dummy is not None and (isinstance(dummy, (bool, str, list, dict)) or dummy != 0):
        message = "Priority is no longer supported, dummy argument to prioritisetransaction must be 0."
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    delta = integer(fee_delta, -MAX_MONEY, MAX_MONEY)
    await order(node, RpcCode.MISC_ERROR, action=ControlAction.PRIORITISE, txid=display_hash(txid), fee_delta=delta)
    return True


def getmininginfo(node: NodeContext) -> Json:
    """Return the difficulty now and for the next block, and the number of transactions that wait."""
    return node.view.at_tip(lambda tip: _mining_info(node, tip))


def _mining_info(node: NodeContext, tip: Tip) -> Json:
    entry = node.block_entry(tip.hash)
    bits = next_bits(HeadersBelow(node), tip.height + 1, next_time(node, entry)[1], node.params)
    shown: dict[str, Json] = {
        "blocks": tip.height,
        "bits": f"{entry.header.bits:08x}",
        "difficulty": difficulty_json(entry.header.bits),
        "target": target_hex(entry.header.bits),
        "networkhashps": real(_hash_rate(node, tip.height, HASH_RATE_BLOCKS)),
        "pooledtx": node.view.pool.stats().count,
        "blockmintxfee": btc(BLOCK_MIN_FEERATE),
        "chain": node.params.name,
    }
    if node.params.signet_challenge:
        shown["signet_challenge"] = node.params.signet_challenge.hex()
    shown["next"] = {
        "height": tip.height + 1,
        "bits": f"{bits:08x}",
        "difficulty": difficulty_json(bits),
        "target": target_hex(bits),
    }
    shown["warnings"] = []
    return shown


def getnetworkhashps(node: NodeContext, count: object, height: object) -> Json:
    """Return the hashes per second that the last blocks up to a height took, estimated from their work."""
    blocks = HASH_RATE_BLOCKS if count is None else integer(count)
    at = -1 if height is None else integer(height)
    if blocks < -1 or blocks == 0:
        message = "Invalid nblocks. Must be a positive number or -1."
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    tip = node.view.tip()
    if not -1 <= at <= tip.height:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Block does not exist at specified height")
    return real(_hash_rate(node, tip.height if at < 0 else at, blocks))


def _hash_rate(node: NodeContext, height: int, blocks: int) -> float:
    """Return hashes per second over `blocks` blocks up to a height; -1 means the blocks of this difficulty period."""
    if height == 0:
        return 0.0
    if blocks == -1:
        blocks = height % node.params.retarget_interval + 1
    hashes = node.view.block_hashes(max(0, height - blocks), min(blocks, height) + 1)
    entries = [entry for entry in node.view.blocks.entries(hashes) if entry is not None]
    return hash_rate(entries[-1].chain_work - entries[0].chain_work, [entry.header.time for entry in entries])


async def submitblock(node: NodeContext, raw_hex: str, dummy: str | None) -> str | None:
    """Submit a block: None if it is valid and the new tip, else BIP22's word for its fault."""
    given = block(raw_hex)
    submitted = _with_reserved_value(node, given)
    reply = await submit_block(node, raw_hex if submitted is given else submitted.serialize().hex(), submitted)
    if reply.reason:
        return reply.reason
    return None if reply.accepted else Reason.REJECTED


def _with_reserved_value(node: NodeContext, submitted: Block) -> Block:
    """Return the block with its coinbase's witness, which miners may leave out though there is a commitment.

    Source: Core's UpdateUncommittedBlockStructures.
    """
    if not submitted.transactions or not submitted.transactions[0].is_coinbase:
        return submitted
    coinbase = submitted.transactions[0]
    parent = node.view.blocks.entry(submitted.header.prev_hash)
    has_segwit = parent is not None and parent.height + 1 >= node.params.segwit_height
    if not has_segwit or coinbase.has_witness or witness_commitment(submitted) is None:
        return submitted
    txin = structs.replace(coinbase.inputs[0], witness=(WITNESS_RESERVED_VALUE,))
    completed = Transaction(coinbase.version, (txin,), coinbase.outputs, coinbase.lock_time)
    return Block(submitted.header, (completed, *submitted.transactions[1:]))


_MAX_TRIES = Arg("maxtries", Kind.NUMBER, "Accepted as bitcoind does; the miners search until they find", "1000000")

METHODS = (
    Method(
        "generateblock",
        _CATEGORY,
        "Mines a block with exactly the transactions given. Its coinbase collects no fees.",
        (
            Arg("output", Kind.STRING, "Address or descriptor that the reward goes to"),
            Arg("transactions", Kind.ARRAY, "Txids of the pool, or raw transactions in hex, parents before children"),
            Arg("submit", Kind.BOOL, "false to return the block in hex and leave the chain alone", "true"),
        ),
        generateblock,
    ),
    Method(
        "generatetodescriptor",
        _CATEGORY,
        "Mines blocks that pay a descriptor, and returns their hashes.",
        (
            Arg("num_blocks", Kind.NUMBER, "How many blocks"),
            Arg("descriptor", Kind.STRING, "Whose script gets the rewards"),
            _MAX_TRIES,
        ),
        generatetodescriptor,
    ),
    Method("getmininginfo", _CATEGORY, "Returns how hard mining is, and what waits.", (), getmininginfo),
    Method(
        "getnetworkhashps",
        _CATEGORY,
        "Returns the estimated hashes per second of the last blocks.",
        (
            Arg("nblocks", Kind.NUMBER, "How many blocks; -1 for those since the last change of difficulty", "120"),
            Arg("height", Kind.NUMBER, "The last block's height; -1 for the tip", "-1"),
        ),
        getnetworkhashps,
    ),
    Method(
        "prioritisetransaction",
        _CATEGORY,
        "Lets a transaction count as paying more or less than it does when blocks are made.",
        (
            Arg("txid", Kind.STRING, "The transaction id"),
            Arg("dummy", Kind.ANY, "0 or null"),
            Arg("fee_delta", Kind.NUMBER, "Satoshis to add, negative to take away"),
        ),
        prioritisetransaction,
    ),
    Method(
        "submitheader",
        _CATEGORY,
        "Submits a block header.",
        (Arg("hexdata", Kind.STRING, "The header in hex"),),
        submitheader,
    ),
    Method(
        "generatetoaddress",
        _CATEGORY,
        "Mines blocks that pay an address, and returns their hashes.",
        (
            Arg("nblocks", Kind.NUMBER, "How many blocks"),
            Arg("address", Kind.STRING, "Where the rewards go"),
            _MAX_TRIES,
        ),
        generatetoaddress,
    ),
    Method(
        "submitblock",
        _CATEGORY,
        "Submits a block. Returns null, or a word of BIP22 for what is wrong with it.",
        (
            Arg("hexdata", Kind.STRING, "The block in hex"),
            Arg("dummy", Kind.STRING, "Ignored, as BIP22 has it", ""),
        ),
        submitblock,
    ),
)
