"""The grinding thread: works on the newest job in short slices, and publishes what it finds."""

from __future__ import annotations

import logging
import secrets
import threading
import time

from services.miner.job import SALT_SIZE, Job
from services.miner.kernel import search
from shared.backoff import backoff
from shared.bus.broker import Broker
from shared.bus.events import BlockMined, BlockTemplate
from shared.errors import BrokerError
from shared.logs import with_fields
from shared.shutdown import ExitFlag

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.02
"""How long a slice should take: a newer template waits no longer than this."""
FIRST_SLICE = 256
KEEP_SHARE_SECONDS = 60.0
"""How long a solution is offered again while the broker is away."""


class Grinder:
    """Searches for one template at a time; a newer one takes its place at once."""

    def __init__(self, broker: Broker, name: str, stop: ExitFlag) -> None:
        self._broker = broker
        self._name = name
        self._stop = stop
        self._salt = secrets.token_bytes(SALT_SIZE)
        self._changed = threading.Condition()
        self._job: Job | None = None
        self._solved = ""
        self._thread = threading.Thread(target=self._run, name="grind", daemon=True)

    def start(self) -> None:
        """Start the thread; it waits for work."""
        self._thread.start()

    def work_on(self, template: BlockTemplate) -> None:
        """Make this the work, unless it is already, or is solved. Raises `DecodeError` for a template that is none."""
        with self._changed:
            current = self._job.template.id if self._job is not None else self._solved
            if template.id == current:
                return
            self._job = Job(template, self._name, self._salt)
            self._changed.notify()

    def wake(self) -> None:
        """Let the thread look at the exit flag."""
        with self._changed:
            self._changed.notify()

    def join(self) -> None:
        """Wait until the thread has ended; the exit flag must be set."""
        self._thread.join()

    def _run(self) -> None:
        slice_size = FIRST_SLICE
        while not self._stop.is_set():
            with self._changed:
                job = self._job
                if job is None:
                    self._changed.wait(1.0)
                    continue
            started = time.perf_counter()
            solution = job.advance(search, slice_size, int(time.time()))
            if solution is None:
                # Longer or shorter slices, so that each takes about as long as it should.
                elapsed = max(time.perf_counter() - started, 1e-6)
                slice_size = max(1, min(2 * slice_size, int(slice_size * SLICE_SECONDS / elapsed)))
                continue
            with self._changed:
                self._solved = job.template.id
                if self._job is job:
                    self._job = None
            self._publish(solution, job.template)

    def _publish(self, solution: BlockMined, template: BlockTemplate) -> None:
        """Offer a solution, again and again while the broker is away, until it is sure to be stale."""
        log.info("solution found", extra=with_fields(miner=self._name, height=template.height, template=template.id))
        deadline = time.monotonic() + KEEP_SHARE_SECONDS
        failures = 0
        while not self._stop.is_set():
            try:
                self._broker.publish(solution)
                return
            except BrokerError as error:
                if time.monotonic() > deadline or self._is_overtaken(template):
                    log.warning("solution dropped: %s", error, extra=with_fields(height=template.height))
                    return
                log.warning("solution waits: %s", error, extra=with_fields(height=template.height))
                self._stop.wait(backoff(failures))
                failures += 1

    def _is_overtaken(self, template: BlockTemplate) -> bool:
        with self._changed:
            return self._job is not None and self._job.template.previous_hash != template.previous_hash
