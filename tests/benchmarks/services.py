"""Services of a benchmark, as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def services(*names: str, **settings: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run services with these settings and no others, quiet but for warnings; stop them in the end."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    environ |= {f"WARREN_{name.upper()}": value for name, value in settings.items()} | {"WARREN_LOG_LEVEL": "WARNING"}
    running = [subprocess.Popen([sys.executable, "-m", f"services.{name}"], env=environ) for name in names]
    try:
        yield running
    finally:
        for service in running:
            service.terminate()
        for service in running:
            service.wait(30)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its descendants that run now; 0 without a process."""
    parents, ticks = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            number, _, rest = stat.read_text().partition(" (")
            fields = rest.rpartition(") ")[2].split()
            parents[int(number)] = int(fields[1])
            ticks[int(number)] = int(fields[11]) + int(fields[12])
    ours = {pid}
    while more := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks.get(process, 0) for process in ours) / os.sysconf("SC_CLK_TCK")
