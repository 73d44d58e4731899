"""Requests that no well-behaved client sends, over a real connection: each is answered, and the server goes on."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from services.explorer.app import MAX_BODY
from tests.integration.explorer.conftest import address_of
from tests.integration.explorer.streams import running

TIMEOUT = 20


@pytest.fixture
def port(story, broker) -> Iterator[int]:
    with running(story.chain.view, broker=broker) as instance:
        yield instance.port
        assert ask(instance.port, "GET", "/blocks/tip/height")[0] == 200


def ask(port: int, method: str, path: str, body=None, headers=None, chunked: bool = False) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, headers or {}, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def ask_raw(port: int, data: bytes) -> bytes:
    """Send bytes as they are and return the answer's first line, empty if the server hung up."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").readline().strip()
        except TimeoutError:
            raise
        except OSError:  # reset, or closed before everything was sent
            return b""


@pytest.mark.parametrize("path", ["/tx", "/api/txs/package", "/addresses/txs"])
def test_a_body_that_is_too_long_is_refused(port, broker, path):
    assert ask(port, "POST", path, b"0" * (MAX_BODY + 1)) == (413, "Request body too large")
    assert broker.published == []


@pytest.mark.parametrize("count", [21, 60])  # the server itself stops reading somewhere above the limit
def test_so_is_one_that_does_not_say_how_long_it_is(port, broker, count):
    chunks = (b"0" * 50_000 for _ in range(count))
    status, text = ask(port, "POST", "/tx", chunks, {"Transfer-Encoding": "chunked"}, chunked=True)
    assert status == 413
    assert text == "Request body too large" or count > 21
    assert broker.published == []


def test_one_of_just_the_longest_length_is_read(port):
    status, text = ask(port, "POST", "/tx", b"0" * MAX_BODY)
    assert (status, text[:36]) == (400, "sendrawtransaction RPC error -22: TX")


JSON_BODIES = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep and broken": "[" * 400_000,
    "a huge number": "[" + "9" * 100_000 + "]",
    "a number beyond all floats": "[1e999999999]",
    "an object": json.dumps({"a": ["b"] * 1_000}),
    "not UTF-8": b'["\xff\xfe"]',
    "half a surrogate": '["\\ud800"]',
    "NUL": '["\\u0000"]',
    "nothing": "",
    "many keys": json.dumps({str(number): number for number in range(50_000)}),
}


@pytest.mark.parametrize("path", ["/txs/package", "/txs/test", "/addresses/txs", "/scripthashes/txs"])
@pytest.mark.parametrize("name", JSON_BODIES)
def test_json_that_is_none_of_ours_is_refused(port, broker, path, name):
    status, text = ask(port, "POST", path, JSON_BODIES[name])
    assert 400 <= status < 500, text
    assert "Traceback" not in text
    assert broker.published == []


@pytest.mark.parametrize(
    "path",
    [
        "/blocks/" + "9" * 5_000,
        "/block-height/" + "9" * 5_000,
        "/address/" + "a" * 20_000,
        "/tx/" + "%00" * 64,
        "/tx/" + "%ff" * 64,
        "/block/" + "%2f" * 64,
        "/tx/%E2%80%AE" + "ab" * 31,
        "/" + "a/" * 5_000,
        f"/address/{address_of('bob')}/txs?max_txs=" + "9" * 5_000,
        "/txs/outspends?txids=" + "," * 10_000,
        "/txs/outspends?txids=" + ",".join(["ab" * 32] * 51),
        "/api/v1/transaction-times?" + "txId[]=x&" * 1_000,
        "/wait?height=" + "9" * 30,
        "/wait?height=0&timeout=nan&confirmations=1e5",
        "/address-prefix/" + "b" * 10_000,
        "/search?q=" + "%00" * 1_000,
    ],
)
def test_long_and_strange_paths_and_queries_are_answered(port, path):
    status, text = ask(port, "GET", path)
    assert status in (200, 400, 404, 414, 431), text
    assert "Traceback" not in text


@pytest.mark.parametrize("size", [70_000, 1_000_000])
@pytest.mark.parametrize("where", ["path", "query", "header", "many headers"])
def test_a_flood_before_the_body_ends_the_request(port, size, where):
    head = {
        "path": b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "query": b"GET /blocks?" + b"a" * size + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "header": b"GET /blocks HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * size + b"\r\n\r\n",
        "many headers": b"GET /blocks HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * (size // 6) + b"\r\n",
    }[where]
    line = ask_raw(port, head)
    assert not line or line.split()[1] in (b"200", b"400", b"404", b"414", b"431"), line


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET /blocks HTTP/9.9\r\n\r\n",
        b"GET /blocks HTTP/1.1\r\n\r\n",
        b"GET /blocks HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /tx HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /tx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /tx HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /tx HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /block/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://elsewhere/blocks HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    ],
)
def test_what_is_no_http_never_breaks_the_server(port, data):
    line = ask_raw(port, data)
    assert not line or (line.startswith(b"HTTP/1.") and line.split()[1] != b"500"), line
