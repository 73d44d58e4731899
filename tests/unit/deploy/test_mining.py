"""`./warren up --mining MODE` asks the node for the mode, as any client would."""

from __future__ import annotations

import base64
import http.server
import json
import re
from typing import Any

import pytest

from deploy.errors import LaunchError
from deploy.launcher.mining import set_mining_mode
from tests.unit.deploy.web_server import serving


def node(status: int, body: bytes, calls: list[Any]) -> type[http.server.BaseHTTPRequestHandler]:
    class Node(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            calls.append((self.headers["Authorization"], json.loads(content)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Node


def ask(status: int, body: Any, calls: list[Any], address: str = "") -> str:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with serving(node(status, content, calls)) as url:
        return set_mining_mode(url, "alice:hidden-word", "auto", address)


@pytest.mark.parametrize(("address", "params"), [("", ["auto"]), ("bcrt1q", ["auto", "bcrt1q"])])
def test_the_node_is_asked_with_a_password_and_names_the_payee(address, params):
    calls = []
    assert (
        ask(200, {"result": {"mode": "auto", "address": "bcrt1qpaid"}, "error": None}, calls, address) == "bcrt1qpaid"
    )
    [(authorization, body)] = calls
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"alice:hidden-word"
    assert (body["method"], body["params"]) == ("warren_setminingmode", params)


def test_a_chain_that_pays_nobody_has_no_address():
    assert ask(200, {"result": {"mode": "manual", "address": None}}, []) == ""


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (500, {"result": None, "error": {"code": -8, "message": "name an address"}}, "--mining auto: name an address"),
        (500, b"oops", "--mining auto: the node does not answer: "),
        (401, b"", "--mining auto: the node does not answer: "),
        (200, [], "--mining auto: the node gave an answer that is none"),
    ],
)
def test_a_refusal_is_told_without_the_password(status, body, complaint):
    with pytest.raises(LaunchError, match=re.escape(complaint)) as problem:
        ask(status, body, [])
    assert "hidden-word" not in str(problem.value)


def test_a_node_that_is_not_there_is_told():
    with serving(http.server.BaseHTTPRequestHandler) as url:
        pass
    with pytest.raises(LaunchError, match="--mining auto: the node does not answer: "):
        set_mining_mode(url, "alice:hidden-word", "auto", "")
