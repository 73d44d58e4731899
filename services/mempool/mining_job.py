"""Mining requests under way. They live in Redis with the chain, so that a new writer goes on where the old one stopped.

A job is stored in the commit that follows its request, and again in the commit of each block found for it: a request is
never mined twice, and its answer never says less than what is on the chain.
"""

from __future__ import annotations

import msgspec

from shared.bus.broker import ReplyAddress
from shared.bus.events import MineResult

KEEP_FINISHED = 600
"""Seconds that a finished job is remembered, so that its request, should it come a second time, is not mined again."""


class MiningJob(msgspec.Struct, frozen=True, kw_only=True):
    """One mining request."""

    id: str
    """Message id of the request."""
    script_pubkey: str
    """Where the rewards go, in hex."""
    remaining: int
    txs: tuple[bytes, ...] | None = None
    """Raw transactions that its one block is to have, and no others; None for the best of the pool."""
    hashes: tuple[str, ...] = ()
    """Blocks found so far, in display order."""
    reply_address: ReplyAddress | None = None
    created: int
    """Seconds since 1970."""
    deadline: int
    """Seconds since 1970; past it the answer is what was found so far."""
    error: str = ""
    answered: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing is left to mine for it."""
        return self.remaining == 0 or bool(self.error)

    def result(self) -> MineResult:
        """Return the answer to the request."""
        return MineResult(hashes=self.hashes, error=self.error)

    def with_block(self, block_hash: str) -> MiningJob:
        """Return the job after one more block."""
        return msgspec.structs.replace(self, remaining=self.remaining - 1, hashes=(*self.hashes, block_hash))


def encode(job: MiningJob) -> bytes:
    """Return a job as MessagePack."""
    return msgspec.msgpack.encode(job)


def decode(data: bytes) -> MiningJob:
    """Inverse of `encode`."""
    return msgspec.msgpack.decode(data, type=MiningJob)
