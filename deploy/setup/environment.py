"""Tells whether `.venv` is in step with a lock file: `environment.py LOCK` then exits with 0. Changes nothing.

Imports only the standard library and nothing of this repository: `./warren` runs this file first. A stamp in `.venv`,
which deploy/setup/installation.py writes last, has the name and hash of the installed lock file.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("local", "miner", "test")
"""In rising order: each lock file includes the packages of those before it."""


def is_current(root: Path, lock: str) -> bool:
    """Whether `.venv` has all packages of the present lock file."""
    installed = _read_stamp(root)
    return installed == stamp(root, wanted_lock(root, lock))


def wanted_lock(root: Path, lock: str) -> str:
    """Return the lock file to install: the given one, or a larger one that is installed already."""
    installed = _read_stamp(root).partition(" ")[0]
    return max(lock, installed, key=LOCKS.index) if installed in LOCKS else lock


def stamp(root: Path, lock: str) -> str:
    """Return the stamp of an installation: the lock file's name and the SHA-256 of its content."""
    content = (root / "requirements" / f"{lock}.lock").read_bytes()
    return f"{lock} {hashlib.sha256(content).hexdigest()}"


def python_of(root: Path) -> Path:
    """Return the Python of `.venv`."""
    return root / ".venv" / "bin" / "python"


def stamp_file(root: Path) -> Path:
    """Return the path of the stamp of the last complete installation."""
    return root / ".venv" / "installed"


def _read_stamp(root: Path) -> str:
    try:
        return stamp_file(root).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(0 if is_current(ROOT, sys.argv[1]) else 1)
