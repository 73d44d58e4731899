"""The thread that searches: takes the newest job, tries nonces in short slices, publishes the solution.

`offer` is called by the thread that receives templates. Between two slices the grinder looks for a newer job and for
the exit flag, so that it never works for long on a block that is already found.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from services.miner.job import Job, Work, extranonce
from services.miner.kernel import NONCES, search
from shared import metrics, trace
from shared.bus.broker import Broker
from shared.bus.events import BlockMined
from shared.errors import BrokerError
from shared.logs import with_fields
from shared.process.backoff import backoff
from shared.process.shutdown import ExitFlag

log = logging.getLogger(__name__)

_SLICE_SECONDS = 0.02
_FIRST_SLICE = 2_000
_KEEP_SOLUTION = 60.0
"""Seconds for which a solution is offered to a broker that is away."""
_CLAIM_LOST = 5.0
"""Seconds after which a solved template that is still offered is searched again: the claim must have been lost."""

_OFFER_HOLDS = 5.0
"""Seconds for which an offer is worked on. The writer offers work twice a second for as long as it wants it."""

_HASHES = metrics.counter("miner_hashes", "Headers hashed.")
_BLOCKS = metrics.counter("miner_blocks", "Solutions published.")

Search = Callable[[bytes, int, int, int], int | None]


class Grinder:
    """Searches for one miner. `run` belongs to a thread of its own; the other methods may be called from any."""

    def __init__(self, broker: Broker, name: str, stop: ExitFlag, search: Search = search) -> None:
        self._broker = broker
        self._name = name
        self._stop = stop
        self._search = search
        self._own = os.urandom(4)
        self._counter = 0
        self._slice = _FIRST_SLICE
        self._newer = threading.Condition()
        self._job: Job | None = None
        self._solved = ""
        self._solved_at = 0.0
        self._offered_at = 0.0

    def offer(self, job: Job) -> None:
        """Make this the job to search, unless it is under way already or was solved a moment ago."""
        with self._newer:
            self._offered_at = time.monotonic()
            if self._job is not None and self._job.template_id == job.template_id:
                return
            if self._solved == job.template_id and time.monotonic() - self._solved_at < _CLAIM_LOST:
                return
            self._job = job
            self._newer.notify_all()

    def wake(self) -> None:
        """Let `run` see at once that the exit flag is set."""
        with self._newer:
            self._newer.notify_all()

    def run(self) -> None:
        """Search until the exit flag is set."""
        while not self._stop.is_set():
            with self._newer:
                job = self._job
                if job is None:
                    self._newer.wait()
                    continue
            with trace.within(job.traceparent):
                self._grind(job)
                self._drop_unwanted(job)

    def _drop_unwanted(self, job: Job) -> None:
        """Forget a job that is offered no more: another miner found the block, or the request for it has ended."""
        with self._newer:
            if self._job is job and not self._is_wanted():
                log.info("the template is no longer offered", extra=with_fields(miner=self._name, height=job.height))
                self._job = None
                self._counter = (self._counter + 1) % (1 << 32)

    def _is_wanted(self) -> bool:
        return time.monotonic() - self._offered_at < _OFFER_HOLDS

    def _is_current(self, job: Job) -> bool:
        return self._job is job and not self._stop.is_set()

    def _grind(self, job: Job) -> None:
        """Search one job until it is solved or replaced; every second the header's time moves with the clock."""
        started = time.monotonic()
        nonce = NONCES
        seconds = 0
        work: Work | None = None
        while self._is_current(job) and self._is_wanted():
            elapsed = int(time.monotonic() - started)
            if work is None or nonce >= NONCES or elapsed != seconds:
                if nonce >= NONCES:
                    self._counter = (self._counter + 1) % (1 << 32)
                    nonce = 0
                seconds = elapsed
                work = job.work(extranonce(self._name, self._own, self._counter, job.extranonce_size), seconds)
            count = min(self._slice, NONCES - nonce)
            found = self._search_slice(work, nonce, count)
            if found is not None:
                self._submit(job, work, found)
                return
            nonce += count

    def _search_slice(self, work: Work, nonce: int, count: int) -> int | None:
        """Search `count` nonces, and size the next slice to last about `_SLICE_SECONDS`."""
        before = time.perf_counter()
        found = self._search(work.header_76, work.target, nonce, count)
        if found is not None:
            _HASHES.inc(found - nonce + 1)
            return found
        _HASHES.inc(count)
        rate = count / max(time.perf_counter() - before, 1e-6)
        self._slice = max(1, min(int(rate * _SLICE_SECONDS), 2 * self._slice))
        return None

    def _submit(self, job: Job, work: Work, nonce: int) -> None:
        log.info(
            "block found",
            extra=with_fields(miner=self._name, height=work.height, hash=work.hash_hex(nonce), nonce=nonce),
        )
        self._publish(job, work.claim(nonce, self._name))
        with self._newer:
            self._solved, self._solved_at = job.template_id, time.monotonic()
            if self._job is job:
                self._job = None

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
                _BLOCKS.inc()
                return
            with self._newer:
                self._newer.wait_for(lambda: not self._is_current(job), backoff(failures))
            failures += 1
            if not self._is_current(job) or time.monotonic() > give_up_at:
                log.warning("dropped a block that is stale", extra=with_fields(miner=self._name, height=job.height))
                return
