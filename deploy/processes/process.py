"""Processes of the launcher: identified for good, tied to their parent, ended with all their children."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.files import make_private_dir

LEFTOVER_GRACE = 5.0
"""Seconds to stop for a process whose launcher was killed; on Linux it got SIGTERM at that moment."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, by pid and start: a pid may be used again, but not with the same start."""

    pid: int
    start: str

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return bool(self.start) and start_of(self.pid) == self.start

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process still runs."""
        if self.is_alive():
            _send(os.kill, self.pid, number)


def identify(pid: int) -> Identity:
    """Return the identity of a running process."""
    return Identity(pid, start_of(pid))


def start_of(pid: int) -> str:
    """Return the start of a process as text to compare; empty if there is no such process, or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return "" if sys.platform == "linux" else _start_by_ps(pid)
    fields = stat.rpartition(")")[2].split()  # the name before it may contain anything
    state, threads, start = fields[0], int(fields[17]), fields[19]
    # While other threads of a zombie still run, so do its sockets and files.
    has_ended = state in "ZX" and threads <= 1
    return "" if has_ended else f"{boot}:{start}"


def _start_by_ps(pid: int) -> str:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def spawn(argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process with its output in `log`, in a group of its own, so that only the launcher gets Ctrl-C.

    On Linux it gets SIGTERM when the launcher's main thread ends for any reason. Call from the main thread only.
    """
    make_private_dir(log.parent)  # somebody may have removed it
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_tie_to_parent(os.getpid()),
        )


def _tie_to_parent(parent: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: after the fork as little as possible should happen

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the call above
            os._exit(1)

    return tie


def end_all(processes: Sequence[subprocess.Popen[bytes]], grace: float, hurry: Callable[[], bool]) -> list[int]:
    """Ask all to stop and wait for them; kill what still runs after `grace` seconds, or once `hurry()`.

    Their groups are killed in the end, so that no child is left. Return the pids that had to be killed.
    """
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.terminate()
    wait_until(lambda: hurry() or all(process.poll() is not None for process in running), grace)
    killed = [process.pid for process in running if process.poll() is None]
    for process in running:
        kill_group(process.pid)
        process.wait()
    return killed


def end_leftover(identity: Identity) -> None:
    """End a process whose launcher was killed, and the rest of its process group."""
    if not identity.is_alive():
        return
    identity.signal(signal.SIGTERM)
    wait_until(lambda: not identity.is_alive(), LEFTOVER_GRACE)
    kill_group(identity.pid)
    wait_until(lambda: not identity.is_alive(), LEFTOVER_GRACE)


def kill_group(pid: int) -> None:
    """Kill the rest of the process group that this process leads or has just led."""
    _send(os.killpg, pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition until it holds (True) or the time is over (False)."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _send(how: Callable[[int, int], None], pid: int, number: signal.Signals) -> None:
    try:
        how(pid, number)
    except ProcessLookupError:
        return  # it has ended on its own
