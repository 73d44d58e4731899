"""Requests that are answered beside Flask: checked, bounded and refused as every view's are."""

from __future__ import annotations

import http.client
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from shared import trace
from shared.config import Settings
from shared.errors import BrokerUnavailable, WarrenError
from shared.process.waiting import WaitFor, on_thread
from shared.web import async_flask
from shared.web.app import create_app
from shared.web.async_flask import AsyncFlask
from shared.web.direct import DirectAnswer, DirectCalls, DirectRequest
from shared.web.head import RequestHead
from shared.web.refusal import Refusal
from shared.web.server import HttpServer
from tests.unit.web.test_waiting_views import until

LIMIT = 1_000
NAMED = "https://app.example"


def later() -> Future[None]:
    """Return a future that another thread settles in a moment."""
    future: Future[None] = Future()
    threading.Timer(0.01, future.set_result, [None]).start()
    return future


class Calls:
    """Answers with the body in capitals; some bodies make it fail or wait."""

    def __init__(self) -> None:
        self.held: list[Future[None]] = []
        self.traces: list[str] = []

    def takes(self, head: RequestHead) -> bool:
        return head.method == "POST" and head.path == "/call"

    async def answer(self, asked: DirectRequest) -> DirectAnswer:
        self.traces.append(trace.trace_id(trace.current()))
        match asked.body:
            case b"away":
                raise BrokerUnavailable("no broker")
            case b"wrong":
                raise WarrenError("that is wrong")
            case b"crash":
                raise RuntimeError("secret")
            case b"hold":
                self.held.append(Future())
                await WaitFor(self.held[-1], 20)
            case b"threads":
                names = [threading.current_thread().name]
                await WaitFor(later(), 20)
                names.append(threading.current_thread().name)
                await on_thread()
                names.append(threading.current_thread().name)
                await WaitFor(later(), 20)
                names.append(threading.current_thread().name)
                return DirectAnswer(200, " ".join(names).encode())
            case b"nothing":
                return DirectAnswer(204)
        return DirectAnswer(200, asked.body.upper(), "text/plain", {"X-Peer": asked.head.peer})


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def app(calls: Calls) -> AsyncFlask:
    direct = DirectCalls(calls.takes, calls.answer)
    app = create_app("tests.web", Settings(trusted_origins=NAMED), "regtest", {}, LIMIT, direct=direct)
    app.add_url_rule("/call", "read", lambda: "read")
    return app


@pytest.fixture
def server(app: AsyncFlask) -> Iterator[HttpServer]:
    server = HttpServer(app, "127.0.0.1", 0, 2)
    yield server
    server.close()


def ask(
    server: HttpServer, body: bytes, method: str = "POST", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, "/call", body, named)
    answer = connection.getresponse()
    found = answer.status, answer.read(), answer.headers
    connection.close()
    return found


def test_a_call_runs_on_the_event_loop_until_it_asks_for_a_thread(server: HttpServer) -> None:
    _, body, _ = ask(server, b"threads")
    first, second, third, fourth = body.decode().split()
    assert (first, second) == ("http", "http")
    assert third.startswith("http-")
    assert fourth.startswith("http-")


def test_the_answer_has_the_headers_of_every_view(server: HttpServer) -> None:
    status, body, headers = ask(server, b"hello")
    assert (status, body) == (200, b"HELLO")
    assert headers["Content-Type"] == "text/plain"
    assert headers["X-Peer"] == "127.0.0.1"
    _, _, of_view = ask(server, b"", "GET")
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Server"):
        assert headers[name] == of_view[name], name
    assert "Access-Control-Allow-Origin" not in headers


def test_other_requests_for_its_path_go_to_the_application(server: HttpServer) -> None:
    assert ask(server, b"", "GET")[:2] == (200, b"read")
    assert ask(server, b"x", "PUT")[0] == 405


def test_an_answer_without_a_body_has_no_type(server: HttpServer) -> None:
    status, body, headers = ask(server, b"nothing")
    assert (status, body, headers["Content-Type"]) == (204, b"", None)


@pytest.mark.parametrize(("host", "status"), [("localhost:1", 200), ("[::1]", 200), ("evil.example", 421), ("", 421)])
def test_only_trusted_hosts_are_answered(server: HttpServer, host: str, status: int) -> None:
    found, body, headers = ask(server, b"x", Host=host)
    assert found == status
    if status == 421:
        assert b"is not in WARREN_TRUSTED_HOSTS" in body
        assert headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (200_000, 413)])
def test_a_body_over_the_limit_is_refused(server: HttpServer, size: int, status: int) -> None:
    assert ask(server, b"x" * size)[0] == status


def test_pages_of_other_sites_are_refused_unless_their_origin_is_named(server: HttpServer) -> None:
    assert ask(server, b"x", Origin="http://evil.example")[0] == 403
    assert ask(server, b"x", Sec_Fetch_Site="cross-site")[0] == 403
    status, _, headers = ask(server, b"x", Origin=NAMED, Sec_Fetch_Site="cross-site")
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, NAMED)


def test_a_check_of_the_head_may_refuse_it(server: HttpServer, app: AsyncFlask, calls: Calls) -> None:
    app.head_checks.append(lambda head: Refusal(401) if head.headers.get("authorization") != "x" else None)
    assert ask(server, b"x")[0] == 401
    assert not calls.traces
    assert ask(server, b"x", Authorization="x")[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"away", 503, b"no broker"),
        (b"wrong", 400, b"that is wrong"),
        (b"crash", 500, b"the service's log has the details"),
    ],
)
def test_errors_are_problems(
    server: HttpServer, caplog: pytest.LogCaptureFixture, body: bytes, status: int, detail: bytes
) -> None:
    caplog.set_level(logging.CRITICAL)
    found, data, headers = ask(server, body)
    assert found == status
    assert detail in data
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Retry-After"] == ("1" if status == 503 else None)
    assert b"secret" not in data


def test_calls_that_wait_hold_no_thread_and_are_bounded(
    app: AsyncFlask, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_flask, "MAX_WAITING", 5)
    app.bound_waits(5, str)
    server = HttpServer(app, "127.0.0.1", 0, 2)
    waiting = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=20) for _ in range(5)]
    for connection in waiting:
        connection.request("POST", "/call", b"hold")
    until(lambda: len(calls.held) == 5, "all of them wait")
    status, body, _ = ask(server, b"x")
    assert (status, b"too many requests wait" in body) == (503, True)
    assert ask(server, b"", "GET")[0] == 200
    for future in calls.held:
        future.set_result(None)
    for connection in waiting:
        assert connection.getresponse().read() == b"HOLD"
        connection.close()
    assert ask(server, b"x")[0] == 200
    server.close()


def test_the_work_belongs_to_the_trace_of_its_request(server: HttpServer, calls: Calls) -> None:
    _, _, headers = ask(server, b"x", traceparent=f"00-{'ab' * 16}-{'cd' * 8}-00")
    assert calls.traces == ["ab" * 16]
    assert trace.trace_id(headers["traceresponse"]) == "ab" * 16


def test_a_test_client_gets_the_same_answers(app: AsyncFlask) -> None:
    client = app.test_client()
    answer = client.post("/call", data=b"hello")
    assert (answer.status_code, answer.data, answer.content_type) == (200, b"HELLO", "text/plain")
    assert client.post("/call", data=b"x" * (LIMIT + 1)).status_code == 413
    assert client.post("/call", data=b"x", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/call").text == "read"
