"""Keeps `.venv` in step with a lock file: what `./warren` runs before anything else.

Only the standard library, and no import from this repository: it runs under the machine's own Python. A stamp inside
`.venv` names the lock file and its hash; it is written last, so that an installation that was cut off starts again, and
under a file lock, so that two commands at once install once.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("local", "test")
"""In rising order: what a later one installs includes the earlier ones."""


class EnvironmentProblem(Exception):
    """`.venv` cannot be made; the message says what to do."""


def main(arguments: list[str]) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="environment.py", description="Make .venv what a lock file says.")
    parser.add_argument("lock", choices=LOCKS)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if .venv is not up to date")
    options = parser.parse_args(arguments)
    if options.check:
        return 0 if is_current(ROOT, options.lock) else 1
    try:
        ensure(ROOT, options.lock)
    except EnvironmentProblem as problem:
        print(f"warren: {problem}", file=sys.stderr)
        return 1
    return 0


def ensure(root: Path, lock: str) -> None:
    """Make `.venv` under `root` hold what the lock file says; `EnvironmentProblem` says why it cannot."""
    with _only_one(root / ".cache" / "environment.lock"):
        if is_current(root, lock):
            return  # another command has just done it
        lock = wanted_lock(root, lock)
        if not _runs(_python(root)):
            _create(root)
        _install(root, lock)
        _write_stamp(root, lock)


def is_current(root: Path, lock: str) -> bool:
    """Whether `.venv` holds all of this lock file, as the file is now."""
    installed = _read_stamp(root)
    return installed == stamp(root, wanted_lock(root, lock))


def wanted_lock(root: Path, lock: str) -> str:
    """Return the lock file to install: the one asked for, or the larger one that is installed already."""
    installed = _read_stamp(root).partition(" ")[0]
    return max(lock, installed, key=LOCKS.index) if installed in LOCKS else lock


def stamp(root: Path, lock: str) -> str:
    """Return what identifies an installation: the lock file's name and the SHA-256 of its content."""
    content = (root / "requirements" / f"{lock}.lock").read_bytes()
    return f"{lock} {hashlib.sha256(content).hexdigest()}"


def _python(root: Path) -> Path:
    return root / ".venv" / "bin" / "python"


def _stamp_file(root: Path) -> Path:
    return root / ".venv" / "installed"


def _read_stamp(root: Path) -> str:
    try:
        return _stamp_file(root).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _write_stamp(root: Path, lock: str) -> None:
    new = _stamp_file(root).with_suffix(".new")
    new.write_text(stamp(root, lock) + "\n", encoding="utf-8")
    new.replace(_stamp_file(root))


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _runs(python: Path) -> bool:
    """Whether this Python starts and has pip (its base may have been removed, or an attempt been cut off)."""
    try:
        return subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _create(root: Path) -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise EnvironmentProblem(
            f"{sys.executable} (Python {version}) cannot make virtual environments: it lacks venv or ensurepip.\n"
            f"        On Debian and Ubuntu: apt install python{version}-venv (or python3-venv)"
        )
    print("warren: making .venv", file=sys.stderr)
    shutil.rmtree(root / ".venv", ignore_errors=True)
    _run([sys.executable, "-m", "venv", root / ".venv"], "could not make .venv")


def _install(root: Path, lock: str) -> None:
    name = f"requirements/{lock}.lock"
    print(f"warren: installing {name} into .venv (about a minute, once)", file=sys.stderr)
    command: list[str | Path] = [_python(root), "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
    command += ["--no-input", "--no-deps", "--require-hashes", "-r", root / "requirements" / f"{lock}.lock"]
    _run(command, f"could not install {name}")


def _run(command: list[str | Path], failure: str) -> None:
    """Run a command with its standard output on standard error, which is where progress belongs."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment, check=False)
    if status.returncode:
        raise EnvironmentProblem(f"{failure} (exit status {status.returncode}, see above)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
