"""`./warren miner`: workers that search for blocks of a chain elsewhere. They need RabbitMQ's address and nothing else.

Each worker is a process of `services.miner`, kept running by the supervisor of `./warren up`; its log is a file. What
the line of progress shows is read from the workers' metrics, once a second.
"""

from __future__ import annotations

import argparse
import http.client
import re
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.console import Console
from deploy.errors import Interrupted
from deploy.launcher.options import child_environment
from deploy.processes import ports
from deploy.processes.signals import Signals
from deploy.processes.supervisor import Spec, Supervisor
from deploy.setup.environment import ROOT
from shared.config import MAX_MINER_NAME, Settings
from shared.servers.url import AMQP_PORTS, parse_server_url

_HOST = "127.0.0.1"
_READY_SECONDS = 30.0
_LOOK = 1.0
_PATIENCE = 2.0
"""Seconds that a worker has to show its metrics."""
_SAMPLE = re.compile(r'warren_miner_(\w+)(?:\{kernel="(\w+)"\})? (\S+)')


@dataclass(slots=True)
class MinerProcess:
    """A worker's metrics as they were seen last."""

    name: str
    port: int
    values: dict[str, float] = field(default_factory=dict)
    kernel: str = ""
    rate: float = 0.0
    """Hashes per second between the last two looks."""
    looked: float = 0.0

    def answers(self) -> bool:
        """Read the metrics; whether the worker runs."""
        try:
            with urllib.request.urlopen(f"http://{_HOST}:{self.port}/metrics", timeout=_PATIENCE) as reply:
                text = reply.read().decode()
        except (OSError, http.client.HTTPException):
            self.values, self.rate = {}, 0.0
            return False
        self.take(text, time.monotonic())
        return True

    def take(self, text: str, now: float) -> None:
        """Take metrics in Prometheus' text format, of the time `now` (monotonic)."""
        before = self.values.get("hashes_total")
        found = [_SAMPLE.fullmatch(line) for line in text.splitlines()]
        samples = [match.groups() for match in found if match]
        self.values = {name: float(value) for name, _, value in samples}
        self.kernel = next((kernel for _, kernel, _ in samples if kernel), "")
        hashes = self.values.get("hashes_total", 0.0)
        self.rate = max(0.0, hashes - before) / (now - self.looked) if before is not None and now > self.looked else 0.0
        self.looked = now


def run(options: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Search until a signal asks to stop; return the exit status. `LaunchError` if a worker does not start."""
    names = worker_names(options.name or settings.miner_name, options.threads)
    found = ports.choose(_HOST, dict.fromkeys(names, 0))
    workers = [MinerProcess(name, found[name]) for name in names]
    logs = Path(options.data_dir).absolute() / "miner" / "logs"
    place = parse_server_url(options.amqp_url, AMQP_PORTS).place
    signals = Signals()
    signals.install()
    supervisor = Supervisor(signals, console.say, lambda: None)
    console.say(f"{len(workers)} {'worker' if len(workers) == 1 else 'workers'} for {place}; logs: {logs}")
    next_look = 0.0

    def show() -> None:
        nonlocal next_look
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + _LOOK
            for worker in workers:
                worker.answers()
            console.passing(progress(workers, place))

    try:
        for worker in workers:
            supervisor.start(_spec(worker, options, logs, child_environment()))
        supervisor.wait_ready(names, _READY_SECONDS)
        supervisor.watch(show)
    except Interrupted:
        return 130
    finally:
        supervisor.stop()
        console.say(f"stopped; {_blocks(workers)}")
    return 0


def worker_names(name: str, count: int) -> list[str]:
    """Return a name for each worker, which fits into a coinbase: the given one, with a number if there are several."""
    if count == 1:
        return [name]
    ends = [f"-{number}" for number in range(1, count + 1)]
    return [f"{name[: MAX_MINER_NAME - len(end)]}{end}" for end in ends]


def progress(workers: Sequence[MinerProcess], place: str) -> str:
    """Return the line: hash rate, expected time of a block, blocks found; or why nothing is searched."""
    kernels = "+".join(sorted({worker.kernel for worker in workers if worker.kernel}))
    start = f"{len(workers)} x {kernels}" if kernels else f"{len(workers)} workers"
    if not any(worker.values.get("connected") for worker in workers):
        return f"{start}: no connection to RabbitMQ at {place} (the log says why)"
    rate = sum(worker.rate for worker in workers)
    hashes = max(worker.values.get("hashes_per_block", 0.0) for worker in workers)
    if not rate or not hashes:
        return f"{start}: waiting for work; {_blocks(workers)}"
    return f"{start}: {_scaled(rate)}H/s; a block in {_duration(hashes / rate)} on average; {_blocks(workers)}"


def _spec(worker: MinerProcess, options: argparse.Namespace, logs: Path, environment: Mapping[str, str]) -> Spec:
    own = {
        "WARREN_BROKER": "rabbitmq",
        "WARREN_AMQP_URL": options.amqp_url,
        "WARREN_MINER_NAME": worker.name,
        "WARREN_KERNEL": options.kernel,
        "WARREN_HOST": _HOST,
        "WARREN_METRICS_PORT": str(worker.port),
    }
    return Spec(
        name=worker.name,
        argv=(sys.executable, "-m", "services.miner"),
        cwd=ROOT,
        environment={**environment, **own},
        log=logs / f"{worker.name}.log",
        stop_rank=0,
        is_ready=worker.answers,
    )


def _blocks(workers: Sequence[MinerProcess]) -> str:
    count = int(sum(worker.values.get("blocks_total", 0.0) for worker in workers))
    return f"{count} {'block' if count == 1 else 'blocks'} found"


def _scaled(rate: float) -> str:
    for unit in ("", "k", "M", "G"):
        if rate < 1000:
            return f"{rate:.3g} {unit}"
        rate /= 1000
    return f"{rate:.3g} T"


def _duration(seconds: float) -> str:
    for length, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
