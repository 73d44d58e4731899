"""The thread that reports: every few seconds the bus learns what this miner can do and does.

The mempool service sums the reports up, gives each miner its turn, and repeats a template that a miner has missed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.miner.grind import Grinder
from shared.bus.broker import Broker
from shared.bus.events import MinerReport
from shared.errors import BrokerError
from shared.logs import with_fields
from shared.process.shutdown import ExitFlag

log = logging.getLogger(__name__)

REPORT_SECONDS = 5.0


class MinerCollector(Collector):
    """What a miner can do and does, for Prometheus and for `./warren miner`."""

    def __init__(self, grinder: Grinder, broker: Broker) -> None:
        self._grinder = grinder
        self._broker = broker

    def describe(self) -> list[Metric]:
        """Return no names: a registration needs none."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        report = self._grinder.report()
        rate = GaugeMetricFamily("warren_miner_rate", "Hashes per second while it searches.", labels=("kernel",))
        rate.add_metric([report.kernel], report.hash_rate)
        yield rate
        about = "Hashes that the block under way takes on average; 0 without work."
        yield GaugeMetricFamily("warren_miner_hashes_per_block", about, value=self._grinder.hashes_per_block())
        connected = self._broker.is_connected()
        yield GaugeMetricFamily("warren_miner_connected", "Whether the broker can be used.", value=connected)


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
