"""Mining requests in progress, stored in Redis with the chain, so that a new writer can continue them.

A job is stored in the commit that follows its request, and again in the commit of each block found for it. So a request
is never mined twice, and its reply has all its blocks that are on the chain.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

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

    def with_blocks(self, block_hashes: Iterable[str]) -> list[MiningJob]:
        """Return the job after each of some more blocks."""
        return list(accumulate(block_hashes, MiningJob.with_block, initial=self))[1:]


class Jobs(Mapping[str, MiningJob]):
    """All requests by id. Those that still need work are kept apart: the writer looks for it after every batch.

    There may be thousands of answered ones, which are kept for `KEEP_FINISHED` seconds.
    """

    def __init__(self, jobs: Iterable[MiningJob] = ()) -> None:
        self._jobs: dict[str, MiningJob] = {}
        self._open: dict[str, MiningJob] = {}
        """Not finished, oldest first."""
        self._unanswered: dict[str, MiningJob] = {}
        """Finished, but not answered yet."""
        self._answered: list[tuple[int, str]] = []
        """A heap of the deadlines and ids of answered jobs."""
        for job in sorted(jobs, key=lambda job: job.created):
            self.put(job)

    def __getitem__(self, job_id: str) -> MiningJob:
        return self._jobs[job_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: MiningJob) -> None:
        """Add a job, or its next state."""
        self._jobs[job.id] = job
        if not job.finished:
            self._open[job.id] = job
            return
        self._open.pop(job.id, None)
        if not job.answered:
            self._unanswered[job.id] = job
            return
        self._unanswered.pop(job.id, None)
        heapq.heappush(self._answered, (job.deadline, job.id))

    def oldest_open(self) -> MiningJob | None:
        """Return the job whose turn it is."""
        return next(iter(self._open.values()), None)

    def overdue(self, now: int) -> list[MiningJob]:
        """Return the open jobs whose deadline is over."""
        return [job for job in self._open.values() if now > job.deadline]

    def unanswered(self) -> list[MiningJob]:
        """Return the finished jobs that were not answered yet."""
        return list(self._unanswered.values())

    def take_old(self, now: int) -> list[str]:
        """Remove the answered jobs that were kept long enough, and return their ids."""
        old = []
        while self._answered and self._answered[0][0] < now - KEEP_FINISHED:
            _, job_id = heapq.heappop(self._answered)
            del self._jobs[job_id]
            old.append(job_id)
        return old


def encode(job: MiningJob) -> bytes:
    """Return a job as MessagePack."""
    return msgspec.msgpack.encode(job)


def decode(data: bytes) -> MiningJob:
    """Inverse of `encode`."""
    return msgspec.msgpack.decode(data, type=MiningJob)
