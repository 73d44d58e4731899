"""Control of a stack from outside: stop it, report on it, run one for the length of a `with` block.

Standard library only: `down` and `status` need no installation.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import LaunchError
from deploy.files import make_private_dir
from deploy.processes.process import end_leftover, wait_until
from deploy.setup.environment import ROOT
from deploy.stack import state
from deploy.stack import status as stack_status
from deploy.stack.state import StackState

STOP_SECONDS = 120.0
"""Longer than all services together may take to stop."""


def find(data_dir: Path) -> StackState:
    """Return the running stack of a data directory; `LaunchError` if there is none."""
    found = state.read(data_dir)
    if found is None or not found.launcher.is_alive():
        raise LaunchError(f"no stack runs on {data_dir}")
    return found


def down(data_dir: Path, say: Callable[[str], None]) -> None:
    """Stop the stack of a data directory, or the services that a killed launcher left; return when all have ended."""
    found = state.read(data_dir)
    if found is None:
        raise LaunchError(f"no stack runs on {data_dir}")
    if found.launcher.is_alive():
        found.launcher.signal(signal.SIGTERM)
        if not wait_until(lambda: not found.launcher.is_alive(), STOP_SECONDS):
            raise LaunchError(f"the launcher (pid {found.launcher.pid}) does not stop")
    for service in found.services:
        end_leftover(service.process)
    state.clear(data_dir)
    say("stopped; chain, pool and wallets are kept")


def status(data_dir: Path, say: Callable[[str], None], *, as_json: bool = False) -> bool:
    """Print the report on the stack of a data directory; return whether all of its services are ready."""
    found = stack_status.look(data_dir)
    for line in stack_status.as_json(found) if as_json else stack_status.lines(found):
        say(line)
    return found.state == "ready"


@contextmanager
def running(
    data_dir: Path, *arguments: str, seconds: float = 90.0, program: str = "deploy.cli"
) -> Iterator[StackState]:
    """Run `./warren up` on a data directory, on free ports unless `arguments` name some, and stop it at the end.

    Yields the stack's state once it is ready. The stack ends with this process, however that ends. `program` is the
    module that understands `up`. Raises `LaunchError` with the launcher's output if it is not ready after `seconds`.
    """
    free_ports = ("--wallet-port", "0", "--explorer-port", "0", "--rpc-port", "0")
    command = [sys.executable, "-m", program, "up", "--data-dir", str(data_dir), *free_ports, *arguments]
    make_private_dir(data_dir)
    output = data_dir / "launcher.out"
    with output.open("ab") as file:
        launcher = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        wait_until(lambda: launcher.poll() is not None or _is_ready(data_dir, launcher.pid), seconds)
        if launcher.poll() is not None or not _is_ready(data_dir, launcher.pid):
            raise LaunchError(f"the stack did not start:\n{output.read_text(encoding='utf-8')}")
        yield find(data_dir)
    finally:
        launcher.terminate()
        try:
            launcher.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            launcher.kill()
            launcher.wait()


def _is_ready(data_dir: Path, launcher: int) -> bool:
    found = state.read(data_dir)
    return found is not None and found.launcher.pid == launcher and found.ready
