"""Renews the writer's lease on a thread of its own while the writer works."""

from __future__ import annotations

import logging
import threading

from shared.chain.lease import RENEW_EVERY, Lease
from shared.errors import StaleWriter, StoreUnavailable
from shared.service_thread import ServiceThread
from shared.shutdown import ExitFlag

log = logging.getLogger(__name__)


class LeaseKeeper:
    """Holds a lease from `take` to `release`; call `hold` when `lost` is true."""

    def __init__(self, lease: Lease, stop: ExitFlag) -> None:
        self._lease = lease
        self._stop = stop
        self._epoch: int | None = None
        self._lost = threading.Event()
        ServiceThread(self._run, "lease", stop.is_set).start()

    @property
    def lost(self) -> bool:
        """Whether a renewal found the lease gone."""
        return self._lost.is_set()

    def take(self) -> bool:
        """Take the lease if nobody holds it."""
        self._epoch = self._lease.take()
        self._lost.clear()
        return self._epoch is not None

    def hold(self) -> int:
        """Return the epoch to write with: of the lease if this process still holds it, or of a lease taken anew.

        Raises `StaleWriter` if another process holds the lease, `StoreUnavailable` if the holder is unknown.
        """
        if self._epoch is None or not self._lease.renew():
            self._epoch = self._lease.take()
        if self._epoch is None:
            raise StaleWriter("another writer has the lease")
        self._lost.clear()
        return self._epoch

    def release(self) -> None:
        """Release the lease."""
        if self._epoch is None:
            return
        self._epoch = None
        try:
            self._lease.release()
        except StoreUnavailable as error:
            log.warning("the lease was not given back and will run out: %s", error)

    def _run(self) -> None:
        is_told = False
        while not self._stop.wait(RENEW_EVERY):
            if self._epoch is None:
                continue
            try:
                if not self._lease.renew():
                    self._lost.set()
                is_told = False
            except StoreUnavailable as error:
                log.log(logging.DEBUG if is_told else logging.WARNING, "lease not renewed: %s", error)
                is_told = True
