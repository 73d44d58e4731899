"""Runs the nearest tests on changed copies of the tree; the tree itself is only read.

Each job has a copy in a temporary directory, with a Redis and, once it is needed, a RabbitMQ that stay up between
changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tests.mutation.mutant import Mutant
from tests.mutation.nearest import PYTEST, Test, base_environment
from tests.servers import Server, rabbitmq_server, redis_server

TEST_TIMEOUT = 20.0
"""Seconds for any test, in addition to a multiple of its usual time."""
_GRACE = 10.0
"""Seconds in which an interrupted pytest may stop the processes of its tests."""
_SERVERS = (
    ("redis", "WARREN_TEST_REDIS_URL", redis_server),
    ("rabbitmq", "WARREN_TEST_AMQP_URL", rabbitmq_server),
)
_PASSED, _FAILED, _INTERRUPTED = 0, 1, 2
"""Exit statuses of pytest; a change that breaks an import ends it as if interrupted."""


class Outcome(StrEnum):
    """The tests' answer to a change."""

    NOTICED = "noticed"
    UNNOTICED = "unnoticed"
    EQUIVALENT = "changes nothing"
    UNKNOWN = "unknown"
    """pytest ended in a way that says nothing about the change."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A change, the tests that ran on it, and the outcome."""

    mutant: Mutant
    outcome: Outcome
    tests: Sequence[Test] = ()
    seconds: float = 0.0
    remark: str = ""


class Stopped(Exception):
    """The harness ends."""


@dataclass
class Copy:
    """A copy of the tree with its own servers, in which one change at a time is made."""

    source: Path
    stop: threading.Event
    root: Path = field(init=False)
    _servers: dict[str, Server] = field(default_factory=dict)
    _changes: int = 0

    def __enter__(self) -> Copy:
        self.root = Path(tempfile.mkdtemp(prefix="warren-mutation-"))
        try:
            self._fill()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _fill(self) -> None:
        for name in _files(self.source):
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.source / name, target)
        (self.root / ".cache").mkdir()
        for cached in self.source.glob(".cache/core-vectors-*"):
            (self.root / ".cache" / cached.name).symlink_to(cached)

    def __exit__(self, *_: object) -> None:
        self._close_servers()
        shutil.rmtree(self.root, ignore_errors=True)

    def _close_servers(self) -> None:
        for server in self._servers.values():
            with contextlib.suppress(Exception):
                server.close()
        self._servers.clear()

    def _url(self, name: str, make: Callable[[], Server]) -> str:
        if name not in self._servers:
            server = self._servers[name] = make()
            server.start()
        return self._servers[name].url

    @contextlib.contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """Make a change for a while. Its time of change is new, so that no compiled file passes for it."""
        path = self.root / mutant.path
        source = path.read_bytes()
        status = path.stat()
        self._changes += 1
        path.write_bytes(mutant.apply(source))
        os.utime(path, (status.st_mtime + self._changes, int(status.st_mtime) + self._changes))
        try:
            yield
        finally:
            path.write_bytes(source)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def try_change(self, mutant: Mutant, tests: Sequence[Test]) -> Trial:
        """Run tests on a change until one fails."""
        started = time.monotonic()
        if not tests:
            return Trial(mutant, Outcome.UNNOTICED, remark="no test runs this line")
        with self.changed(mutant):
            status, output = self.run(tests)
        seconds = time.monotonic() - started
        if status is None:
            self._close_servers()  # who knows what it left in them
            return Trial(mutant, Outcome.NOTICED, tests, seconds, "it did not end")
        if status in (_FAILED, _INTERRUPTED) or "while loading conftest" in output:
            return Trial(mutant, Outcome.NOTICED, tests, seconds, _first_failure(output))
        if status != _PASSED:
            return Trial(mutant, Outcome.UNKNOWN, tests, seconds, f"pytest ended with {status}: {output[-500:]}")
        return Trial(mutant, Outcome.UNNOTICED, tests, seconds)

    def run(self, tests: Sequence[Test]) -> tuple[int | None, str]:
        """Run tests in this order, up to the first that fails; return pytest's exit status, None if it did not end."""
        environment = base_environment()
        for name, variable, make in _SERVERS:
            if any(name in test.servers for test in tests):
                environment[variable] = self._url(name, make)
        chosen = self.root / ".cache" / "tests"
        timeouts = {test.id: TEST_TIMEOUT + 8 * test.seconds for test in tests}
        chosen.write_text(json.dumps(timeouts), encoding="utf-8")
        environment["MUTATION_TESTS"] = str(chosen)
        files = dict.fromkeys(test.file for test in tests)
        command = [*PYTEST, "-x", *files]
        limit = 60 + 3 * sum(test.seconds for test in tests)
        with (self.root / ".cache" / "output").open("w+b") as output:
            child = subprocess.Popen(
                command,
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            status = self._wait(child, time.monotonic() + limit)
            output.seek(0)
            return status, output.read().decode(errors="replace")

    def _wait(self, child: subprocess.Popen[bytes], deadline: float) -> int | None:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(0.1)
            if self.stop.is_set() or time.monotonic() > deadline:
                _end(child)
                if self.stop.is_set():
                    raise Stopped
                return None


def _files(root: Path) -> list[str]:
    """Return the files that git tracks or would add: no environment, no caches."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout
    return [name for name in listed.decode().split("\0") if name and (root / name).is_file()]


def _end(child: subprocess.Popen[bytes]) -> None:
    """Interrupt pytest, which stops the processes of its tests; after a while kill it with all its children."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE)
        return
    for pid in [*_descendants(child.pid), child.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    child.wait()


def _descendants(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=False).stdout
    parents = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents if parent == ancestor]
    return found[1:]


def _first_failure(output: str) -> str:
    """Return the name of the test that noticed, or of the module that could not be imported."""
    pattern = r"^(?:FAILED|ERROR|ImportError while loading conftest) '?.*?(tests/[^\s']+)"
    found = re.search(pattern, output, re.MULTILINE)
    return found[1] if found else ""
