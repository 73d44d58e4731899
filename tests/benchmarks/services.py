"""Services of a benchmark, as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
