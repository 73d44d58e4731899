"""Every bad invocation ends with status 1 or 2 and one line that names the mistake, and changes nothing."""

import dataclasses
import json
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy import cli
from deploy.errors import LaunchError
from deploy.launcher import preflight
from deploy.launcher.plan import ROOT
from deploy.processes.process import Identity, identify
from deploy.stack import state
from tests.unit.deploy.test_state import STACK

FREE_PORTS = ("--wallet-port", "0", "--explorer-port", "0", "--rpc-port", "0")


def data_dir_is_a_file(here: Path) -> Path:
    (here / "file").write_text("kept\n")
    return here / "file"


def data_dir_is_below_a_file(here: Path) -> Path:
    return data_dir_is_a_file(here) / "data"


def data_dir_is_a_loop_of_links(here: Path) -> Path:
    (here / "loop").symlink_to("pool")
    (here / "pool").symlink_to("loop")
    return here / "loop"


def data_dir_has_too_long_a_name(here: Path) -> Path:
    return here / ("x" * 300)


def data_dir_has_too_long_a_path(here: Path) -> Path:
    return here.joinpath(*["x" * 200] * 25)


def state_is_no_json(here: Path) -> Path:
    (here / "stack.json").write_text("{")
    return here


def state_is_of_something_else(here: Path) -> Path:
    (here / "stack.json").write_text(json.dumps({"services": []}))
    return here


def state_is_a_directory(here: Path) -> Path:
    (here / "stack.json").mkdir()
    return here


BAD_DIRECTORIES = [
    (data_dir_is_a_file, "file is not a directory"),
    (data_dir_is_below_a_file, "/file"),
    (data_dir_is_a_loop_of_links, "loop"),
    (data_dir_has_too_long_a_name, "name too long"),
    (data_dir_has_too_long_a_path, "name too long"),
    (state_is_no_json, "stack.json is damaged or of another version"),
    (state_is_of_something_else, "stack.json is damaged or of another version"),
    (state_is_a_directory, "stack.json: Is a directory"),
]


def only_a_link(here: Path) -> list[str]:
    (here / "link").symlink_to("nowhere")
    return ["--data-dir", str(here / "link")]


def a_place_that_takes_nothing(here: Path) -> list[str]:
    if os.getuid() == 0:  # who may write everywhere but here
        return ["--data-dir", "/proc/warren"]
    (here / "proc").mkdir(mode=0o500)
    return ["--data-dir", str(here / "proc" / "warren")]


def a_stack_that_runs(here: Path) -> list[str]:
    state.write(here, dataclasses.replace(STACK, launcher=identify(os.getpid()), services=()))
    return ["--data-dir", str(here)]


def a_chain_that_is_a_directory(here: Path) -> list[str]:
    return ["--chain", str(here)]


def a_chain_that_is_binary(here: Path) -> list[str]:
    (here / "chain.toml").write_bytes(bytes(range(256)))
    return ["--chain", str(here / "chain.toml")]


def a_chain_that_is_no_toml(here: Path) -> list[str]:
    (here / "chain.toml").write_text("name = \n")
    return ["--chain", str(here / "chain.toml")]


def a_chain_with_an_unknown_setting(here: Path) -> list[str]:
    (here / "chain.toml").write_text('name = "team"\nspacing = 60\n')
    return ["--chain", str(here / "chain.toml")]


def a_chain_with_too_long_a_name(here: Path) -> list[str]:
    return ["--chain", str(here / ("x" * 300))]


def no_socket(here: Path) -> list[str]:
    return ["--redis-url", f"unix://{here}/redis.sock"]


BAD_UPS = [
    (only_a_link, "link is a link that leads nowhere"),
    (a_place_that_takes_nothing, "/proc/warren"),
    (a_stack_that_runs, "a stack already runs on"),
    (a_chain_that_is_a_directory, "nor a chain file"),
    (a_chain_that_is_binary, "chain.toml"),
    (a_chain_that_is_no_toml, "chain.toml"),
    (a_chain_with_an_unknown_setting, "chain.toml: unknown setting spacing"),
    (a_chain_with_too_long_a_name, "name too long"),
    (no_socket, "--redis-url"),
    (["--chain", "regest"], "did you mean regtest?"),
    (["--chain", ""], "--chain"),
    (["--wallet-port", "8080", "--rpc-port", "8080"], "wallet and rpc cannot share port 8080"),
    (["--host", "192.0.2.1", "--wallet-port", "8080"], "192.0.2.1"),
    (["--host", "no such host", "--wallet-port", "8080"], "no such host"),
    (["--host", "a..b", "--wallet-port", "8080"], "a..b"),
    (["--redis-url", "redis://127.0.0.1:1/0"], "--redis-url: the server at 127.0.0.1 port 1 does not answer"),
    (["--redis-url", "redis://a..b/0"], "--redis-url: the server at a..b port 6379 does not answer"),
    (["--broker", "rabbitmq", "--amqp-url", "amqp://127.0.0.1:1/"], "--amqp-url: the server at 127.0.0.1 port 1"),
    (["--broker", "rabbitmq", "--amqp-url", "amqp://a..b/"], "--amqp-url: the server at a..b port 5672"),
    (["--broker", "rabbitmq", "--amqp-url", "amqp://h/?heartbeat=x"], "the AMQP URL is malformed"),
]

ELSEWHERE = ("--wallet-url", "http://127.0.0.1:1", "--explorer-url", "http://a..b", "--rpc-url", "http://r")
BAD_OTHERS = [
    (["genesis", "--chain", "{here}"], "{here} cannot be read: Is a directory"),
    (["genesis", "--chain", "{here}/none/chain.toml"], "there is no directory {here}/none"),
    (["genesis", "--chain", "{here}/regtest.toml"], "regtest is a built-in network"),
    (["genesis", "--chain", "{here}/team.toml", "--payee", "nobody"], "--payee"),
    (["genesis", "--chain", "{here}/team.toml", "--time", "-1"], "genesis.time"),
    (["genesis", "--chain", "{here}/team.toml", "--bits", "zz"], "--bits"),
    (["genesis", "--chain", "{here}/" + "x" * 300], "name too long"),
    (["down", "--data-dir", "{here}/none"], "no stack runs on {here}/none"),
    (["demo", "--data-dir", "{here}/none"], "no stack runs on {here}/none"),
    (["demo", "--data-dir", "{here}", "--creator-password-file", "{here}"], "password from {here}: Is a directory"),
    (["demo", *ELSEWHERE, "--creator-password-file", "/dev/null"], "127.0.0.1:1"),
]


@pytest.fixture
def refuses(tmp_path, capsys, monkeypatch):
    """Runs a command and checks how it refuses; returns the line."""
    monkeypatch.setenv("PATH", str(tmp_path))  # no docker

    def check(*arguments: str) -> str:
        before = contents(tmp_path)
        status = cli.main(arguments, {})
        output, errors = capsys.readouterr()
        assert status in (1, 2)
        assert output == ""
        assert errors.startswith("warren: ")
        assert errors.count("\n") == 1, errors
        assert contents(tmp_path) == before
        return errors

    return check


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in directory.rglob("*")}


@pytest.mark.parametrize("command", ["up", "down", "status", "demo"])
@pytest.mark.parametrize(("make", "problem"), BAD_DIRECTORIES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_data_directory_that_cannot_be_one_is_named(refuses, tmp_path, command, make, problem):
    assert problem.lower() in refuses(command, "--data-dir", str(make(tmp_path))).lower()


@pytest.mark.parametrize(("given", "problem"), BAD_UPS, ids=[str(number) for number in range(len(BAD_UPS))])
def test_what_up_cannot_work_with_is_named(refuses, tmp_path, given, problem):
    arguments = given(tmp_path) if isinstance(given, Callable) else given
    assert problem.lower() in refuses("up", "--data-dir", str(tmp_path / "data"), *FREE_PORTS, *arguments).lower()


@pytest.mark.parametrize(("arguments", "problem"), BAD_OTHERS)
def test_what_other_commands_cannot_work_with_is_named(refuses, tmp_path, arguments, problem):
    told = refuses(*(word.format(here=tmp_path) for word in arguments))
    assert problem.format(here=tmp_path).lower() in told.lower()


@pytest.fixture
def server() -> Iterator[Callable[[bytes], int]]:
    """Starts servers that give one answer to everything, and then hang up; returns the port."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(listener: socket.socket, answer: bytes) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while connection.recv(4096):
                    try:
                        connection.sendall(answer)
                    except OSError:
                        break
                    if not answer.startswith(b"-"):
                        break

    def start(answer: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threads.append(threading.Thread(target=serve, args=(listener, answer)))
        threads[-1].start()
        return listener.getsockname()[1]

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"-NOAUTH Authentication required.\r\n", "does not let us in: Authentication required"),
        (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "does not let us in: invalid username"),
        (b"-NOPERM this user has no permissions to run the 'info' command\r\n", "no permissions"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as Redis"),
    ],
)
def test_a_redis_that_does_not_let_us_in_is_named_without_its_password(refuses, tmp_path, server, answer, problem):
    port = server(answer)
    url = f"redis://user:hidden-word@127.0.0.1:{port}/0"
    told = refuses("up", "--data-dir", str(tmp_path / "data"), *FREE_PORTS, "--redis-url", url)
    assert told.startswith(f"warren: --redis-url: the server at 127.0.0.1 port {port} ")
    assert problem in told
    assert "hidden-word" not in told


def test_a_rabbitmq_that_is_something_else_is_named_without_its_password(refuses, tmp_path, server):
    port = server(b"AMQP\x00\x00\x09\x01 or not")
    given = ("--broker", "rabbitmq", "--amqp-url", f"amqp://user:hidden-word@127.0.0.1:{port}/")
    told = refuses("up", "--data-dir", str(tmp_path / "data"), *FREE_PORTS, *given)
    assert told.startswith(f"warren: --amqp-url: the server at 127.0.0.1 port {port} ")
    assert "hidden-word" not in told


@pytest.mark.rabbitmq
@pytest.mark.parametrize(
    ("change", "problem"),
    [({"password": "hidden-word"}, "ACCESS_REFUSED"), ({"vhost": "hidden-place"}, "vhost hidden-place not found")],
)
def test_a_rabbitmq_that_does_not_let_us_in_says_why(rabbitmq, change, problem):
    parts = urlsplit(rabbitmq)
    password, vhost = change.get("password", parts.password), change.get("vhost", parts.path.lstrip("/"))
    url = f"amqp://{parts.username}:{password}@{parts.hostname}:{parts.port}/{vhost}"
    with pytest.raises(LaunchError, match=problem) as told:
        preflight.check_rabbitmq(url)
    assert f"port {parts.port} does not let us in" in str(told.value)
    assert "hidden-word" not in str(told.value)
    preflight.check_rabbitmq(rabbitmq)


def test_a_port_in_use_is_named_with_its_option(refuses, tmp_path, server):
    port = server(b"")
    told = refuses("up", "--data-dir", str(tmp_path / "data"), *FREE_PORTS, "--explorer-port", str(port))
    assert told == f"warren: port {port} (explorer) is in use; choose another with --explorer-port\n"


def test_a_stale_state_is_no_stack_to_demonstrate_on(refuses, tmp_path):
    state.write(tmp_path, dataclasses.replace(STACK, launcher=Identity(os.getpid(), "another start"), services=()))
    assert "no stack runs on" in refuses("demo", "--data-dir", str(tmp_path))


def test_a_full_disk_ends_up_with_one_line_that_names_the_file(tmp_path):
    """A limit on the size of files acts like a full disk; Python itself first writes 4 bytes to TMPDIR."""
    result = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "up", "--data-dir", str(tmp_path / "data"), *FREE_PORTS],
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == f"warren: {tmp_path}/data/stack.json: File too large\n"
    left = {path.name for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert left == {"stack.lock"}
