"""`python -m tests.integration.services.mortal SERVICE VICTIM…`: the service once for each victim, whose thread dies.

Prints a line of JSON for each: victim, exit status, and the threads that ran. A victim `+THREAD,…` is none: the service
is asked to stop when all of these threads have been started.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from types import ModuleType

from shared.process.thread import ServiceThread

PATIENCE = 30.0


class Killed(BaseException):
    """No handler of exceptions catches it."""


def main(name: str, victims: list[str]) -> None:
    service = importlib.import_module(f"services.{name}.__main__")
    for victim in victims:
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(reader)
            os._exit(_run(service, victim, writer))
        os.close(writer)
        with os.fdopen(reader) as file:
            threads = file.read().split()
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"victim": victim, "status": os.waitstatus_to_exitcode(status), "threads": threads}))


def _run(service: ModuleType, victim: str, report: int) -> int:
    begun: list[str] = []
    awaited = set(victim[1:].split(",")) if victim.startswith("+") else {"nothing"}

    def run(thread: ServiceThread) -> None:
        begun.append(thread.name)
        if thread.name == victim:
            raise Killed
        whole_life(thread)

    def watch() -> None:
        """Stop a service that nothing kills when its threads have begun; kill one that does not end."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not awaited <= set(begun):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM if awaited <= set(begun) else signal.SIGKILL)

    whole_life = ServiceThread.run
    ServiceThread.run = run  # type: ignore[method-assign]
    threading.Thread(target=watch, name="watch", daemon=True).start()
    before = set(threading.enumerate())
    try:
        return int(service.main())
    finally:
        strangers = [thread.name for thread in set(threading.enumerate()) - before if type(thread) is not ServiceThread]
        os.write(report, "\n".join([*begun, *(f"unsupervised:{name}" for name in strangers)]).encode())
        os.close(report)
        sys.stderr.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
