"""`./warren up --detach`: starts a stack that outlives this process."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from deploy.console import Console
from deploy.files import make_private_dir
from deploy.launcher.local import Stack
from deploy.launcher.options import UpOptions
from deploy.processes.log_files import LogFollower

_POLL = 0.05


def up_detached(options: UpOptions, console: Console) -> int:
    """Start a stack in the background; return 0 when it is ready, or its exit status when it has failed.

    Its output goes to a log file, and from there to `console` until this function returns.
    """
    make_private_dir(options.chain_dir / "logs")
    log = options.chain_dir / "logs" / "launcher.log"
    follower = LogFollower(log)
    pid = os.fork()
    if pid == 0:
        _become_daemon(log)
        return Stack(options, Console(sys.stdout)).run()
    errors = Console(sys.stderr)
    while True:
        try:
            ended, wait_status = os.waitpid(pid, os.WNOHANG)
            for line in follower.new_lines():
                if line.startswith("warren: "):
                    console = errors  # its last message, which may continue with the end of a log
                console.say(line)
                if line.startswith("ready"):
                    return 0
            if ended:
                return os.waitstatus_to_exitcode(wait_status)
            console.waiting(f"starting in the background; {log} has all that it says")
            time.sleep(_POLL)
        except KeyboardInterrupt:
            os.kill(pid, signal.SIGTERM)


def _become_daemon(log: Path) -> None:
    """Detach from the terminal: take a new session, no input, and the log as output."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
