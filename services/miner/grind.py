"""The thread that searches: takes the newest job, tries nonces in short slices, publishes the solution.

`offer` is called by the thread that receives templates. Between two slices the grinder looks for a newer job and for
the exit flag, so that it never works for long on a block that is already found.

A job waits before it is searched if it is the turn of other miners, which are expected to find the block at once, or if
it is solved already: when no newer one has come by then, the others are gone, or the claim is lost.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from services.miner.job import OWN_BYTES, Attempt, Job, Work, extranonce
from services.miner.kernels.kernel import NONCES, Kernel
from shared import metrics, trace
from shared.bus.broker import Broker
from shared.bus.events import BlockMined, MinerReport, SolvedBlock
from shared.errors import BrokerError
from shared.logs import with_fields
from shared.process.backoff import backoff
from shared.process.shutdown import ExitFlag

log = logging.getLogger(__name__)

_SLICE_SECONDS = 0.02
_KEEP_SOLUTION = 60.0
"""Seconds for which a solution is offered to a broker that is away."""
_CLAIM_LOST = 5.0
"""Seconds after which a solved template is searched again if no newer one has come: the claim must have been lost."""
_PATIENCE = 1.0
"""Seconds that the miners whose turn it is have for themselves."""
_OFFER_HOLDS = 600.0
"""Seconds for which an offer is worked on. The writer repeats it in less time for as long as it wants a block."""

_HASHES = metrics.counter("miner_hashes", "Headers hashed.")
_BLOCKS = metrics.counter("miner_blocks", "Solutions published.")


class Grinder:
    """Searches for one miner. `run` belongs to a thread of its own; the other methods may be called from any."""

    def __init__(self, broker: Broker, name: str, stop: ExitFlag, kernel: Kernel) -> None:
        self._broker = broker
        self._name = name
        self._stop = stop
        self._own = os.urandom(OWN_BYTES)
        self._attempts = 0
        """Number of attempts since the start, and so of the next one: none is made twice."""
        self._kernel = kernel
        self._rate = kernel.rate
        self._newer = threading.Condition()
        self._job: Job | None = None
        self._start_at = 0.0
        """Time (monotonic) at which the job is to be searched."""
        self._offered_at = 0.0
        self._heard = ""
        """Id of the newest template; empty if there is no work."""
        self._blocks = 0

    def use(self, kernel: Kernel) -> None:
        """Search with another kernel from the next slice on."""
        self._kernel = kernel
        self._rate = kernel.rate

    def offer(self, job: Job) -> None:
        """Make this the job to search, unless it is that already."""
        with self._newer:
            now = self._offered_at = time.monotonic()
            self._heard = job.template_id
            if self._job is not None and self._job.template_id == job.template_id:
                return
            self._job = job
            self._start_at = now if not job.turn or self._name in job.turn else now + _PATIENCE
            self._newer.notify_all()

    def end_work(self) -> None:
        """Stop the search: nobody wants a block."""
        with self._newer:
            self._job = None
            self._heard = ""
            self._newer.notify_all()

    def wake(self) -> None:
        """Let `run` see at once that the exit flag is set."""
        with self._newer:
            self._newer.notify_all()

    def report(self) -> MinerReport:
        """Return what this miner can do and does."""
        with self._newer:
            is_mining = self._job is not None and self._start_at <= time.monotonic()
            state = "stopped" if self._stop.is_set() else "mining" if is_mining else "waiting"
            return MinerReport(
                name=self._name,
                worker=self._own.hex(),
                kernel=self._kernel.name,
                hash_rate=self._rate,
                blocks=self._blocks,
                state=state,
                template_id=self._heard,
            )

    def hashes_per_block(self) -> float:
        """Return the number of hashes that the block under way takes on average; 0 if there is none."""
        job = self._job
        return job.hashes if job is not None else 0.0

    def run(self) -> None:
        """Search until the exit flag is set."""
        while not self._stop.is_set():
            with self._newer:
                job = self._job
                if job is None:
                    self._newer.wait()
                    continue
                pause = self._start_at - time.monotonic()
                if pause > 0:
                    self._newer.wait(pause)
                    continue
            with trace.within(job.traceparent):
                self._grind(job)
                self._drop_unwanted(job)

    def _drop_unwanted(self, job: Job) -> None:
        """Forget a job of which nothing was heard for long: whoever offered it is gone."""
        with self._newer:
            if self._job is job and not self._is_wanted():
                log.info("the template is no longer offered", extra=with_fields(miner=self._name, height=job.height))
                self._job = None
                self._heard = ""

    def _is_wanted(self) -> bool:
        return time.monotonic() - self._offered_at < _OFFER_HOLDS

    def _is_current(self, job: Job) -> bool:
        return self._job is job and not self._stop.is_set()

    def _grind(self, job: Job) -> None:
        """Search one job until it is solved or replaced; every second the header's time moves with the clock."""
        started = time.monotonic()
        shown: tuple[int, int, int] | None = None
        while self._is_current(job) and self._is_wanted():
            attempt = Attempt.at(self._attempts)
            seconds = int(time.monotonic() - started)
            if shown != (attempt.counter, attempt.roll, seconds):
                shown = (attempt.counter, attempt.roll, seconds)
                filling = extranonce(self._name, self._own, attempt.counter, job.extranonce_size)
                work = job.work(filling, attempt.roll, seconds)
            count = max(1, min(int(self._rate * _SLICE_SECONDS), NONCES - attempt.nonce))
            found = self._search_slice(work, attempt.nonce, count)
            self._attempts += count if found is None else found - attempt.nonce + 1
            if found is not None:
                self._submit(job, work, found)
                return

    def _search_slice(self, work: Work, nonce: int, count: int) -> int | None:
        """Search `count` nonces, and note how fast that was, so that a slice lasts about `_SLICE_SECONDS`."""
        kernel, known = self._kernel, self._rate
        before = time.perf_counter()
        found = kernel.search(work.header_76, work.target, nonce, count)
        if found is not None:
            _HASHES.inc(found - nonce + 1)
            return found
        _HASHES.inc(count)
        if kernel is self._kernel:
            # At most twice as fast as before: the clock may have jumped.
            self._rate = min(count / max(time.perf_counter() - before, 1e-6), 2 * known)
        return None

    def _submit(self, job: Job, work: Work, nonce: int) -> None:
        log.info(
            "block found",
            extra=with_fields(miner=self._name, height=work.height, hash=work.hash_hex(nonce), nonce=nonce),
        )
        self._publish(job, work.claim(nonce, self._name, self._solve_next(job, work, nonce)))
        with self._newer:
            if self._job is job:
                self._start_at = time.monotonic() + _CLAIM_LOST

    def _solve_next(self, job: Job, work: Work, nonce: int) -> list[SolvedBlock]:
        """Solve the blocks of the template on top of the one that was found, up to the first that is not easy."""
        solved: list[SolvedBlock] = []
        while self._is_current(job) and (above := job.next_work(work, nonce)) is not None:
            found = self._search_slice(above, 0, max(1, min(int(self._rate * _SLICE_SECONDS), NONCES)))
            if found is None:
                break
            work, nonce = above, found
            solved.append(work.solved(nonce))
        return solved

    def _publish(self, job: Job, claim: BlockMined) -> None:
        """Publish a solution without waiting for the verdict, which the next template shows; drop a stale one."""
        give_up_at = time.monotonic() + _KEEP_SOLUTION
        failures = 0
        while True:
            try:
                self._broker.publish(claim)
            except BrokerError as error:
                log.warning("cannot publish the block", extra=with_fields(miner=self._name, error=error))
            else:
                blocks = 1 + len(claim.next_blocks)
                _BLOCKS.inc(blocks)
                self._blocks += blocks
                return
            with self._newer:
                self._newer.wait_for(lambda: not self._is_current(job), backoff(failures))
            failures += 1
            if not self._is_current(job) or time.monotonic() > give_up_at:
                log.warning("dropped a block that is stale", extra=with_fields(miner=self._name, height=job.height))
                return
