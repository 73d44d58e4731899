"""Renews the writer's lease on a thread of its own while the writer works."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from shared.chain.lease import RENEW_EVERY, TIME_LIMIT, Lease
from shared.errors import CommitConflict, StaleWriter, StoreUnavailable
from shared.process.shutdown import ExitFlag
from shared.process.thread import ServiceThread

log = logging.getLogger(__name__)

T = TypeVar("T", bool, int | None)


class LeaseKeeper:
    """Holds a lease from `take` to `release`; call `hold` when `lost` is true."""

    def __init__(self, lease: Lease, stop: ExitFlag) -> None:
        self._lease = lease
        self._stop = stop
        self._epoch: int | None = None
        self._runs_out = 0.0
        """Time (monotonic) from which another process may hold the lease."""
        self._lost = threading.Event()
        ServiceThread(self._run, "lease", stop.is_set).start()

    @property
    def lost(self) -> bool:
        """Whether a renewal found the lease gone."""
        return self._lost.is_set()

    def take(self) -> bool:
        """Take the lease if nobody holds it."""
        self._epoch = self._timed(self._lease.take)
        self._lost.clear()
        return self._epoch is not None

    def hold(self) -> int:
        """Return the epoch to write with: of the lease if this process still holds it, or of a lease taken anew.

        Raises `StaleWriter` if another process holds the lease, or may hold it since it ran out while Redis was away;
        `StoreUnavailable` if Redis is away for a shorter time.
        """
        try:
            if self._epoch is None or not self._timed(self._lease.renew):
                self._epoch = self._timed(self._lease.take)
        except StoreUnavailable as error:
            if time.monotonic() < self._runs_out:
                raise
            raise StaleWriter(f"the lease has run out: {error}") from None
        if self._epoch is None:
            raise StaleWriter("another writer has the lease")
        self._lost.clear()
        return self._epoch

    def check(self) -> None:
        """Raise `CommitConflict` if the lease has run out since the last renewal, as this process's clock says."""
        if time.monotonic() >= self._runs_out:
            raise CommitConflict("the lease has run out: another writer may have moved the chain")

    def release(self) -> None:
        """Release the lease."""
        if self._epoch is None:
            return
        self._epoch = None
        try:
            self._lease.release()
        except StoreUnavailable as error:
            log.warning("the lease was not given back and will run out: %s", error)

    def _timed(self, action: Callable[[], T]) -> T:
        """Take or renew the lease; its time counts from before the command, whose answer may be late."""
        began = time.monotonic()
        result = action()
        if result:
            self._runs_out = began + TIME_LIMIT
        return result

    def _run(self) -> None:
        is_told = False
        while not self._stop.wait(RENEW_EVERY):
            if self._epoch is None:
                continue
            try:
                if not self._timed(self._lease.renew):
                    self._lost.set()
                is_told = False
            except StoreUnavailable as error:
                log.log(logging.DEBUG if is_told else logging.WARNING, "lease not renewed: %s", error)
                is_told = True
