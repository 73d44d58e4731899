"""What is done to a stack from outside: stop it, ask how it is, start it in the background.

`running` does the latter two for the length of a `with` block, which is how tests and scripts get a stack.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy import healthcheck, state
from deploy.errors import LaunchError
from deploy.files import make_private_dir
from deploy.local import Stack
from deploy.log_files import LogFollower
from deploy.options import UpOptions
from deploy.plan import ROOT
from deploy.processes import end_leftover, wait_until
from deploy.state import ServiceState, StackState

STOP_SECONDS = 120.0
"""Longer than all services together may take to stop."""
_POLL = 0.05


def find(data_dir: Path) -> StackState:
    """Return the stack that runs on a data directory; `LaunchError` if there is none."""
    found = state.read(data_dir)
    if found is None or not found.launcher.is_alive():
        raise LaunchError(f"no stack runs on {data_dir}")
    return found


def down(data_dir: Path, say: Callable[[str], None]) -> None:
    """Stop the stack of a data directory and return when all of it has ended, also what a killed launcher left."""
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


def status(data_dir: Path, say: Callable[[str], None]) -> bool:
    """Say how each service is; return whether all are ready."""
    found = find(data_dir)
    rows = [(service, _condition(service)) for service in found.services]
    say(f"{'service':<12}{'pid':<9}{'state':<11}url")
    for service, condition in rows:
        say(f"{service.name:<12}{service.process.pid:<9}{condition:<11}{service.url}".rstrip())
    return all(condition in ("ready", "running") for _, condition in rows)


def up_detached(options: UpOptions) -> int:
    """Start a stack that goes on without this process; return when it is ready (0) or has failed (its status)."""
    make_private_dir(options.chain_dir / "logs")
    log = options.chain_dir / "logs" / "launcher.log"
    follower = LogFollower(log)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _become_daemon(log)
        return Stack(options, _print_line).run()
    while True:
        try:
            ended, wait_status = os.waitpid(pid, os.WNOHANG)
            for line in follower.new_lines():
                _print_line(line)
                if line.startswith("ready"):
                    return 0
            if ended:
                return os.waitstatus_to_exitcode(wait_status)
            time.sleep(_POLL)
        except KeyboardInterrupt:
            os.kill(pid, signal.SIGTERM)


@contextmanager
def running(data_dir: Path, *arguments: str, seconds: float = 90.0) -> Iterator[StackState]:
    """Run `./warren up` on a data directory, on free ports unless `arguments` name some, and stop it at the end.

    Yields the stack's state once it is ready. It ends with this process, whatever happens to it. Raises `LaunchError`
    with the launcher's output if it is not ready after `seconds`.
    """
    free_ports = ("--wallet-port", "0", "--explorer-port", "0", "--rpc-port", "0")
    command = [sys.executable, "-m", "deploy.cli", "up", "--data-dir", str(data_dir), *free_ports, *arguments]
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


def _condition(service: ServiceState) -> str:
    if not service.process.is_alive():
        return "down"
    if not service.ready_url:
        return "running"
    return "ready" if healthcheck.answers(service.ready_url) else "not ready"


def _become_daemon(log: Path) -> None:
    """Let go of the terminal: a session of our own, no input, output to the log."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


def _print_line(line: str) -> None:
    print(line, flush=True)
