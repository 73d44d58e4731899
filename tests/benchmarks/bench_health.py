"""Latency of `/healthz` while every thread of a service is busy, stuck, or has requests that wait behind it.

    .venv/bin/python -m tests.benchmarks.bench_health [requests]

The service runs in a process of its own: 8 threads that compute, or sleep as if Redis were slow, and 200 requests that
wait for another service. `/healthz` has to answer within 100 ms.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from concurrent.futures import Future
from http.client import HTTPConnection
from multiprocessing.connection import Connection

from shared.config import Settings
from shared.process.waiting import WaitFor
from shared.web.app import create_app
from shared.web.server import HttpServer
from tests.benchmarks.http_load import Client

THREADS = 8
WAITING = 200
SECONDS = 60.0


def compute() -> str:
    """Keep a thread and the interpreter busy."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        sum(range(1_000))
    return ""


def stick() -> str:
    """Hold a thread as a slow server does."""
    time.sleep(SECONDS)
    return ""


async def wait() -> str:
    """Wait for another service."""
    await WaitFor(Future(), SECONDS)
    return ""


def serve(pipe: Connection) -> None:
    """Serve until told to stop."""
    app = create_app("tests.benchmarks", Settings(), "regtest", {}, 1_000)
    for view in (compute, stick, wait):
        app.add_url_rule(f"/{view.__name__}", view.__name__, view)
    pipe.send(HttpServer(app, "127.0.0.1", 0, THREADS).port)
    pipe.recv()


def main() -> None:
    """Print a row for each kind of load."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(f"{'load':<34} {'p50':>8} {'p99':>8} {'max':>8}   milliseconds of {count} requests")
    for what, path, number in (
        ("none", "", 0),
        (f"{THREADS} threads stuck, as many behind", "/stick", 2 * THREADS),
        (f"{WAITING} requests that wait", "/wait", WAITING),
        (f"{THREADS} threads that compute", "/compute", THREADS),
    ):
        here, there = multiprocessing.Pipe()
        service = multiprocessing.Process(target=serve, args=(there,), daemon=True)
        service.start()
        port = here.recv()
        held = [HTTPConnection("127.0.0.1", port) for _ in range(number)]
        for connection in held:
            connection.request("GET", path)
        client = Client(port)
        client.ask("/healthz")
        found = client.measure(["/healthz"], None, {}, count, SECONDS)
        assert set(found.statuses) == {200}
        print(f"{what:<34} {found.percentile(50):>8.1f} {found.percentile(99):>8.1f} {found.percentile(100):>8.1f}")
        service.kill()
        service.join()


if __name__ == "__main__":
    main()
