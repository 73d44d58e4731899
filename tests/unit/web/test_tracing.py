"""A request's work belongs to the client's trace, or to one of its own, which the answer names."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from shared import trace
from shared.web.asgi import Receive, Scope, Send, respond
from shared.web.async_flask import AsyncFlask
from shared.web.server import HttpServer

GIVEN = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    app = AsyncFlask("test")
    app.config["MAX_CONTENT_LENGTH"] = 1_000

    @app.get("/view")
    def view() -> str:
        return trace.current()

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(scope, send, 200, trace.current())

    server = HttpServer(app, "127.0.0.1", 0, 1, {"/endpoint": endpoint})
    yield server
    server.close()


def get(connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[str, str]:
    """Return the traceparent that the work had, and the one that the answer names."""
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.read().decode(), response.headers["traceresponse"]


@pytest.mark.parametrize("path", ["/view", "/endpoint"])
def test_the_work_for_a_request_belongs_to_the_clients_trace(server: HttpServer, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    assert get(connection, path, Traceparent=GIVEN) == (GIVEN, GIVEN)
    connection.close()


@pytest.mark.parametrize("path", ["/view", "/endpoint"])
@pytest.mark.parametrize("headers", [{}, {"traceparent": "forged"}])
def test_a_request_without_one_gets_a_trace_of_its_own(server: HttpServer, path: str, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    get(connection, path, traceparent=GIVEN)
    first, second = get(connection, path, **headers), get(connection, path, **headers)
    assert len({trace.trace_id(at_work) for at_work, _ in (first, second)} - {"", "a" * 32}) == 2
    assert all(at_work == answered == trace.parse(answered) for at_work, answered in (first, second))
    connection.close()


def test_a_refusal_names_its_trace_too(server: HttpServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    assert get(connection, "/nothing", traceparent=GIVEN)[1] == GIVEN
    connection.close()
