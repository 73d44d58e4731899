"""Asks the writer for changes over the bus: transactions and blocks to take or test, blocks to mine, orders.

Every change of the chain or the pool through RPC is requested here, so each kind of request has one time limit and one
reading of its reply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.values import BLOCK_DECODE_FAILED
from shared.bus.events import (
    BlockMined,
    BlockVerdict,
    ChainControl,
    MineRequested,
    MineResult,
    TemplateRequested,
    TxSubmitted,
    TxVerdicts,
    WorkTemplate,
)
from shared.bus.mine import mine_blocks
from shared.primitives.block import Block

REQUEST_TIMEOUT = 30.0
"""Seconds that a verdict on transactions or a block may take."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A submission that a batch publishes together with its neighbours, and the reading of its reply.

    `conclude` returns the result of the call or raises its `RpcError`.
    """

    message: TxSubmitted
    conclude: Callable[[TxVerdicts], object]


async def order(node: NodeContext, refusal: RpcCode, **fields: Any) -> None:
    """Send the writer a `ChainControl` of these fields and wait for its commit; `RpcError` `refusal` if it refuses."""
    reply = await node.broker.ask(ChainControl(**fields), REQUEST_TIMEOUT)
    if not reply.done:
        raise RpcError(refusal, reply.refusal)


async def mine(node: NodeContext, count: int, script_pubkey: bytes, txs: tuple[str, ...] | None = None) -> MineResult:
    """Have `count` blocks mined that pay `script_pubkey`, or one with just these `txs`, and wait for them.

    `error` of the result says why there are fewer. Raises `BrokerError` if no reply comes at all.
    """
    request = MineRequested(count=count, script_pubkey=script_pubkey.hex(), txs=txs)
    return await mine_blocks(node.broker, request, node.settings.mine_timeout)


async def work_template(node: NodeContext) -> WorkTemplate:
    """Return the template of the next block; the writer, which keeps the pool in the order of mining, makes it."""
    return await node.broker.ask(TemplateRequested(), REQUEST_TIMEOUT)


async def submit_transactions(node: NodeContext, submission: TxSubmitted) -> TxVerdicts:
    """Return the writer's verdicts, one for each transaction."""
    return await node.broker.ask(submission, REQUEST_TIMEOUT)


async def submit_block(node: NodeContext, raw_hex: str, block: Block, *, test_only: bool = False) -> BlockVerdict:
    """Return the writer's verdict on a block, given raw and parsed; `test_only` checks it on the tip, its work apart.

    Raises `RpcError` DESERIALIZATION_ERROR for a block too large to be decoded, which the writer alone finds.
    """
    message = BlockMined(block=raw_hex, test_only=test_only).with_parsed(block)
    reply = await node.broker.ask(message, REQUEST_TIMEOUT)
    if reply.reason == BLOCK_DECODE_FAILED:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, BLOCK_DECODE_FAILED)
    return reply
