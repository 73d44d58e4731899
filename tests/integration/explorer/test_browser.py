"""The pages in a real browser: live without reload, usable on a phone, nothing that the security policy stops."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import ConsoleMessage, Locator, Page, expect

from services.explorer.app import create_explorer_app
from services.explorer.handlers import Feed
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


def is_complaint(message: ConsoleMessage) -> bool:
    return message.type == "error" and "/events" not in message.location["url"]


@pytest.fixture
def page(browser, base) -> Iterator[Page]:
    context = browser.new_context(base_url=base, viewport={"width": 390, "height": 844}, color_scheme="dark")
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if is_complaint(message) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def scroll_to_end(page: Page) -> None:
    """Scroll the strip, which has the focus, by its arrow key as far as it goes."""
    end = page.evaluate("strip().scrollWidth - strip().clientWidth")
    deadline = time.monotonic() + 15
    while page.evaluate("strip().scrollLeft") < end - 1:
        assert time.monotonic() < deadline, "not in time"
        page.keyboard.press("ArrowRight")


def newest(page: Page) -> Locator:
    return page.locator(".strip-side:last-child > li").first


def mine(chain: TestChain, feed: Feed, miner: str = "miner-1") -> None:
    """Mine a block, and let the explorer hear of it."""
    block = chain.mine(ALICE, miner=miner)
    height, count = len(chain.blocks) - 1, len(block.transactions)
    feed.hear(BlockConnected(seq=99, hash=block.hash_hex, height=height, time=block.header.time, tx_count=count))


def test_a_new_block_appears_without_reload(page, chain, feed):
    page.goto("/")
    expect(newest(page)).to_contain_text("Block 2")
    expect(page.locator("#live-sign")).to_have_text("Live")
    mine(chain, feed, "newcomer")
    expect(newest(page)).to_contain_text("Block 3", timeout=15_000)
    expect(newest(page)).to_contain_text("newcomer")


def test_what_someone_is_at_stays_when_news_come_in(page, chain, feed):
    page.goto("/charts")
    expect(page.locator("#live-sign")).to_have_text("Live")
    page.locator("#supply summary").click()
    page.locator("#supply-title").select_text()
    plot = page.locator("#transactions [data-plot]")
    plot.focus()
    plot.press("Home")
    expect(page.locator("#transactions [data-readout]")).to_have_text("Block 1: 1 transaction")
    page.evaluate("scrollTo(0, 200)")
    mine(chain, feed)
    expect(page.locator("#transactions-summary")).to_contain_text("4 transactions in 3 blocks", timeout=15_000)
    assert page.evaluate("scrollY") == 200
    assert page.evaluate("getSelection().toString()").startswith("Coin supply")
    expect(plot).to_be_focused()
    expect(page.locator("#transactions [data-readout]")).to_have_text("Block 1: 1 transaction")
    expect(page.locator("#supply details")).to_have_attribute("open", "")
    expect(page.locator("#supply .chart-values tr")).to_have_count(3)


def test_charts_are_read_by_keys_and_by_pointer(page):
    page.goto("/charts")
    plot, readout = page.locator("#transactions [data-plot]"), page.locator("#transactions [data-readout]")
    expect(plot).to_have_attribute("aria-valuetext", "Block 2: 2 transactions")
    plot.focus()
    plot.press("ArrowLeft")
    expect(readout).to_have_text("Block 1: 1 transaction")
    expect(plot).to_have_attribute("aria-valuetext", "Block 1: 1 transaction")
    plot.press("End")
    expect(readout).to_have_text("Block 2: 2 transactions")
    plot.hover(position={"x": 5, "y": 50})
    expect(readout).to_have_text("Block 1: 1 transaction")


def test_the_strip_is_scrolled_by_keys_and_keeps_its_place(page, chain, feed):
    for _ in range(6):
        chain.mine(ALICE)
    page.goto("/")
    expect(page.locator("#live-sign")).to_have_text("Live")
    strip = page.get_by_role("region", name="Blocks that come and blocks that came")
    strip.focus()
    scroll_to_end(page)
    place = page.evaluate("nowPlace()")
    mine(chain, feed)
    expect(newest(page)).to_contain_text("Block 9", timeout=15_000)
    assert page.evaluate("nowPlace()") == pytest.approx(place, abs=1)
    expect(strip).to_be_focused()


def test_many_facts_make_few_refreshes(page, chain, feed):
    page.goto("/")
    expect(page.locator("#live-sign")).to_have_text("Live")
    fetched = []
    page.on("request", lambda request: fetched.append(request.url) if request.url.endswith("/") else None)
    page.evaluate("for (let fact = 0; fact < 200; fact++) wish()")
    mine(chain, feed)
    expect(newest(page)).to_contain_text("Block 3", timeout=15_000)
    assert 1 <= len(fetched) <= 4


def test_a_lost_connection_is_said_and_so_is_its_return(browser, base, chain):
    context = browser.new_context(base_url=base)
    page = context.new_page()
    page.goto("/")
    sign = page.locator("#live-sign")
    expect(sign).to_have_text("Live")
    context.set_offline(True)
    page.evaluate("source?.close(); source = null; look()")
    expect(sign).to_have_text("Connection lost, trying again", timeout=15_000)
    chain.mine(ALICE)
    context.set_offline(False)
    expect(sign).to_have_text("Live", timeout=30_000)
    expect(newest(page)).to_contain_text("Block 3", timeout=15_000)  # though no fact was heard of
    context.close()


def test_where_event_streams_do_not_work_the_feed_is_asked(browser, base, chain, feed):
    context = browser.new_context(base_url=base)
    page = context.new_page()
    page.route("**/events*", lambda route: route.fulfill(status=404))
    with page.expect_response("**/feed"):
        page.goto("/")
    mine(chain, feed)
    expect(newest(page)).to_contain_text("Block 3", timeout=15_000)
    context.close()


def test_who_wants_no_motion_gets_none(browser, base, chain, feed):
    context = browser.new_context(base_url=base, reduced_motion="reduce")
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#live-sign")).to_have_text("Live")
    mine(chain, feed)
    expect(newest(page)).to_contain_text("Block 3", timeout=15_000)
    assert page.evaluate("document.getAnimations().length") == 0
    context.close()


def test_no_page_is_wider_than_a_phone(page, chain):
    tx = chain.tip.transactions[1]
    for path in ("/", "/blocks", "/mempool", "/charts", f"/block/{chain.tip.hash_hex}", f"/tx/{tx.txid_hex}"):
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
    page.get_by_role("link", name=address_of("bob"), exact=True).click()
    expect(page.locator(".amount-big")).to_contain_text("12.00000000")
    context.close()
