"""Requests at the level of bytes: sizes, order, slow clients, and paths of endpoints."""

from __future__ import annotations

import http.client
import select
import socket
import threading
from collections.abc import Iterator

import pytest
from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from shared.errors import ConfigError
from shared.web.asgi import Receive, Scope, Send, guarded, respond
from shared.web.async_flask import AsyncFlask
from shared.web.hosts import TrustedHosts
from shared.web.http import bodies, protocol
from shared.web.server import HttpServer

THREADS = 2


def create_app(gate: threading.Event) -> AsyncFlask:
    app = AsyncFlask("test")
    app.config["MAX_CONTENT_LENGTH"] = 1_000

    @app.route("/take", methods=["POST"])
    def take() -> str:
        return str(len(request.get_data()))

    @app.get("/echo/<path:rest>")
    def echo(rest: str) -> dict:
        return {"path": rest, "query": request.query_string.decode(), "cookie": dict(request.cookies)}

    @app.get("/address")
    def address() -> str:
        return f"{request.remote_addr} {request.headers.get('X-Fake', '')}"

    @app.get("/gate")
    def wait() -> str:
        assert gate.wait(20)
        return "open"

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> tuple[str, int]:
        return "too large, says the application", 413

    return app


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(scope, send, 200, "from the loop")


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def server(gate: threading.Event) -> Iterator[HttpServer]:
    endpoints = {"/hello": guarded(hello, TrustedHosts("chain.example"))}
    server = HttpServer(create_app(gate), "127.0.0.1", 0, THREADS, endpoints)
    yield server
    gate.set()
    server.close()


@pytest.fixture
def connection(server: HttpServer) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    yield connection
    connection.close()


def talk(server: HttpServer, data: bytes) -> bytes:
    """Return all that comes back for these bytes until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(data)
        answer = b""
        while part := client.recv(65_536):
            answer += part
    return answer


def is_ended(client: socket.socket) -> bool:
    """Whether the server ends the connection, in order or by a reset."""
    try:
        while client.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True


def ask(connection: http.client.HTTPConnection, method: str, path: str, **more) -> tuple[int, str]:
    connection.request(method, path, **more)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_a_connection_serves_one_request_after_another(connection):
    for size in (0, 1, 1_000):
        assert ask(connection, "POST", "/take", body=b"x" * size) == (200, str(size))
    local = connection.sock.getsockname()
    assert ask(connection, "POST", "/take", body=b"x") == (200, "1")
    assert connection.sock.getsockname() == local


def test_a_body_in_chunks_arrives_whole(connection):
    assert ask(connection, "POST", "/take", body=iter([b"a" * 300, b"b" * 700])) == (200, "1000")


@pytest.mark.parametrize("size", [1_001, 60_000, 300_000])
def test_the_application_itself_says_that_a_body_is_too_large(connection, size):
    assert ask(connection, "POST", "/take", body=b"x" * size) == (413, "too large, says the application")


def test_a_body_in_chunks_that_is_too_large_is_noticed_without_its_length(connection):
    answer = ask(connection, "POST", "/take", body=iter([b"x" * 10_000] * 20))
    assert answer == (413, "too large, says the application")


def test_of_a_body_without_end_only_so_much_is_read(server, monkeypatch):
    monkeypatch.setattr(bodies, "PATIENCE", 100_000)
    head = b"POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(head + (b"2710\r\n" + b"x" * 10_000 + b"\r\n") * 20)  # more would come
        assert client.recv(65_536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("line", [b"X-Line: 1\r\n", b"x"])
def test_headers_that_never_end_are_refused(server, line):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(1_000):
            client.sendall(line * (1_000 // len(line)))
            if select.select([client], [], [], 0.001)[0]:
                break
        assert client.recv(65_536).startswith(b"HTTP/1.1 431 ")


def test_what_is_not_http_is_refused(server):
    assert talk(server, b"\x16\x03\x01\x02\x00").startswith(b"HTTP/1.1 400 ")


def test_a_path_that_is_not_ascii_is_no_crash(server):
    assert talk(server, b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[9:12] in (b"400", b"404")


def test_pipelined_requests_are_answered_in_order(server):
    requests = [b"GET /echo/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(50)]
    last = b"GET /echo/end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = talk(server, b"".join(requests) + last)
    assert answer.count(b"HTTP/1.1 200 ") == 51
    places = [answer.index(b'"path":"%d"' % number) for number in range(50)]
    assert places == sorted(places)


def test_a_flood_of_pipelined_requests_ends_the_connection(server, gate):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"GET /gate HTTP/1.1\r\nHost: a\r\n\r\n" * (protocol.MAX_PIPELINED + 10))
        assert is_ended(client)


def test_clients_that_never_finish_a_request_hold_no_thread(server, connection):
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10 * THREADS)]
    for client in slow:
        client.sendall(b"POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
    assert ask(connection, "POST", "/take", body=b"xyz") == (200, "3")
    for client in slow:
        client.close()


def test_a_connection_that_says_nothing_is_ended(gate, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    server = HttpServer(create_app(gate), "127.0.0.1", 0, THREADS)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        assert client.recv(1) == b""
    server.close()


def test_headers_of_a_later_request_have_to_come_in_time_too(gate, monkeypatch):
    server = HttpServer(create_app(gate), "127.0.0.1", 0, THREADS)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"GET /address HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
        client.sendall(b"GET /address HTTP/1.1\r\nHos")
        assert is_ended(client)
    server.close()


def test_an_endpoint_answers_while_every_thread_is_busy(server, connection, gate):
    busy = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=20) for _ in range(THREADS)]
    for other in busy:
        other.request("GET", "/gate")
    assert ask(connection, "GET", "/hello") == (200, "from the loop")
    gate.set()
    for other in busy:
        assert other.getresponse().read() == b"open"
        other.close()


def test_an_endpoint_answers_to_trusted_hosts_only(connection):
    assert ask(connection, "GET", "/hello", headers={"Host": "chain.example:80"})[0] == 200
    status, text = ask(connection, "GET", "/hello", headers={"Host": "evil.example"})
    assert (status, "evil.example" in text) == (421, True)


def test_an_endpoint_has_the_headers_that_views_have(connection):
    connection.request("GET", "/hello")
    headers = connection.getresponse().headers
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_an_endpoint_answers_preflights_and_refuses_other_methods(connection):
    assert ask(connection, "OPTIONS", "/hello") == (204, "")
    assert ask(connection, "POST", "/hello", body=b"x")[0] == 405


def test_the_server_does_not_say_what_it_is_made_of(connection):
    connection.request("GET", "/hello")
    assert connection.getresponse().headers["Server"] == "warren"


def test_a_client_cannot_choose_its_address(connection):
    headers = {"X-Forwarded-For": "10.1.2.3", "X_Fake": "1"}
    assert ask(connection, "GET", "/address", headers=headers) == (200, "127.0.0.1 ")


def test_paths_queries_and_cookies_arrive_as_they_were_sent(connection):
    headers = {"Cookie": "a=1; b=2"}
    status, text = ask(connection, "GET", "/echo/caf%C3%A9%2Fx?q=%20a&b", headers=headers)
    assert status == 200
    assert '"query":"q=%20a&b"' in text.replace(": ", ":").replace("\\u0026", "&")
    assert "caf\\u00e9/x" in text
    assert '"a"' in text


def test_there_is_no_websocket_where_there_is_no_endpoint(server):
    upgrade = (
        b"GET /echo/x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert talk(server, upgrade).startswith(b"HTTP/1.1 404 ")


def test_a_port_that_is_taken_is_named(server, gate):
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {server.port}: Address already in use"):
        HttpServer(create_app(gate), "127.0.0.1", server.port, THREADS)


def test_it_listens_on_ipv6(gate):
    server = HttpServer(create_app(gate), "::1", 0, THREADS)
    with socket.create_connection(("::1", server.port), timeout=20) as client:
        client.sendall(b"GET /echo/six HTTP/1.0\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
    server.close()


def test_a_client_that_does_not_read_does_not_hold_up_the_end(gate, monkeypatch):
    app = create_app(gate)
    app.add_url_rule("/large", view_func=lambda: b"x" * 20_000_000)
    monkeypatch.setattr("shared.web.server._STOP_SECONDS", 1)
    server = HttpServer(app, "127.0.0.1", 0, THREADS)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(10)
        closing = threading.Thread(target=server.close)
        closing.start()
        closing.join(10)
        assert not closing.is_alive()
