"""A page of another site in a real browser: it may read and send signed transactions, but spends nothing of ours."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from services.mempool.rpc.app import create_rpc_app
from services.mempool.rpc.server.auth import Credentials
from shared.bus.events import (
    AddressRequested,
    AddressResult,
    CoinsRequested,
    CoinsResult,
    MineRequested,
    MineResult,
    WalletsRequested,
    WalletsResult,
)
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.process.shutdown import ExitFlag
from shared.web.server import HttpServer
from tests.builders import key
from tests.integration.explorer.chain import TestChain
from tests.integration.explorer.conftest import address_of
from tests.integration.explorer.streams import running
from tests.unit.bus.fake_broker import FakeBroker

ADDRESS = address_of("alice")
SPENDING = (MineRequested, CoinsRequested)


class _Blank(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another site</title><iframe name=hidden></iframe>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """The origin of another site."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Blank)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(site)
    yield page
    context.close()


@pytest.fixture
def broker() -> FakeBroker:
    broker = FakeBroker()
    broker.answers = {
        CoinsRequested: lambda message: CoinsResult(txid="ab" * 32),
        AddressRequested: lambda message: AddressResult(address=ADDRESS),
        MineRequested: lambda message: MineResult(hashes=("cd" * 32,) * message.count),
        WalletsRequested: lambda message: WalletsResult(wallets=()),
    }
    return broker


@pytest.fixture
def chain(redis: Any) -> TestChain:
    chain = TestChain(redis)
    chain.mine(key("alice"))
    return chain


def fetch(page: Page, method: str, url: str, body: str | None = None, content_type: str = "text/plain") -> Any:
    """Return status and text as a script of the page gets them, or `blocked`."""
    return page.evaluate(
        """async ([method, url, body, type]) => {
            try {
                const headers = body === null ? {} : {"Content-Type": type};
                const answer = await fetch(url, {method, body, headers});
                return [answer.status, await answer.text()];
            } catch (error) { return "blocked"; }
        }""",
        [method, url, body, content_type],
    )


def fire(page: Page, url: str, body: str) -> None:
    """Send as a page can without leave, and read nothing: by fetch, by a beacon, and by a form."""
    page.evaluate("([url, body]) => fetch(url, {method: 'POST', mode: 'no-cors', body}).catch(() => {})", [url, body])
    page.evaluate("([url, body]) => navigator.sendBeacon(url, body)", [url, body])
    with page.expect_response(lambda response: response.url == url and response.request.is_navigation_request()):
        page.evaluate(
            """([url, address]) => {
                const form = document.createElement("form");
                Object.assign(form, {action: url, method: "post", target: "hidden"});
                for (const [name, value] of [["address", address], ["amount", "1"], ["blocks", "1"]]) {
                    form.append(Object.assign(document.createElement("input"), {name, value}));
                }
                document.body.append(form);
                form.submit();
            }""",
            [url, ADDRESS],
        )


def spent(broker: FakeBroker) -> list[object]:
    return [message for message in broker.published if isinstance(message, SPENDING)]


def test_a_page_of_another_site_reads_the_explorer_and_spends_nothing(
    page: Page, chain: TestChain, broker: FakeBroker
) -> None:
    with running(chain.view, broker=broker) as explorer:
        base = f"http://127.0.0.1:{explorer.port}"
        order = f'{{"address": "{ADDRESS}"}}'
        assert fetch(page, "GET", f"{base}/blocks/tip/height") == [200, "1"]
        status, text = fetch(page, "POST", f"{base}/tx", "00")
        assert (status, "TX decode failed" in text) == (400, True)
        assert fetch(page, "POST", f"{base}/txs/package", '["00"]', "application/json")[0] == 400
        for path in ("/faucet", "/api/faucet", "/1/r/generate", f"/1/r/faucet?address={ADDRESS}&value=1000"):
            for content_type in ("text/plain", "application/json", "application/x-www-form-urlencoded"):
                assert fetch(page, "POST", base + path, order, content_type) == "blocked"
            fire(page, base + path, order)
        assert spent(broker) == []


def test_a_page_of_a_named_origin_may_use_the_faucet(
    page: Page, site: str, chain: TestChain, broker: FakeBroker
) -> None:
    with running(chain.view, Settings(trusted_origins=site), broker) as explorer:
        order = f'{{"address": "{ADDRESS}"}}'
        for content_type in ("text/plain", "application/json"):
            answer = fetch(page, "POST", f"http://127.0.0.1:{explorer.port}/faucet", order, content_type)
            assert answer == [200, f'{{"txId":"{"ab" * 32}"}}']
    assert len(spent(broker)) == 4


@pytest.mark.parametrize("is_named", [False, True])
def test_a_page_of_another_site_mines_only_if_its_origin_is_named(
    page: Page, site: str, chain: TestChain, broker: FakeBroker, is_named: bool
) -> None:
    settings = Settings(trusted_origins=site if is_named else "")
    credentials = Credentials("user", "password")
    app = create_rpc_app(settings, REGTEST, chain.view, broker, credentials, {}, ExitFlag())
    server = HttpServer(app, "127.0.0.1", 0, 4)
    url = f"http://127.0.0.1:{server.port}/mine?address={ADDRESS}"
    try:
        if is_named:
            status, text = fetch(page, "POST", url, "")
            assert (status, '"success"' in text) == (200, True)
            assert len(spent(broker)) == 1
        else:
            assert fetch(page, "POST", url, "") == "blocked"
            fire(page, url, "")
            assert spent(broker) == []
    finally:
        server.close()
