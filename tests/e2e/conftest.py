"""The whole stack, started by its own launcher on free ports, and a real browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from deploy.demo.client import JsonClient
from deploy.stack.control import running
from deploy.stack.state import StackState
from shared.primitives.block import Block

COIN = 100_000_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("stack")
            item.add_marker(pytest.mark.timeout(300))


class Stack:
    """A running stack as its users see it: three URLs and a password file."""

    def __init__(self, state: StackState) -> None:
        self.state = state
        self.wallet = JsonClient(state.wallet_url)
        self.explorer = JsonClient(state.explorer_url)
        self.node = JsonClient(state.rpc_url)

    @property
    def creator_password(self) -> str:
        return Path(self.state.creator_password_file).read_text(encoding="utf-8").strip()

    def balance(self, wallet_id: str) -> dict[str, Any]:
        return self.wallet.get(f"/api/wallets/{wallet_id}")

    def height(self) -> int:
        return int(self.explorer.get("/api/blocks/tip/height"))

    def mine(self, address: str, blocks: int = 1) -> list[str]:
        answer = self.node.post(f"/mine?blocks={blocks}&address={address}", None)
        assert answer["message"] == "success"
        return list(answer["blocks"])

    def rpc(self, method: str, *params: Any) -> Any:
        """A call of bitcoind's JSON-RPC with the cookie, as bitcoin-cli makes it."""
        return _result(self._post_rpc({"method": method, "params": params, "id": 1}))

    def rpc_batch(self, method: str, params: Sequence[Sequence[Any]]) -> list[Any]:
        """Calls of one method in one request; the results in order."""
        calls = [{"method": method, "params": each, "id": number} for number, each in enumerate(params)]
        return [_result(answer) for answer in self._post_rpc(calls)]

    def _post_rpc(self, body: object) -> Any:
        from base64 import b64encode
        from urllib.request import Request, urlopen

        cookie = Path(self.state.cookie_file).read_bytes()
        headers = {"Authorization": f"Basic {b64encode(cookie).decode()}"}
        with urlopen(Request(self.state.rpc_url, json.dumps(body).encode(), headers), timeout=60) as reply:
            return json.load(reply, parse_float=str)

    def block(self, height: int) -> Block:
        block_hash = self.rpc("getblockhash", height)
        return Block.parse(bytes.fromhex(self.rpc("getblock", block_hash, 0)))


def _result(answer: dict[str, Any]) -> Any:
    assert answer["error"] is None
    return answer["result"]


def eventually(check: Callable[[], object], seconds: float = 60.0, what: str = "it") -> None:
    """Wait until something is so; errors of services that are being restarted do not count."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if check():
                return
            problem = "not yet"
        except Exception as error:
            problem = repr(error)
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s: {problem}"
        time.sleep(0.05)


StartStack = Callable[..., AbstractContextManager[StackState]]


@pytest.fixture(scope="session")
def start_stack() -> StartStack:
    """Start a stack on a data directory."""
    return running


@pytest.fixture(scope="module")
def stack(start_stack: StartStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with three miners, shared by the tests of a module."""
    with start_stack(tmp_path_factory.mktemp("stack"), "--miners", "3") as state:
        yield Stack(state)


def _is_ours(message: ConsoleMessage) -> bool:
    """Whether a message is of a script or a policy, not of an answer with an error status."""
    return message.type == "error" and not message.text.startswith("Failed to load resource")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test when a script of ours fails or a policy is broken."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if _is_ours(message) else None)
    yield page
    context.close()
    assert problems == []
