"""The thread that reports: every few seconds the bus learns what this miner can do and does.

The mempool service sums the reports up, gives each miner its turn, and repeats a template that a miner has missed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from shared.bus.broker import Broker
from shared.bus.events import MinerReport
from shared.errors import BrokerError
from shared.logs import with_fields
from shared.process.shutdown import ExitFlag

log = logging.getLogger(__name__)

REPORT_SECONDS = 5.0


class Reporter:
    """Publishes `report()` at its start, regularly, and at its end."""

    def __init__(self, broker: Broker, report: Callable[[], MinerReport], stop: ExitFlag) -> None:
        self._broker = broker
        self._report = report
        self._stop = stop
        self._due = threading.Event()
        self._has_heard = False

    def hear(self) -> None:
        """Report at once when work comes for the first time: who gave it may not have heard the report at the start."""
        if not self._has_heard:
            self._has_heard = True
            self._due.set()

    def wake(self) -> None:
        """Let `run` see at once that the exit flag is set."""
        self._due.set()

    def run(self) -> None:
        """Report until the exit flag is set, and once more then."""
        while not self._stop.is_set():
            self._send()
            self._due.wait(REPORT_SECONDS)
            self._due.clear()
        self._send()

    def _send(self) -> None:
        try:
            self._broker.publish(self._report())
        except BrokerError as error:
            log.debug("no report", extra=with_fields(error=error))
