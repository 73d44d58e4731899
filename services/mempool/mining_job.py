"""Mining requests in progress, stored in Redis with the chain, so that a new writer can continue them.

A job is stored in the commit that follows its request, and again in the commit of each block found for it. So a request
is never mined twice, and its reply has all its blocks that are on the chain.
"""

from __future__ import annotations

import msgspec

from shared.bus.broker import ReplyAddress
from shared.bus.events import MineResult

KEEP_FINISHED = 600
"""Seconds to keep a finished job, so that a redelivered request is not mined again."""


class MiningJob(msgspec.Struct, frozen=True, kw_only=True):
    """One mining request."""

    id: str
    """Message id of the request."""
    script_pubkey: str
    """The script that receives the rewards, in hex."""
    remaining: int
    txs: tuple[bytes, ...] | None = None
    """Raw transactions for its one block, and no others; None to choose the best of the pool."""
    hashes: tuple[str, ...] = ()
    """Blocks found so far, in display order."""
    reply_address: ReplyAddress | None = None
    created: int
    """Seconds since 1970."""
    deadline: int
    """Seconds since 1970 at which the request is answered with the blocks found so far."""
    traceparent: str = ""
    """Of the request, and so of its templates and blocks."""
    error: str = ""
    answered: bool = False

    @property
    def finished(self) -> bool:
        """Whether no block is left to mine."""
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
