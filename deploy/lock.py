"""Writes requirements/*.lock again, from pyproject.toml: every version and hash that an installation may use.

`./warren lock` needs `uv` on PATH or in .venv; arguments such as `--upgrade` or `--upgrade-package NAME` go to it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS: dict[str, tuple[str, ...]] = {"runtime": (), "local": ("local",), "test": ("local", "test")}
"""Lock file and the extras of pyproject.toml that it has."""


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
    """Write all lock files; return the exit status."""
    beside_python = Path(sys.executable).with_name("uv")
    uv = str(beside_python) if beside_python.exists() else shutil.which("uv")
    if uv is None:
        print("warren: `warren lock` needs uv: .venv/bin/python -m pip install uv", file=sys.stderr)
        return 1
    for lock in LOCKS:
        status = subprocess.run(command(uv, lock, arguments), cwd=ROOT, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
