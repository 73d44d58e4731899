"""The pages in a real browser: live without reload, usable on a phone, nothing that the security policy stops."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from services.explorer.app import create_explorer_app
from shared.bus.events import BlockConnected
from shared.config import Settings
from shared.params import REGTEST
from shared.web.server import HttpServer
from tests.builders import key, output_of, pay
from tests.integration.explorer.chain import TestChain
from tests.integration.explorer.conftest import COIN, address_of

ALICE, BOB = key("alice"), key("bob")


@pytest.fixture
def chain(redis):
    chain = TestChain(redis)
    block = chain.mine(ALICE)
    chain.mine(ALICE, [pay(output_of(block.transactions[0], 0, ALICE), BOB, 12 * COIN)])
    return chain


@pytest.fixture
def base(chain, broker, feed) -> Iterator[str]:
    server = HttpServer(
        create_explorer_app(Settings(), REGTEST, chain.view, broker, feed, {}), "127.0.0.1", 0, threads=4
    )
    yield f"http://127.0.0.1:{server.port}"
    server.close()


@pytest.fixture
def page(browser, base) -> Iterator[Page]:
    context = browser.new_context(base_url=base, viewport={"width": 390, "height": 844}, color_scheme="dark")
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def test_a_new_block_appears_without_reload(page, chain, feed):
    page.goto("/")
    expect(page.locator(".chamber-tip .chamber-height")).to_have_text("2")
    with page.expect_response("**/feed"):
        pass
    block = chain.mine(ALICE, miner="newcomer")
    feed.hear(
        BlockConnected(seq=99, hash=block.hash_hex, height=3, time=block.header.time, tx_count=len(block.transactions))
    )
    expect(page.locator(".chamber-tip .chamber-height")).to_have_text("3", timeout=15_000)
    expect(page.locator(".chamber-tip")).to_contain_text("newcomer")


def test_no_page_is_wider_than_a_phone(page, chain):
    tx = chain.tip.transactions[1]
    for path in ("/", "/blocks", "/mempool", f"/block/{chain.tip.hash_hex}", f"/tx/{tx.txid_hex}"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.goto(f"/address/{address_of('bob')}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_search_box_is_a_key_away(page, chain):
    page.goto("/blocks")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Block 1")


def test_the_first_tab_skips_to_the_content(page):
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_a_whole_hash_is_copied(page, chain):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/block/{chain.tip.hash_hex}")
    page.locator("button.copy").first.click()
    expect(page.locator("button.copy").first).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == chain.tip.hash_hex


def test_a_hash_that_is_selected_by_hand_is_whole(page, chain):
    page.goto(f"/block/{chain.tip.hash_hex}")
    page.locator(".hash").first.select_text()
    assert page.evaluate("getSelection().toString().trim()") == chain.tip.hash_hex


def test_everything_works_without_scripts(browser, base, chain):
    context = browser.new_context(base_url=base, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.goto("/")
    page.locator("#search").fill(chain.tip.transactions[1].txid_hex)
    page.get_by_role("button", name="Search").click()
    expect(page.locator("h1")).to_have_text("Transaction")
    page.get_by_role("link", name=address_of("bob")).click()
    expect(page.locator(".amount-big")).to_contain_text("12.00000000")
    context.close()
