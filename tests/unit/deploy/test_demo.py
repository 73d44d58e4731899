import http.server
import json
import os

import pytest

from deploy.command_line import parse
from deploy.demo import run, target
from deploy.demo.client import HttpProblem, JsonClient
from deploy.errors import LaunchError
from deploy.processes.process import identify
from deploy.stack import state
from tests.unit.deploy.web_server import serving


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        match self.path:
            case "/number":
                self.answer(200, "text/plain", b"111")
            case "/cookie":
                cookie = self.headers.get("Cookie", "")
                self.answer(200, "application/json", json.dumps({"cookie": cookie}).encode(), "session=abc; Path=/")
            case _:
                body = {"title": "Not Found", "detail": "there is no such wallet", "status": 404}
                self.answer(404, "application/problem+json", json.dumps(body).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json"
        self.answer(201, "application/json", body)

    def answer(self, status, content_type, body, cookie=""):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def client():
    with serving(Handler) as url:
        yield JsonClient(url)


def test_the_client_reads_json_and_plain_numbers(client):
    assert client.get("/number") == 111
    assert client.post("/any", {"amount": "50"}) == {"amount": "50"}


def test_the_client_keeps_the_session(client):
    assert client.get("/cookie") == {"cookie": ""}
    assert client.get("/cookie") == {"cookie": "session=abc"}


def test_a_refusal_is_told_in_the_services_words(client):
    with pytest.raises(HttpProblem, match=r"GET http://.*/x: 404 Not Found: there is no such wallet") as caught:
        client.get("/x")
    assert caught.value.status == 404


def test_a_service_that_is_not_there_is_told_too():
    with pytest.raises(HttpProblem, match=r"GET http://127\.0\.0\.1:1/x: .*refused") as caught:
        JsonClient("http://127.0.0.1:1").get("/x")
    assert caught.value.status == 0


def options(*arguments):
    return parse(["demo", *arguments], {})


def test_given_urls_are_used_without_their_trailing_slash(tmp_path):
    password = tmp_path / "password"
    password.write_text("hidden-word\n")
    found = target.find_target(
        options(
            *("--wallet-url", "http://w/", "--explorer-url", "http://e", "--rpc-url", "http://r/"),
            *("--creator-password-file", str(password)),
        )
    )
    assert found == target.StackTarget("http://w", "http://e", "http://r", "hidden-word", str(password))
    assert "hidden-word" not in repr(found)


def test_a_password_file_that_is_not_there_is_named(tmp_path):
    missing = str(tmp_path / "none")
    urls = ("--wallet-url", "http://w", "--explorer-url", "http://e", "--rpc-url", "http://r")
    with pytest.raises(LaunchError, match=f"cannot read the creator's password from {missing}"):
        target.find_target(options(*urls, "--creator-password-file", missing))


def test_a_stack_that_is_still_starting_has_to_be_waited_for(tmp_path):
    names = ("wallet_url", "explorer_url", "rpc_url", "creator_password_file", "cookie_file")
    stack = state.StackState(
        launcher=identify(os.getpid()), chain="regtest", ready=False, services=(), **dict.fromkeys(names, "")
    )
    state.write(tmp_path, stack)
    with pytest.raises(LaunchError, match="is still starting"):
        target.find_target(options("--data-dir", str(tmp_path)))


def test_an_answer_of_something_else_ends_the_demo_in_one_line(client, tmp_path):
    password = tmp_path / "password"
    password.write_text("hidden-word\n")
    url = client.base_url
    urls = ("--wallet-url", url, "--explorer-url", url, "--rpc-url", url)
    with pytest.raises(LaunchError, match=r"the demo failed: .*404") as problem:
        run.run(options(*urls, "--creator-password-file", str(password)), lambda line: None)
    assert "\n" not in str(problem.value)


def test_without_a_stack_the_demo_says_how_to_start_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no docker
    with pytest.raises(LaunchError, match=r"no stack runs on .*start one with `./warren up`"):
        target.find_target(options("--data-dir", str(tmp_path)))


def test_a_stack_in_containers_is_found_by_its_wallet(tmp_path, monkeypatch):
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/called"\necho hidden-word\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = target.find_target(options("--data-dir", str(tmp_path)))
    urls = (found.wallet_url, found.explorer_url, found.rpc_url)
    assert urls == ("http://127.0.0.1:8080", "http://127.0.0.1:3000", "http://127.0.0.1:18443")
    assert found.creator_password == "hidden-word"
    assert found.password_place == "the wallet's container: /data/<chain>/creator-password"
    assert "exec -T wallet" in (tmp_path / "called").read_text()
