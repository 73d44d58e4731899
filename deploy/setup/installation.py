"""Brings `.venv` in step with a lock file; prints each step, and pip's last words if one fails.

Imports only the standard library: it runs under the machine's own Python. The stamp is written last, so that an
interrupted installation starts again. A file lock makes two commands at once install once.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.console import Console
from deploy.errors import LaunchError
from deploy.setup import environment

_QUOTED_LINES = 5
_COLLECTING = re.compile(r"(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)")
_LITTLE_SPACE = 20_000_000
"""Bytes: less than pip alone takes."""
_NO_SPACE = "no space is left on the disk"
_REASONS = {
    r"No space left on device|Disk quota exceeded": _NO_SPACE,
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Network is unreachable": (
        "the package index cannot be reached (network, proxy)"
    ),
    r"DO NOT MATCH THE HASHES": "a package is not the one that the lock file names",
    r"No matching distribution|is not a supported wheel": "a package has no build for this Python and machine",
    r"Permission denied": "permission denied",
}
"""Patterns of pip's output and the reason that each stands for, in the order of search."""


def ensure(root: Path, lock: str, console: Console) -> None:
    """Install the packages of the lock file in `.venv` under `root`; `LaunchError` gives the cause of a failure."""
    if environment.is_current(root, lock):
        return
    with _only_one(root / ".cache" / "environment.lock"):
        if environment.is_current(root, lock):
            return  # another command has just done it
        lock = environment.wanted_lock(root, lock)
        python = environment.python_of(root)
        if not _runs(python):
            _create(root / ".venv", console)
        _install(python, root / "requirements" / f"{lock}.lock", console)
        _write_stamp(root, lock)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write_stamp(root: Path, lock: str) -> None:
    path = environment.stamp_file(root)
    new = path.with_suffix(".new")
    new.write_text(environment.stamp(root, lock) + "\n", encoding="utf-8")
    new.replace(path)


def _runs(python: Path) -> bool:
    """Whether this Python starts and has pip; its base may be gone, or an earlier attempt was interrupted."""
    try:
        return subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _create(directory: Path, console: Console) -> None:
    """Make a virtual environment of the machine's Python; replace the one that is there."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise LaunchError(
            f"{sys.executable} (Python {version}) cannot make virtual environments: it lacks venv or ensurepip "
            f"(on Debian and Ubuntu: apt install python{version}-venv, or python3-venv)"
        )
    console.say(f"first start: making {directory}")
    base = getattr(sys, "_base_executable", sys.executable)  # this Python may be the one that is replaced
    shutil.rmtree(directory, ignore_errors=True)
    _run(
        [base, "-m", "venv", str(directory)],
        f"could not make {directory}",
        lambda _line: console.waiting(f"making {directory}"),
    )


def _install(python: Path, lock: Path, console: Console) -> None:
    """Install the packages of a lock file."""
    name = f"{lock.parent.name}/{lock.name}"
    console.say(f"installing what {name} names (about a minute, once)")
    collected: list[str] = []

    def show(line: str) -> None:
        if match := _COLLECTING.match(line):
            collected.append(match[1])
            console.waiting(f"fetching package {len(collected)}, {match[1]}")
        elif line.startswith("Installing collected packages"):
            console.say(f"unpacking {line.count(',') + 1} packages")
        elif line.startswith("WARNING: Retrying"):
            console.waiting("the package index does not answer; trying again")

    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar=off"]
    _run([*command, "--no-deps", "--require-hashes", "-r", str(lock)], f"could not install {name}", show)


def _run(command: Sequence[str], failure: str, show: Callable[[str], None]) -> None:
    """Run a command and pass each line of its output to `show`; `LaunchError` quotes the last lines."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    said: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            said.append(line.rstrip())
            show(line)
    if process.returncode:
        raise LaunchError(
            f"{failure}: {_reason(said, process.returncode)}; {Path(command[0]).name} said:\n{_end(said)}"
        )


def _reason(said: Sequence[str], status: int) -> str:
    text = "\n".join(said)
    for pattern, reason in _REASONS.items():
        if re.search(pattern, text):
            return reason
    if shutil.disk_usage(environment.ROOT).free < _LITTLE_SPACE:  # venv keeps to itself what went wrong in it
        return _NO_SPACE
    return f"exit status {status}"


def _end(said: Sequence[str]) -> str:
    """Return the lines of a program's output that are marked as errors, or else its last lines."""
    errors = [line for line in said if line.lstrip().startswith(("ERROR", "error:", "Error:"))]
    return "\n".join(f"    {line}" for line in (errors or [line for line in said if line])[-_QUOTED_LINES:])
