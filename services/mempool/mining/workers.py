"""The miners that are there, by their reports: whose turn it is to search, and what all of them can do together.

A block of a test chain takes a handful of hashes. If every miner searched for it, all would find one in the same
millisecond, and all solutions but one would be for nothing. So a template for a block that few miners find soon names
these few, each time others (`BlockTemplate.turn`), and one solution is enough. As soon as a block takes all of them
longer than that, nobody is named, and proof of work alone decides.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.bus.events import MinerReport

KEEP_SECONDS = 15.0
"""Time for which a report counts: a miner sends one every five seconds."""
SOON_SECONDS = 0.1
"""Those whose turn it is find a block in this time on average: longer than a solution and a new template travel."""
ARRIVAL_SECONDS = 0.5
"""Time in which a message reaches every miner: a report that comes sooner may have crossed it."""
MAX_TURN = 64
"""The most miners that a template names; if more are needed, all search."""

_STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class HeardReport:
    """A miner's newest report and the time (monotonic) at which it came."""

    report: MinerReport
    time: float


class Workers:
    """The newest report of each miner. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: dict[tuple[str, str], HeardReport] = {}
        self._last_named = ""
        self._told = ""
        self._told_at = math.inf
        self._has_missed = False

    def hear(self, report: MinerReport) -> None:
        """Take a report; a miner that stops is forgotten."""
        key = (report.name, report.worker)
        now = time.monotonic()
        with self._lock:
            if now > self._told_at + ARRIVAL_SECONDS and report.template_id != self._told:
                self._has_missed = True
            if report.state == _STOPPED:
                self._heard.pop(key, None)
            else:
                self._heard[key] = HeardReport(report, now)

    def live(self) -> list[HeardReport]:
        """Return the newest report of each miner that has not fallen silent, by name."""
        with self._lock:
            return self._live()

    def turn(self, hashes: int) -> tuple[str, ...]:
        """Return the names of the miners to search for a block that takes so many hashes; empty for all of them."""
        with self._lock:
            live = self._live()
            names = sorted({heard.report.name for heard in live})
            rate = sum(heard.report.hash_rate for heard in live)
            if not rate:
                return ()
            count = math.ceil(hashes * len(names) / (rate * SOON_SECONDS))
            if count >= len(names) or count > MAX_TURN:
                return ()
            first = bisect_right(names, self._last_named)
            turn = tuple(names[(first + place) % len(names)] for place in range(count))
            self._last_named = turn[-1]
            return turn

    def solved(self, name: str, turn: Collection[str]) -> None:
        """Note who solved a template; those whose turn it was have no more turns until they report again."""
        if not turn or name in turn:
            return
        with self._lock:
            for key in [key for key in self._heard if key[0] in turn]:
                del self._heard[key]

    def told(self, template_id: str) -> None:
        """Note what all miners were told a moment ago: a template, or with an empty id that there is no work."""
        with self._lock:
            self._told, self._told_at, self._has_missed = template_id, time.monotonic(), False

    def has_missed(self) -> bool:
        """Whether a miner has reported that it does not know what all were told."""
        with self._lock:
            return self._has_missed

    def _live(self) -> list[HeardReport]:
        oldest = time.monotonic() - KEEP_SECONDS
        self._heard = {key: heard for key, heard in sorted(self._heard.items()) if heard.time >= oldest}
        return list(self._heard.values())


class WorkersCollector(Collector):
    """The sums over all miners, for Prometheus."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def describe(self) -> list[Metric]:
        """Return no names: they depend on nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        reports = [heard.report for heard in self._workers.live()]
        states = GaugeMetricFamily("warren_miners", "Miners that report, by what they do.", labels=("state",))
        for state in ("mining", "waiting"):
            states.add_metric([state], sum(report.state == state for report in reports))
        yield states
        rate = sum(report.hash_rate for report in reports if report.state == "mining")
        yield GaugeMetricFamily("warren_miners_hash_rate", "Hashes per second of all miners that search.", value=rate)
        blocks = sum(report.blocks for report in reports)
        yield GaugeMetricFamily(
            "warren_miners_blocks", "Blocks that these miners found since their start.", value=blocks
        )
