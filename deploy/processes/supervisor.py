"""Keeps a set of processes running: starts them, waits until they are ready, restarts dead ones, stops all in order.

It works on the main thread only, in short steps between waits for a signal, because the processes are tied to the
thread that started them.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.errors import Interrupted, LaunchError
from deploy.files import explain, has_space
from deploy.processes.log_files import LogFollower, last_line, last_lines
from deploy.processes.process import Identity, end_all, identify, kill_group, spawn
from deploy.processes.signals import Signals
from shared.process.backoff import backoff

STOP_GRACE = 20.0
"""Seconds that a service has to stop."""
STABLE_AFTER = 30.0
"""Seconds after which a restarted process no longer counts as failing repeatedly."""
_POLL = 0.05
_CHECK_LOGS = 0.5
_QUOTED_LINES = 15
_LAST_WORDS = re.compile(r"(?:mempool|miner|wallet|explorer): (.+)")
"""The line in which a service gives its reason to exit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A process to run. Lower `stop_rank`s stop earlier, processes of one rank together."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    stop_rank: int
    is_ready: Callable[[], bool] = field(default=lambda: True, repr=False)
    url: str = ""
    ready_url: str = ""


class Child:
    """A process that should be running, with its restarts and failures."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.follower = LogFollower(spec.log)
        self.failures = 0
        self.restart_at: float | None = None
        self.start()

    def start(self) -> None:
        """Start the process (again)."""
        spec = self.spec
        self.process: subprocess.Popen[bytes] = spawn(
            spec.argv, cwd=spec.cwd, environment=spec.environment, log=spec.log
        )
        self.identity: Identity = identify(self.process.pid)
        self.started_at = time.monotonic()
        self.started = time.time()
        self.restart_at = None

    def how_it_ended(self) -> str:
        """Return its exit status or signal in words."""
        status = self.process.returncode
        return f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"


Progress = Callable[[Sequence[Child], Sequence[Child]], None]


class Supervisor:
    """Runs the processes of one stack."""

    def __init__(self, signals: Signals, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        """Give lines for people to `say`, and call `changed` after each start of a process."""
        self._signals = signals
        self._say = say
        self._changed = changed
        self._next_log_check = 0.0
        self._is_saved = True
        """Whether `changed` has returned since the last start of a process."""
        self._log_errors: list[OSError] = []
        self._complaints: list[str] = []
        self.children: list[Child] = []

    def start(self, spec: Spec) -> None:
        """Start a process and keep it running from now on."""
        try:
            self.children.append(Child(spec))
        except OSError as error:
            raise LaunchError(f"cannot start {spec.name}: {error}") from None
        self._changed()

    def wait_ready(
        self, names: Iterable[str], seconds: float, progress: Progress = lambda ready, waiting: None
    ) -> None:
        """Return when these are ready; `progress` gets, several times a second, the newly ready and the waiting ones.

        Raises `LaunchError`, with the end of the log, if a process ends or is late, and `Interrupted` for a signal.
        """
        waiting = [child for child in self.children if child.spec.name in set(names)]
        deadline = time.monotonic() + seconds
        while True:
            for child in self.children:
                if child.process.poll() is not None:
                    raise LaunchError(_with_log(f"{child.spec.name} {child.how_it_ended()}", child))
            ready = [child for child in waiting if child.spec.is_ready()]
            waiting = [child for child in waiting if child not in ready]
            progress(ready, waiting)
            if not waiting:
                return
            if time.monotonic() > deadline:
                late = waiting[0]
                raise LaunchError(_with_log(f"{late.spec.name} is not ready after {seconds:.0f} s", late))
            self.pause(_POLL)

    def pause(self, seconds: float) -> None:
        """Wait a moment and pass on warnings; raises `Interrupted` when a signal asks to stop."""
        self._signals.wait(seconds)
        if self._signals.stop_requests:
            raise Interrupted("stopped by a signal")
        self._pass_on_warnings()

    def watch(self, each_turn: Callable[[], None] = lambda: None) -> None:
        """Restart processes that end, until a signal asks to stop; call `each_turn` twice a second or more often.

        No error of the operating system ends this: a full disk, too many open files or a directory that somebody
        removed are told once, and everything is tried again until it works.
        """
        while not self._signals.stop_requests:
            now = time.monotonic()
            for child in self.children:
                self._look_after(child, now)
            self._keep_house()
            each_turn()
            due = [child.restart_at - now for child in self.children if child.restart_at is not None]
            self._signals.wait(max(0.0, min([_CHECK_LOGS, *due])))

    def stop(self) -> None:
        """Stop all processes in order; a further signal kills the rest."""
        asked = self._signals.stop_requests
        for rank in sorted({child.spec.stop_rank for child in self.children}):
            together = [child for child in self.children if child.spec.stop_rank == rank]
            killed = end_all(
                [child.process for child in together],
                STOP_GRACE,
                lambda: self._signals.stop_requests > asked,
            )
            for child in together:
                if child.process.pid in killed:
                    self._say(f"{child.spec.name} did not stop in time and was killed")
        self.children.clear()

    def _look_after(self, child: Child, now: float) -> None:
        if child.restart_at is not None:
            if now >= child.restart_at:
                self._restart(child)
        elif child.process.poll() is not None:
            kill_group(child.process.pid)  # children that it may have left
            if now - child.started_at > STABLE_AFTER:
                child.failures = 0
            how = f"{child.spec.name} (pid {child.process.pid}) {child.how_it_ended()}"
            if not has_space(child.spec.log.parent):
                how += f", disk full ({child.spec.log.parent})"
            self._say(f"{how}; restarting in {self._schedule(child, now):.1f} s")
        elif not child.identity.start:  # it could not be read when the process was started
            child.identity = identify(child.process.pid)
            self._is_saved = False

    def _restart(self, child: Child) -> None:
        try:
            child.start()
        except OSError as error:
            self._say(f"{child.spec.name} does not start: {explain(error)}; trying again")
            self._schedule(child, time.monotonic())
            return
        self._is_saved = False
        self._save()  # before anybody is told, who may look at once; `_keep_house` tells what does not work
        self._say(f"{child.spec.name} started again (pid {child.process.pid})")

    def _schedule(self, child: Child, now: float) -> float:
        """Plan the next start and return the seconds until then."""
        delay = backoff(child.failures, base=0.2, cap=15)
        child.failures += 1
        child.restart_at = now + delay
        return delay

    def _keep_house(self) -> None:
        """Write the state and look at the logs; tell what does not work, once, and that it works again."""
        errors = [*self._save(), *self._pass_on_warnings()]
        complaints = [explain(error) for error in errors]
        for complaint in complaints:
            if complaint not in self._complaints:
                self._say(f"{complaint}; trying again")
        if self._complaints and not complaints:
            self._say("files can be written and read again")
        self._complaints = complaints

    def _save(self) -> list[OSError]:
        """Write the state if it has changed; return the error if that fails."""
        if not self._is_saved:
            try:
                self._changed()
                self._is_saved = True
            except OSError as error:
                return [error]
        return []

    def _pass_on_warnings(self) -> list[OSError]:
        """Print new warnings of the services, and rotate large logs; return the errors of files."""
        now = time.monotonic()
        if now < self._next_log_check:
            return self._log_errors
        self._next_log_check = now + _CHECK_LOGS
        self._log_errors = []
        for child in self.children:
            try:
                for line in child.follower.new_warnings():
                    self._say(f"{child.spec.name}: {line}")
                child.follower.rotate_if_large()
            except OSError as error:
                self._log_errors.append(error)
        return self._log_errors


def _with_log(message: str, child: Child) -> str:
    """Return the message with the service's own reason to exit, or else with the end of its log."""
    reason = _LAST_WORDS.match(last_line(child.spec.log))
    if reason:
        return f"{message}: {reason[1]} (log: {child.spec.log})"
    lines = last_lines(child.spec.log, _QUOTED_LINES)
    return f"{message}; the end of {child.spec.log}:\n{lines}" if lines else f"{message}; {child.spec.log} is empty"
