"""Large bodies leave no memory behind: of those that are refused none is kept, the others' is given back."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from flask import request

from shared.config import Settings
from shared.web.app import create_app
from shared.web.http.bodies import BODIES_AT_ONCE
from shared.web.refusal import Refusal
from shared.web.server import HttpServer
from tests.unit.web.test_waiting_views import until

MIB = 1024 * 1024
BODY = 16 * MIB
CLIENTS = 3 * BODIES_AT_ONCE
PATIENCE = 120.0


def serve(pipe: Connection) -> None:
    app = create_app("tests.web", Settings(), "regtest", {}, BODY)
    app.head_checks.append(lambda head: None if "authorization" in head.headers else Refusal(401))
    app.add_url_rule("/", "take", lambda: str(len(request.get_data())), methods=["POST"])
    pipe.send(HttpServer(app, "127.0.0.1", 0, 4).port)
    pipe.recv()


def resident(process: multiprocessing.process.BaseProcess, what: str) -> int:
    """Return the memory of a process in MiB: `VmRSS` now, or `VmHWM` at its highest."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found
    return int(found[1]) // 1024


def send(port: int, headers: dict[str, str]) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("POST", "/", b"x" * BODY, headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_of_large_bodies_is_given_back() -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    service = context.Process(target=serve, args=(there,), daemon=True)
    service.start()
    try:
        port = here.recv()
        before = resident(service, "VmRSS")
        with ThreadPoolExecutor(CLIENTS) as pool:
            assert set(pool.map(lambda _: send(port, {}), range(CLIENTS))) == {401}
            assert resident(service, "VmHWM") < before + BODY // MIB
            statuses = list(pool.map(lambda _: send(port, {"Authorization": "x"}), range(CLIENTS)))
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) >= 1
        assert resident(service, "VmHWM") < before + 3 * BODIES_AT_ONCE * BODY // MIB
        until(lambda: resident(service, "VmRSS") < before + BODY // MIB, "the memory is given back")
    finally:
        service.kill()
        service.join()
