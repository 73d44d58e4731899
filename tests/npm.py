"""Packages of npm that tests need: exactly those that a package-lock.json pins."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SECONDS = 180


def installed(source: Path, folder: Path) -> Path:
    """Copy `source` to `folder` and install the packages there; skip, or fail in CI, where that is impossible."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            _give_up(f"{program} is not installed")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        _give_up(f"npm cannot install the packages: {done.stderr[-2000:]}")
    return folder


def _give_up(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
