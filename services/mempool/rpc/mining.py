"""RPC methods that make blocks (rpc/mining.cpp)."""

from __future__ import annotations

import dataclasses

from services.mempool.rpc.errors import RpcCode, RpcError
from services.mempool.rpc.methods import Arg, Kind, Method
from services.mempool.rpc.node import MINE_MARGIN, REQUEST_TIMEOUT, Node
from services.mempool.rpc.values import BLOCK_DECODE_FAILED, block, integer
from shared.bus.events import BlockMined, BlockVerdict, MineRequested, MineResult
from shared.consensus.block_check import WITNESS_RESERVED_VALUE, witness_commitment
from shared.crypto.address import decode_address
from shared.errors import BrokerUnavailable, DecodeError, RequestFailed
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction
from shared.reasons import Reason

_CATEGORY = "Mining"


def mine(node: Node, count: int, script_pubkey: bytes) -> MineResult:
    """Ask for `count` blocks that pay `script_pubkey` and wait until they are on the chain.

    The result says in `error` why there are fewer. Raises `BrokerError` if no answer comes at all, or if so many
    requests are under way that one more could leave no thread for other calls.
    """
    message = MineRequested(count=count, script_pubkey=script_pubkey.hex())
    if not node.mining_slots.acquire(blocking=False):
        raise BrokerUnavailable("too many mining requests are under way, try again when one of them is done")
    try:
        reply = node.broker.request(message, node.settings.mine_timeout + MINE_MARGIN)
    finally:
        node.mining_slots.release()
    if not isinstance(reply, MineResult):
        raise RequestFailed(f"unexpected reply to mine.requested: {type(reply).__name__}")
    if len(reply.hashes) < count and not reply.error:
        return MineResult(hashes=reply.hashes, error=f"only {len(reply.hashes)} of {count} blocks were mined")
    return reply


def generatetoaddress(node: Node, count: object, address: str, max_tries: object) -> list[str]:
    """Mine blocks that pay an address, and return their hashes."""
    blocks = integer(count)
    if max_tries is not None:
        integer(max_tries, 0)  # the miners search until the block is found, or until the time for it is up
    try:
        script = decode_address(address, node.params.address)
    except DecodeError:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Error: Invalid address") from None
    if blocks <= 0:
        return []
    result = mine(node, blocks, script)
    if result.error:
        message = f"{result.error} ({len(result.hashes)} of {blocks} blocks are on the chain)"
        raise RpcError(RpcCode.MISC_ERROR, message)
    return list(result.hashes)


def submitblock(node: Node, raw_hex: str, dummy: str | None) -> str | None:
    """Submit a block: None if it is valid and the new tip, else the word of BIP22 for what is wrong."""
    submitted = _with_reserved_value(node, block(raw_hex))
    message = BlockMined(block=submitted.serialize().hex())
    reply = node.broker.request(message, REQUEST_TIMEOUT)
    if not isinstance(reply, BlockVerdict):
        raise RequestFailed(f"unexpected reply to block.mined: {type(reply).__name__}")
    if reply.reason == BLOCK_DECODE_FAILED:  # too large to be a block, which only the writer looks at
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, BLOCK_DECODE_FAILED)
    if reply.reason:
        return reply.reason
    return None if reply.accepted else Reason.REJECTED


def _with_reserved_value(node: Node, submitted: Block) -> Block:
    """Return the block with the coinbase's witness, if it has a commitment and lacks that (as miners may leave it out).

    Source: Core's UpdateUncommittedBlockStructures.
    """
    if not submitted.transactions or not submitted.transactions[0].is_coinbase:
        return submitted
    coinbase = submitted.transactions[0]
    parent = node.view.block_entry(submitted.header.prev_hash)
    has_segwit = parent is not None and parent.height + 1 >= node.params.segwit_height
    if not has_segwit or coinbase.has_witness or witness_commitment(submitted) is None:
        return submitted
    txin = dataclasses.replace(coinbase.inputs[0], witness=(WITNESS_RESERVED_VALUE,))
    completed = Transaction(coinbase.version, (txin,), coinbase.outputs, coinbase.lock_time)
    return Block(submitted.header, (completed, *submitted.transactions[1:]))


METHODS = (
    Method(
        "generatetoaddress",
        _CATEGORY,
        "Mines blocks that pay an address, and returns their hashes.",
        (
            Arg("nblocks", Kind.NUMBER, "How many blocks"),
            Arg("address", Kind.STRING, "Where the rewards go"),
            Arg("maxtries", Kind.NUMBER, "Accepted as bitcoind does; the miners search until they find", "1000000"),
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
