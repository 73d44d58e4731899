"""Clients without the password: they cost the owner neither time nor memory."""

from __future__ import annotations

import socket
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

from services.mempool.rpc.app import WRONG_PASSWORD_SECONDS
from tests.integration.rpc.conftest import RunningNode

WRONG = "Basic " + b64encode(b"__cookie__:guess").decode()
GUESSERS = 20


def test_a_flood_of_wrong_passwords_leaves_the_right_one_its_answers(node: RunningNode) -> None:
    over = threading.Event()
    guesses: list[tuple[int, float]] = []

    def guess() -> None:
        while not over.is_set():
            began = time.monotonic()
            status, _ = node.post("/", b"{}", Authorization=WRONG)
            guesses.append((status, time.monotonic() - began))

    with ThreadPoolExecutor(GUESSERS) as pool:
        for _ in range(GUESSERS):
            pool.submit(guess)
        try:
            heights = [node.call("getblockcount") for _ in range(40)]
            while len(guesses) < 2 * GUESSERS:
                heights.append(node.call("getblockcount"))
        finally:
            over.set()
    assert set(heights) == {0}
    assert {status for status, _ in guesses} == {401}
    assert min(seconds for _, seconds in guesses) >= WRONG_PASSWORD_SECONDS


def test_a_password_that_is_wrong_or_missing_is_refused_before_the_body_is_read(node: RunningNode) -> None:
    for line in (f"Authorization: {WRONG}\r\n", ""):
        for method, path in (("POST", "/"), ("POST", "/wallet/w"), ("GET", "/"), ("PUT", "/x")):
            with socket.create_connection(("127.0.0.1", node.server.port), timeout=20) as client:
                head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{line}Content-Length: 33000000\r\n\r\n"
                client.sendall(head.encode())
                assert client.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_a_form_that_anyone_may_send_is_small_and_has_a_length(node: RunningNode) -> None:
    for length, status in (("Content-Length: 65537", b"413"), ("Transfer-Encoding: chunked", b"411")):
        with socket.create_connection(("127.0.0.1", node.server.port), timeout=20) as client:
            client.sendall(f"POST /mine HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n".encode())
            assert client.recv(65_536)[9:12] == status
