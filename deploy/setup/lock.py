"""Writes requirements/*.lock from pyproject.toml: every version and hash that an installation may use.

Arguments of `./warren lock`, such as `--upgrade` or `--upgrade-package NAME`, go to `uv`. With `--check-wheels` it
writes nothing, and checks that every locked package is ready-made for every machine (`deploy.setup.wheels`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.setup import wheels
from deploy.setup.environment import ROOT

LOCKS: dict[str, tuple[str, ...]] = {
    "runtime": (),
    "telemetry": ("telemetry",),
    "local": ("local",),
    "miner": ("local", "miner"),
    "test": ("local", "miner", "telemetry", "test"),
}
"""The extras of pyproject.toml that each lock file includes."""


def command(uv: str, lock: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line that writes one lock file, for all platforms and with the hash of every file."""
    extras = [word for extra in LOCKS[lock] for word in ("--extra", extra)]
    return [
        *(uv, "pip", "compile", "pyproject.toml", *extras),
        *("--quiet", "--universal", "--generate-hashes", "--no-emit-index-url"),
        *("--custom-compile-command", "./warren lock", "--prerelease=if-necessary-or-explicit"),
        *("-o", f"requirements/{lock}.lock", *arguments),
    ]


def main(arguments: Sequence[str]) -> int:
    """Write all lock files, or check their wheels; return the exit status."""
    uv = str(Path(sys.executable).with_name("uv"))
    if list(arguments) == ["--check-wheels"]:
        return wheels.check(uv, [ROOT / "requirements" / f"{lock}.lock" for lock in LOCKS])
    for lock in LOCKS:
        status = subprocess.run(command(uv, lock, arguments), cwd=ROOT, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
