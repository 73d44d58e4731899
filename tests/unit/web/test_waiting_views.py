"""Views that wait for another service: they hold no thread, keep their request, and end in order."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
from flask import g, request

from shared.config import Settings
from shared.errors import BrokerUnavailable
from shared.process.waiting import WaitFor
from shared.web import async_flask
from shared.web import server as http_server
from shared.web.app import create_app, handle_error
from shared.web.async_flask import AsyncFlask
from shared.web.server import HttpServer

THREADS = 2
PATIENCE = 20.0


class Waiting:
    """An application with one view that waits, and the futures that its requests wait for."""

    def __init__(self) -> None:
        self.futures: dict[str, Future[str]] = {}
        self.ended: list[str] = []
        self.ready: dict[str, Callable[[], str]] = {}
        self.app = create_app("tests.web", Settings(), "regtest", self.ready, 1_000)
        self.app.before_request(self._remember)
        self.app.add_url_rule("/wait/<name>", view_func=self.wait, methods=["GET", "POST"])
        self.app.add_url_rule("/plain", view_func=lambda: "plain")

    @staticmethod
    def _remember() -> None:
        g.path = request.path

    async def wait(self, name: str) -> str:
        future = self.futures[name] = Future()
        try:
            if not await WaitFor(future, float(request.args.get("seconds", PATIENCE))):
                return "nothing came"
            return f"{future.result()} for {g.path} with {request.get_data(as_text=True)!r}"
        finally:
            self.ended.append(name)


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def server(waiting: Waiting) -> Iterator[HttpServer]:
    server = HttpServer(waiting.app, "127.0.0.1", 0, THREADS)
    yield server
    server.close()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def send(server: HttpServer, path: str, body: str | None = None) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("POST" if body else "GET", path, body)
    return connection


def answer(connection: http.client.HTTPConnection) -> tuple[int, str]:
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def test_requests_that_wait_hold_no_thread_and_keep_what_is_theirs(waiting: Waiting, server: HttpServer) -> None:
    names = [str(number) for number in range(20 * THREADS)]
    open_ = {name: send(server, f"/wait/{name}", f"body {name}") for name in names}
    until(lambda: len(waiting.futures) == len(names), "all requests wait")
    assert answer(send(server, "/plain")) == (200, "plain")
    for name in reversed(names):
        waiting.futures[name].set_result("news")
    for name, connection in open_.items():
        assert answer(connection) == (200, f"news for /wait/{name} with 'body {name}'")


def test_health_is_answered_while_every_thread_is_stuck(waiting: Waiting, server: HttpServer) -> None:
    stuck, release = threading.Semaphore(0), threading.Event()

    def block() -> str:
        stuck.release()
        assert release.wait(PATIENCE)
        return "released"

    waiting.app.add_url_rule("/stuck", "stuck", block)
    waiting.ready["redis"] = lambda: block().removeprefix("released")
    held = [send(server, "/stuck") for _ in range(THREADS)]
    checks = [send(server, "/readyz") for _ in range(2)]
    assert all(stuck.acquire(timeout=PATIENCE) for _ in [*held, *checks])
    assert answer(send(server, "/healthz")) == (200, "ok\n")
    assert answer(send(server, "/metrics"))[0] == 200
    behind = send(server, "/plain")
    late = (503, '{"redis": false, "reasons": {"redis": "no answer within 1.5 seconds"}}')
    assert [answer(connection) for connection in checks] == [late, late]
    release.set()
    assert [answer(connection)[0] for connection in [*held, behind]] == [200] * (THREADS + 1)
    assert answer(send(server, "/readyz"))[0] == 200


def test_readiness_is_answered_while_every_thread_is_stuck(waiting: Waiting, server: HttpServer) -> None:
    release = threading.Event()
    waiting.app.add_url_rule("/stuck", "stuck", lambda: str(release.wait(PATIENCE)))
    held = [send(server, "/stuck") for _ in range(2 * THREADS)]
    assert answer(send(server, "/readyz"))[0] == 200
    release.set()
    assert [answer(connection) for connection in held] == [(200, "True")] * len(held)


def test_a_wait_has_an_end(server: HttpServer) -> None:
    assert answer(send(server, "/wait/a?seconds=0.05")) == (200, "nothing came")


def test_an_error_that_came_is_answered_as_any_other(waiting: Waiting, server: HttpServer) -> None:
    connection = send(server, "/wait/a")
    until(lambda: "a" in waiting.futures, "it waits")
    waiting.futures["a"].set_exception(BrokerUnavailable("the broker is away"))
    status, text = answer(connection)
    assert (status, "the broker is away" in text) == (503, True)


def test_a_request_goes_on_when_its_client_has_gone(waiting: Waiting, server: HttpServer) -> None:
    connection = send(server, "/wait/a")
    until(lambda: "a" in waiting.futures, "it waits")
    connection.close()
    assert answer(send(server, "/plain")) == (200, "plain")
    assert waiting.ended == []
    waiting.futures["a"].set_result("news")
    until(lambda: waiting.ended == ["a"], "it ends")


def test_a_request_that_waits_when_the_service_stops_is_told_so(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http_server._STOP_SECONDS - http_server._LAST_SECONDS == 4
    monkeypatch.setattr(http_server, "_STOP_SECONDS", 2 * PATIENCE)
    server = HttpServer(waiting.app, "127.0.0.1", 0, THREADS)
    told, answered = send(server, "/wait/told"), send(server, "/wait/answered")
    until(lambda: len(waiting.futures) == 2, "both wait")
    closing = threading.Thread(target=server.close)
    closing.start()
    waiting.futures["answered"].set_result("news")
    assert answer(answered) == (200, "news for /wait/answered with ''")
    server.call_soon(server._stopping.set_result, None)  # as after four seconds
    status, text = answer(told)
    assert (status, "this service is stopping" in text) == (503, True)
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert sorted(waiting.ended) == ["answered", "told"]


def test_a_request_that_does_not_listen_at_the_end_is_ended_all_the_same(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "_LAST_SECONDS", -PATIENCE)
    monkeypatch.setattr(http_server, "_STOP_SECONDS", 0.2)
    server = HttpServer(waiting.app, "127.0.0.1", 0, THREADS)
    connection = send(server, "/wait/a")
    until(lambda: "a" in waiting.futures, "it waits")
    server.close()
    until(lambda: waiting.ended == ["a"], "its view ends")
    connection.close()


def test_one_request_more_than_may_wait_is_asked_to_come_again(
    waiting: Waiting, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_flask, "MAX_WAITING", 3)
    waiting.app.bound_waits(500, str)
    held = [send(server, f"/wait/{number}") for number in range(3)]
    until(lambda: len(waiting.futures) == 3, "three wait")
    connection = send(server, "/wait/4")
    response = connection.getresponse()
    assert (response.status, response.getheader("Retry-After")) == (503, "1")
    assert b"too many requests wait" in response.read()
    connection.close()
    assert answer(send(server, "/plain")) == (200, "plain")
    waiting.futures["0"].set_result("news")
    assert answer(held[0])[0] == 200
    again = send(server, "/wait/5")
    until(lambda: "5" in waiting.futures, "there is room again")
    for connection in (again, *held[1:]):
        connection.close()
    for future in waiting.futures.values():
        if not future.done():
            future.set_result("")


def test_a_test_client_waits_on_its_own_thread(waiting: Waiting) -> None:
    assert waiting.app.test_client().get("/wait/a?seconds=0.01").text == "nothing came"


def test_an_error_handler_sees_the_request_of_a_view_that_waited() -> None:
    app = AsyncFlask("test")
    app.register_error_handler(Exception, handle_error)

    @app.get("/fail")
    async def fail() -> str:
        await WaitFor(Future(), 0.01)
        raise BrokerUnavailable(f"no answer to {request.path}")

    assert app.test_client().get("/fail").json["detail"] == "no answer to /fail"
