"""Has blocks mined for the node's RPC, the wallet and the explorer."""

from __future__ import annotations

from shared.bus.broker import Broker
from shared.bus.events import MineRequested, MineResult

MAX_BLOCKS = 1_000
"""Blocks of one request, at the doors where anyone may ask: faucet, wallet page and mine page."""
_MARGIN = 5.0
"""Seconds beyond `mine_timeout`, by which the mempool service replies with the blocks found so far."""


async def mine_blocks(broker: Broker, request: MineRequested, mine_timeout: float) -> MineResult:
    """Return the result of a mining request; if there are fewer blocks than requested, its `error` says why.

    `mine_timeout` is the setting, in seconds. Raises `BrokerError` if no reply comes.
    """
    return await broker.ask(request, mine_timeout + _MARGIN)
