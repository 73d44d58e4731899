"""Has blocks mined for the node's RPC, the wallet and the explorer; a request holds a thread until its reply."""

from __future__ import annotations

import threading

from shared.bus.broker import Broker
from shared.bus.events import MineRequested, MineResult
from shared.errors import BrokerUnavailable

MAX_BLOCKS = 1_000
"""Blocks of one request, at the doors where anyone may ask: faucet, wallet page and mine page."""
_MARGIN = 5.0
"""Seconds beyond `mine_timeout`, by which the mempool service replies with the blocks found so far."""


class TooManyWaiting(BrokerUnavailable):
    """As many requests wait for blocks as may hold a thread for that."""


def mine(broker: Broker, slots: threading.Semaphore, request: MineRequested, mine_timeout: float) -> MineResult:
    """Return the result of a mining request; if there are fewer blocks than requested, its `error` says why.

    `slots` bounds the requests that wait at once, and `mine_timeout` is the setting, in seconds. Raises
    `TooManyWaiting`, or another `BrokerError` if no reply comes.
    """
    if not slots.acquire(blocking=False):
        raise TooManyWaiting("too many mining requests are under way, try again when one of them is done")
    try:
        return broker.request(request, mine_timeout + _MARGIN)
    finally:
        slots.release()
