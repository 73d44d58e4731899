"""Bodies of requests: refused by the headers alone, bounded in all, and given only so much time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import request

from shared.config import Settings
from shared.web.app import create_app
from shared.web.async_flask import AsyncFlask
from shared.web.head import RequestHead
from shared.web.http import bodies
from shared.web.refusal import Refusal
from shared.web.server import HttpServer
from tests.unit.web.test_waiting_views import answer, send, until

LIMIT = 1_000_000
PATIENCE = 20.0
HEAD = b"POST /take HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture
def release() -> threading.Event:
    return threading.Event()


@pytest.fixture
def app(release: threading.Event) -> AsyncFlask:
    app = create_app("tests.web", Settings(trusted_hosts="a"), "regtest", {}, LIMIT)

    @app.post("/take")
    def take() -> str:
        return str(len(request.get_data()))

    @app.post("/hold")
    def hold() -> str:
        assert release.wait(PATIENCE)
        return str(len(request.get_data()))

    return app


@pytest.fixture
def server(app: AsyncFlask, release: threading.Event) -> Iterator[HttpServer]:
    server = HttpServer(app, "127.0.0.1", 0, 4)
    yield server
    release.set()
    server.close()


def held(server: HttpServer) -> int:
    return server._bridge._bodies._held


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def read_head(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65_536)
        assert part, data
        data += part
    return data


def refuse_all(app: AsyncFlask, seconds: float = 0.0) -> None:
    app.head_checks.append(lambda head: Refusal(401, "no", seconds=seconds) if head.path == "/take" else None)


def test_a_request_is_refused_before_its_body_has_come(app: AsyncFlask, server: HttpServer) -> None:
    refuse_all(app)
    with connect(server) as client:
        client.sendall(HEAD + b"Content-Length: 900000\r\n\r\n")
        head = read_head(client)
        assert head.startswith(b"HTTP/1.1 401 ")
        assert b"x-content-type-options: nosniff" in head
        client.sendall(b"x" * 900_000 + b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"HTTP/1.1 200 " in read_head(client), "the connection goes on"
    assert held(server) == 0


def test_a_client_that_waits_for_leave_to_send_gets_none_if_it_is_refused(app: AsyncFlask, server: HttpServer) -> None:
    refuse_all(app)
    with connect(server) as client:
        client.sendall(HEAD + b"Content-Length: 900000\r\nExpect: 100-continue\r\n\r\n")
        assert read_head(client).startswith(b"HTTP/1.1 401 ")


def test_a_client_that_sends_all_before_it_reads_gets_its_refusal(app: AsyncFlask, server: HttpServer) -> None:
    refuse_all(app)
    assert answer(send(server, "/take", "x" * LIMIT)) == (401, "no")


def test_a_refusal_that_comes_late_holds_no_thread(app: AsyncFlask, server: HttpServer) -> None:
    refuse_all(app, seconds=0.5)
    late = [send(server, "/take", "x") for _ in range(20)]
    began = time.monotonic()
    assert answer(send(server, "/healthz"))[0] == 200
    assert answer(send(server, "/metrics"))[0] == 200
    assert [answer(connection) for connection in late] == [(401, "no")] * 20
    assert time.monotonic() - began < 20 * 0.5


def test_a_test_client_is_refused_as_well(app: AsyncFlask) -> None:
    def check(head: RequestHead) -> Refusal | None:
        return Refusal(401, "who?", {"WWW-Authenticate": "Basic"}) if "authorization" not in head.headers else None

    app.head_checks.append(check)
    response = app.test_client().post("/take", data=b"x", headers={"Host": "a"})
    assert (response.status_code, response.text, response.headers["WWW-Authenticate"]) == (401, "who?", "Basic")
    assert app.test_client().post("/take", data=b"x", headers={"Authorization": "x"}).text == "1"


def test_a_body_that_stops_coming_is_given_up(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bodies.GRACE_SECONDS == 30.0
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.2)
    with connect(server) as client:
        client.sendall(HEAD + b"Content-Length: 10\r\n\r\nx")
        head = read_head(client)
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in head.lower()
        while client.recv(65_536):
            pass
    assert held(server) == 0


def test_a_body_that_drips_is_given_up(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.5)
    ends = time.monotonic() + PATIENCE
    with connect(server) as client:
        client.settimeout(0.02)
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        got = b""
        while not got and time.monotonic() < ends:
            client.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                got = client.recv(65_536)
        assert got.startswith(b"HTTP/1.1 408 ")


def test_a_body_gets_more_time_the_more_of_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [b"x" * bodies.BYTES_PER_SECOND, b"x" * 2 * bodies.BYTES_PER_SECOND, b"x"]
    deadlines: list[float] = []

    async def receive() -> dict[str, object]:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    def timeout_at(when: float) -> asyncio.Timeout:
        deadlines.append(when)
        return asyncio.timeout(None)

    async def read() -> float:
        began = asyncio.get_running_loop().time()
        monkeypatch.setattr(bodies.asyncio, "timeout_at", timeout_at)
        scope = {"headers": [(b"transfer-encoding", b"chunked")]}
        body = await bodies.Bodies(LIMIT).read(scope, receive)
        assert body is not None
        assert body.length == 3 * bodies.BYTES_PER_SECOND + 1
        return began

    with ThreadPoolExecutor() as pool:  # the test of a browser leaves a running loop on this thread
        began = pool.submit(lambda: asyncio.run(read())).result(PATIENCE)
    assert [round(deadline - deadlines[0]) for deadline in deadlines] == [0, 1, 3]
    assert deadlines[0] - began >= bodies.GRACE_SECONDS


@pytest.mark.parametrize("rest", [b"", b"x"])
def test_the_rest_of_a_refused_body_is_waited_for_only_so_long(
    app: AsyncFlask, server: HttpServer, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    refuse_all(app)
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.2)
    with connect(server) as client:
        client.sendall(HEAD + b"Content-Length: 10\r\n\r\n" + rest)
        assert read_head(client).startswith(b"HTTP/1.1 401 ")
        with contextlib.suppress(ConnectionResetError):
            while client.recv(65_536):
                pass


def test_bodies_are_bounded_in_all_until_they_are_answered(
    app: AsyncFlask, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    monkeypatch.setattr(bodies, "_LEAST_ROOM", 0)
    server = HttpServer(app, "127.0.0.1", 0, 4)
    large, small = "x" * LIMIT, "x" * 1_000
    with ThreadPoolExecutor(5) as pool:
        first = [pool.submit(lambda: answer(send(server, "/hold", large))) for _ in range(bodies.BODIES_AT_ONCE)]
        until(lambda: held(server) == bodies.BODIES_AT_ONCE * LIMIT, "as many are held as may")
        connection = send(server, "/take", large)
        response = connection.getresponse()
        assert (response.status, response.getheader("Retry-After")) == (503, "1")
        connection.close()
        behind = pool.submit(lambda: answer(send(server, "/take", small)))
        until(lambda: held(server) == bodies.BODIES_AT_ONCE * LIMIT + 1_000, "a small one finds room")
        release.set()
        assert [done.result(PATIENCE) for done in first] == [(200, str(LIMIT))] * bodies.BODIES_AT_ONCE
        assert behind.result(PATIENCE) == (200, "1000")
    assert answer(send(server, "/take", large)) == (200, str(LIMIT))
    assert held(server) == 0
    server.close()


def test_a_client_that_goes_away_leaves_its_room(server: HttpServer) -> None:
    with connect(server) as client:
        client.sendall(HEAD + b"Content-Length: 900000\r\n\r\n" + b"x" * 500_000)
        until(lambda: held(server) == 500_000, "half of it is there")
    until(lambda: held(server) == 0, "it is forgotten")
    with connect(server) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"4\r\nabcd\r\n" * 3)
        until(lambda: held(server) == 12, "a body in chunks counts, too")
    until(lambda: held(server) == 0, "it is forgotten")
