"""The node as RPC methods see it: the chain to read, the broker to send requests through, the flag that stops it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.mempool.mining.workers import Workers
from services.mempool.rpc.server.chain_size import ChainSize
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Method
from shared.bus.broker import Broker
from shared.chain.codec import BlockEntry
from shared.chain.view import ChainView
from shared.config import Settings
from shared.consensus.block_check import median_time_past
from shared.consensus.limits import MEDIAN_TIME_SPAN
from shared.consensus.params import ChainParams
from shared.process.shutdown import ExitFlag


@dataclass(frozen=True, slots=True)
class NodeContext:
    """One node as its RPC interface sees it."""

    settings: Settings
    params: ChainParams
    view: ChainView
    broker: Broker
    methods: Mapping[str, Method]
    chain_size: ChainSize
    stop: ExitFlag
    """Set it to end the process in order; calls that wait give up when it is set."""
    tip_waiters: set[object] = field(default_factory=set)
    """One for each call that waits for the tip to move."""
    workers: Workers = field(default_factory=Workers)
    """The miners, by their reports."""
    started: float = field(default_factory=time.monotonic)

    def now(self) -> int:
        """Return the node's time in seconds since 1970, or the time at which `setmocktime` stopped its clock."""
        clock = self.view.clock()
        return int(time.time()) if clock is None else clock

    @contextmanager
    def waiting_for_tip(self) -> Iterator[None]:
        """Count a call among `tip_waiters` while it waits."""
        waiter = object()
        self.tip_waiters.add(waiter)
        try:
            yield
        finally:
            self.tip_waiters.discard(waiter)

    def block_entry(self, block_hash: bytes, message: str = "Block not found") -> BlockEntry:
        """Return a block's index entry; `RpcError` INVALID_ADDRESS_OR_KEY with `message` if it is unknown."""
        entry = self.view.blocks.entry(block_hash)
        if entry is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message)
        return entry

    def median_time_past(self, entry: BlockEntry) -> int:
        """Return the median time in seconds of a block and the ten before it, on its own branch (BIP113)."""
        times: list[int] = []
        block: BlockEntry | None = entry
        while block is not None and len(times) < MEDIAN_TIME_SPAN:
            if self.view.is_in_best_chain(block):
                count = min(MEDIAN_TIME_SPAN - len(times), block.height + 1)
                hashes = self.view.block_hashes(block.height - count + 1, count)
                known = [below for below in self.view.blocks.entries(hashes) if below is not None]
                times += [below.header.time for below in reversed(known)]
                break
            times.append(block.header.time)
            block = self.view.blocks.entry(block.header.prev_hash)
        return median_time_past(times[::-1])
