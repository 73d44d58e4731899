"""Entry point of `./warren`: installs the packages of a command where they are missing, then runs it in `.venv`.

It starts under the Python of `.venv`, or under the machine's own while there is none.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deploy import cli
from deploy.console import Console
from deploy.setup.environment import ROOT, python_of
from deploy.setup.installation import ensure


def prepare(lock: str) -> None:
    """Bring `.venv` in step with this lock file, then continue in its Python."""
    ensure(ROOT, lock, Console(sys.stderr))
    python = python_of(ROOT)
    if Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), "-P", "-m", "deploy.cli", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:], prepare=prepare))
