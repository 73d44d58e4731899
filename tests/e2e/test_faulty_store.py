"""A Redis that is full, or a replica: whoever only reads goes on, and a writer is told to come again soon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
import requests

from deploy.stack import status as stack_status
from shared.consensus.params import REGTEST
from shared.crypto.address import decode_address
from shared.crypto.hashes import sha256
from tests.conftest import run_server
from tests.e2e.conftest import Stack, StartStack, eventually
from tests.servers import redis_server

HTML = {"Accept": "text/html"}
PAGES = ["/", "/blocks", "/mempool", "/charts", "/docs", "/tx/{tx}", "/tx/{confirmed}", "/block/{block}"]
PAGES += ["/address/{address}"]
WALLET = ["/creator", "/", "/api/wallets", "/api/wallets/creator", "/api/wallets/creator/addresses"]
WALLET += ["/api/wallets/creator/history"]
NO_READS = {"/events", "/wait", "/faucet", "/getnewaddress", "/api/v1/ws", "/block-template"}
"""Paths that wait, or that another service answers."""
METHODS: dict[str, list[Any]] = {
    "getblockchaininfo": [],
    "getbestblockhash": [],
    "getblockcount": [],
    "getblockhash": [1],
    "getblock": ["{block}", 2],
    "getblockheader": ["{block}"],
    "getblockstats": ["{block}"],
    "getchaintips": [],
    "getchaintxstats": [],
    "getdifficulty": [],
    "getmempoolinfo": [],
    "getrawmempool": [True],
    "getmempoolentry": ["{tx}"],
    "getmempoolancestors": ["{tx}"],
    "getmempooldescendants": ["{tx}"],
    "getrawtransaction": ["{tx}", 2],
    "gettxout": ["{tx}", 0],
    "gettxoutsetinfo": [],
    "gettxoutproof": [["{confirmed}"]],
    "gettxspendingprevout": [[{"txid": "{confirmed}", "vout": 0}]],
    "getmininginfo": [],
    "getnetworkhashps": [],
    "getblocktemplate": [{"rules": ["segwit"]}],
    "estimatesmartfee": [6],
    "scantxoutset": ["start", ["addr({address})"]],
    "uptime": [],
}


class Reader:
    """Reads everything of a stack that can be read."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        address = stack.wallet.get("/api/wallets/creator")["address"]
        script = decode_address(address, REGTEST.address)
        self.known = {"address": address, "script_hash": sha256(script).hex(), "height": "5", "zero": "0"}
        self.session = requests.Session()
        described = self.session.get(f"{stack.state.explorer_url}/openapi.json").json()["paths"]
        self.paths = [path for path, operations in described.items() if "get" in operations and path not in NO_READS]

    def pay(self) -> None:
        """Pay twice: one payment is mined, the other is left in the pool."""
        order = {"to": self.known["address"], "amount": "1", "password": self.stack.creator_password}
        self.known["confirmed"] = self.stack.wallet.post("/api/wallets/creator/send", order)["txid"]
        self.known["block"] = self.stack.mine(self.known["address"])[0]
        self.known["tx"] = self.stack.wallet.post("/api/wallets/creator/send", order)["txid"]

    def statuses(self) -> dict[str, int]:
        """Return the status of every read, of a confirmed and of an unconfirmed transaction where it is of one."""
        state = self.stack.state
        found = {}
        for path in self.paths:
            for filled in self._fill(path):
                found[f"GET {filled}"] = self._get(f"{state.explorer_url}/api{filled}")
        for path in PAGES:
            found[f"page {path}"] = self._get(state.explorer_url + path.format(**self.known), HTML)
        for path in WALLET:
            found[f"wallet {path}"] = self._get(state.wallet_url + path, HTML if "/api" not in path else None)
        for method, params in METHODS.items():
            found[method] = self._call(method, params)
        return found

    def _get(self, url: str, headers: dict[str, str] | None = None) -> int:
        return self.session.get(url, headers=headers, timeout=20, allow_redirects=False).status_code

    def _call(self, method: str, params: list[Any]) -> int:
        return self.rpc(method, *_filled(params, self.known)).status_code

    def rpc(self, method: str, *params: Any) -> requests.Response:
        user, _, password = Path(self.stack.state.cookie_file).read_text(encoding="utf-8").partition(":")
        body = {"method": method, "params": params}
        return self.session.post(self.stack.state.rpc_url, json=body, auth=(user, password), timeout=30)

    def _fill(self, path: str) -> set[str]:
        values = {
            "block_hash": "block",
            "address": "address",
            "script_hash": "script_hash",
            "height": "height",
            "index": "zero",
            "vout": "zero",
            "start": "zero",
            "start_height": "height",
        }
        names = set(re.findall(r"{(\w+)}", path)) - {"txid"}
        if any(name not in values for name in names):
            return set()
        filled = {name: self.known[values[name]] for name in names}
        return {path.format(txid=self.known[txid], **filled) for txid in ("tx", "confirmed")}


def _filled(value: Any, known: dict[str, str]) -> Any:
    match value:
        case str():
            return value.format(**known)
        case list():
            return [_filled(item, known) for item in value]
        case dict():
            return {name: _filled(item, known) for name, item in value.items()}
    return value


@pytest.fixture(scope="module")
def operator() -> Iterator[redis_py.Redis]:
    for server in run_server(redis_server):
        with redis_py.Redis.from_url(server.url) as client:
            client.url = server.url  # type: ignore[attr-defined]
            yield client


@pytest.fixture(scope="module")
def reader(start_stack: StartStack, operator: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("stack")
    with start_stack(folder, "--redis-url", operator.url) as state:
        stack = Stack(state)
        yield Reader(stack)


def fill(operator: redis_py.Redis) -> None:
    operator.config_set("maxmemory", "1")


def make_replica(operator: redis_py.Redis) -> None:
    operator.replicaof("127.0.0.1", "1")


def mend(operator: redis_py.Redis) -> None:
    operator.config_set("maxmemory", "0")
    operator.replicaof("NO", "ONE")


@pytest.mark.parametrize(("spoil", "code"), [(fill, "OOM"), (make_replica, "READONLY")])
def test_reads_go_on_while_redis_takes_no_writes_and_writers_are_told_to_come_again(
    reader: Reader, operator: redis_py.Redis, spoil: Any, code: str
) -> None:
    reader.pay()
    reads = {read for read, status in reader.statuses().items() if status == 200}
    assert len(reads) > 90
    assert reads > {*METHODS, *(f"wallet {path}" for path in WALLET), *(f"page {path}" for path in PAGES)}
    spoil(operator)
    try:
        during = reader.statuses()
        state = reader.stack.state
        health = [requests.get(f"{url}/readyz", timeout=20) for url in (state.wallet_url, state.rpc_url)]
        _, *told = stack_status.lines(stack_status.look(Path(state.cookie_file).parents[1]))
        raw = reader.rpc("getrawtransaction", reader.known["tx"]).json()["result"]
        writes = [
            requests.post(f"{state.explorer_url}/api/tx", data=raw, timeout=60),
            requests.post(f"{state.wallet_url}/api/wallets/creator/addresses", json={}, timeout=60),
            requests.post(f"{state.wallet_url}/api/wallets", json={"id": "new", "password": "x"}, timeout=60),
        ]
    finally:
        mend(operator)
    assert {read: during[read] for read in reads if during[read] != 200} == {}
    assert [answer.status_code for answer in health] == [503, 503]
    assert all(answer.json()["reasons"]["redis"].startswith(f"Redis refuses: {code} ") for answer in health)
    (reasons,) = [line for line in told if line.startswith("mempool: it waits for: ")]
    assert f"redis (Redis refuses: {code} " in reasons
    assert [(answer.status_code, answer.headers.get("Retry-After")) for answer in writes] == [(503, "1")] * 3
    eventually(lambda: reader.stack.mine(reader.known["address"]), what="a block")
