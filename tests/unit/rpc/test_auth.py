"""Authentication: basic auth, the cookie file, and the limit on guessing."""

from __future__ import annotations

import logging
import os
import stat
import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from services.mempool.rpc.server.auth import Credentials, Guesses, cookie_path
from shared.config import Settings
from shared.consensus.params import MAINNET, REGTEST, SIGNET, TESTNET4, ChainParams
from shared.errors import ConfigError
from tests.unit.rpc.conftest import PASSWORD, USER, Rpc

CALL = {"method": "getblockcount"}


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !!!!",
        "Basic é",
        "Bearer abc",
        "basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
        basic(USER, ""),
        basic("", PASSWORD),
        basic(USER, PASSWORD + "x"),
        basic(USER, PASSWORD[:-1]),
        basic("Alice", PASSWORD),
    ],
)
def test_wrong_credentials_are_refused_with_a_challenge(rpc: Rpc, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = rpc.client.post("/", json=CALL, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="jsonrpc"'
    assert response.data == b""


def test_a_password_may_have_colons_and_spaces(rpc: Rpc) -> None:
    assert ":" in PASSWORD
    assert rpc.call("getblockcount") == 3


def test_credentials_are_neither_shown_nor_logged(rpc: Rpc, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert rpc.client.post("/", json=CALL, headers={"Authorization": basic(USER, "hunter2")}).status_code == 401
    rpc.call("getblockcount")
    assert "hunter2" not in caplog.text
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(Credentials(USER, PASSWORD))


def test_guesses_are_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    guesses = Guesses(lambda: now[0])
    for _ in range(50):
        guesses.log("127.0.0.1")
    now[0] += 1
    guesses.log("127.0.0.1")
    assert [(record.getMessage(), record.__dict__["fields"]["count"]) for record in caplog.records] == [
        ("wrong RPC password", 1),
        ("wrong RPC password", 50),
    ]


def test_a_web_page_of_another_site_may_not_call(rpc: Rpc) -> None:
    assert rpc.post(CALL, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert rpc.post(CALL, Origin="http://evil.example").status_code == 403
    assert rpc.post(CALL, Origin="http://localhost").status_code == 200


@pytest.mark.parametrize(
    ("params", "where"),
    [
        (REGTEST, "regtest/.cookie"),
        (SIGNET, "signet/.cookie"),
        (TESTNET4, "testnet4/.cookie"),
        (MAINNET, ".cookie"),
    ],
)
def test_the_cookie_is_where_bitcoin_cli_looks(tmp_path: Path, params: ChainParams, where: str) -> None:
    credentials = Credentials.load(Settings(data_dir=tmp_path), params)
    path = tmp_path / where
    assert path == cookie_path(tmp_path, params.name)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    user, _, password = path.read_text().partition(":")
    assert user == "__cookie__"
    assert len(bytes.fromhex(password)) == 32
    assert credentials.admit(basic(user, password))
    assert os.listdir(path.parent) == [".cookie"]


def test_the_cookie_lives_on_over_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert Credentials.load(settings, REGTEST) == Credentials.load(settings, REGTEST)


@pytest.mark.parametrize("content", ["", "__cookie__:", "alice:secret", "__cookie__:" + "0" * 63, "\xff\x00"])
def test_a_file_that_is_no_cookie_is_replaced(tmp_path: Path, content: str) -> None:
    path = cookie_path(tmp_path, "regtest")
    path.parent.mkdir()
    path.write_text(content, encoding="latin-1")
    path.chmod(0o600)
    credentials = Credentials.load(Settings(data_dir=tmp_path), REGTEST)
    assert path.read_text() == f"{credentials.user}:{credentials.password}"
    assert len(credentials.password) == 64


def test_a_cookie_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    before = Credentials.load(settings, REGTEST)
    path = cookie_path(tmp_path, "regtest")
    path.chmod(0o644)
    assert Credentials.load(settings, REGTEST) != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_instances_that_start_together_share_one_cookie(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    together = threading.Barrier(8)

    def start(_: int) -> Credentials:
        together.wait(10)
        return Credentials.load(settings, REGTEST)

    for _ in range(20):
        cookie_path(tmp_path, "regtest").unlink(missing_ok=True)
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(start, range(8)))) == 1
    assert os.listdir(tmp_path / "regtest") == [".cookie"]


def test_configured_credentials_make_no_cookie(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, rpc_user="u", rpc_password="p")
    assert Credentials.load(settings, REGTEST) == Credentials("u", "p")
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_cannot_be_used_is_a_config_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigError, match="cannot use the RPC cookie"):
        Credentials.load(Settings(data_dir=blocked), REGTEST)


def test_health_and_metrics_need_no_password(app: Flask) -> None:
    client = app.test_client()
    assert [client.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
