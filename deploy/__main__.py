"""What `./warren` runs, under the machine's own Python or `.venv`'s: a command, with the packages that it needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deploy import cli
from deploy.console import Console
from deploy.setup.environment import ROOT, python_of
from deploy.setup.installation import ensure


def prepare(lock: str) -> None:
    """Go on in `.venv`, which holds what this lock file says; it is made or brought up to date first."""
    ensure(ROOT, lock, Console(sys.stderr))
    python = python_of(ROOT)
    if Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), "-P", "-m", "deploy.cli", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:], prepare=prepare))
