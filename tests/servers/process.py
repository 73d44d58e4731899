"""Servers that are processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.servers.server import LOG_TAIL, Server


class Process:
    """A child in a session of its own, with its output in a file."""

    def __init__(self, command: list[str], log: Path, cwd: Path, environment: dict[str, str] | None = None) -> None:
        with log.open("ab") as out:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def alive(self) -> bool:
        return self._child.poll() is None

    def signal(self, number: int) -> None:
        """Signal the whole session."""
        os.killpg(self._child.pid, number)

    def stop(self, number: int, seconds: float = 20.0) -> bool:
        """Signal the whole session; kill its remaining processes after `seconds`. Return whether none was left."""
        in_time = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)
            deadline = time.monotonic() + seconds
            while self._child.poll() is None or _group_alive(self._child.pid):
                if time.monotonic() > deadline:
                    in_time = False
                    os.killpg(self._child.pid, signal.SIGKILL)
                time.sleep(0.02)
        self._child.wait()
        return in_time


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class NativeServer(Server):
    """A server of this machine, with its data in a directory of its own."""

    _directory: Path
    _process: Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        assert self._process is not None
        self._process.stop(signal.SIGKILL)

    def stop(self) -> None:
        assert self._process is not None
        if not self._process.stop(signal.SIGTERM, seconds=90):  # its data is that of a crash, which no test asked for
            raise RuntimeError(f"a test server did not stop in order\n{self.log()}")

    def pause(self) -> None:
        """Stop its processes where they are, until `resume`."""
        assert self._process is not None
        self._process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        assert self._process is not None
        self._process.signal(signal.SIGCONT)

    def revive(self) -> None:
        """Resume it, or start it if it was killed."""
        assert self._process is not None
        if self._process.alive():
            self.resume()
        else:
            self.start()

    def log(self) -> str:
        files = sorted(path for path in self._directory.glob("log*/*") if path.is_file())
        texts = (path.read_text(errors="replace") for path in [self._directory / "log", *files] if path.is_file())
        return "\n".join(texts)[-LOG_TAIL:]
