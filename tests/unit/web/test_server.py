"""The HTTP server stops in order: it finishes every request, and idle connections do not delay it."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import subprocess
import sys
import threading
import time

import pytest

from shared.config import Settings
from shared.web.app import create_app
from shared.web.async_flask import AsyncFlask
from shared.web.server import HttpServer


@pytest.fixture
def busy() -> threading.Event:
    return threading.Event()


@pytest.fixture
def release() -> threading.Event:
    return threading.Event()


@pytest.fixture
def server(busy: threading.Event, release: threading.Event) -> HttpServer:
    app = AsyncFlask("test")
    app.config["MAX_CONTENT_LENGTH"] = 1_000

    @app.get("/")
    def index() -> str:
        return "hello"

    @app.get("/slow")
    def slow() -> str:
        busy.set()
        assert release.wait(10)
        return "x" * 1_000_000

    return HttpServer(app, "127.0.0.1", 0, 2)


def connect(server: HttpServer, path: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path)
    return connection


def test_an_idle_connection_does_not_hold_up_the_end(server: HttpServer) -> None:
    connection = connect(server, "/")
    assert connection.getresponse().read() == b"hello"
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began < 2
    connection.close()


def test_a_request_under_way_is_answered_in_full(
    server: HttpServer, busy: threading.Event, release: threading.Event
) -> None:
    connection = connect(server, "/slow")
    assert busy.wait(10)
    closing = threading.Thread(target=server.close)
    closing.start()
    release.set()
    assert len(connection.getresponse().read()) == 1_000_000
    closing.join(10)
    assert not closing.is_alive()
    connection.close()


def test_nobody_is_let_in_after_the_end(server: HttpServer) -> None:
    server.close()
    with pytest.raises(ConnectionRefusedError):
        connect(server, "/")


_MANY = """
import http.client
from shared.web.async_flask import AsyncFlask
from shared.web.server import HttpServer

app = AsyncFlask("test")
app.config["MAX_CONTENT_LENGTH"] = 1_000
app.get("/")(lambda: "hello")
server = HttpServer(app, "127.0.0.1", 0, 2)
kept = []
for _ in range(100):
    kept.append(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10))
    kept[-1].request("GET", "/")
    assert kept[-1].getresponse().read() == b"hello"
server.close()
"""


def test_a_shell_that_allows_few_open_files_does_not_leave_clients_unanswered() -> None:
    def allow_few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    done = subprocess.run(
        [sys.executable, "-c", _MANY], preexec_fn=allow_few, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_service_that_is_about_to_stop_says_so_and_goes_on_serving() -> None:
    app = create_app("test", Settings(), "regtest", {"redis": str}, 1_000)
    server = HttpServer(app, "127.0.0.1", 0, 2)

    def get(path: str) -> tuple[int, bytes]:
        with contextlib.closing(connect(server, path)) as connection:
            reply = connection.getresponse()
            return reply.status, reply.read()

    assert get("/readyz")[0] == 200
    server.drain(0)
    status, body = get("/readyz")
    reasons = {"running": "the service was told to stop"}
    assert (status, json.loads(body)) == (503, {"redis": True, "running": False, "reasons": reasons})
    assert get("/healthz")[0] == 200
    server.close()
