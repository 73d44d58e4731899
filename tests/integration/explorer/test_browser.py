"""The pages in a real browser: live without reload, usable on a phone, nothing that the security policy stops."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from shared.crypto.hashes import sha256
from shared.primitives.hex import display_hash
from tests.builders import key, output_of, pay
from tests.integration.explorer.chain import TestChain
from tests.integration.explorer.conftest import COIN, address_of
from tests.integration.explorer.streams import running

ALICE, BOB = key("alice"), key("bob")


@pytest.fixture
def chain(redis):
    chain = TestChain(redis)
    block = chain.mine(ALICE)
    chain.mine(ALICE, [pay(output_of(block.transactions[0], 0, ALICE), BOB, 12 * COIN)])
    return chain


@pytest.fixture
def base(chain, broker) -> Iterator[str]:
    with running(chain.view, broker=broker) as instance:
        yield f"http://127.0.0.1:{instance.port}"


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


def scroll_to_end(page: Page) -> None:
    """Scroll the strip, which has the focus, by its arrow key as far as it goes."""
    end = page.evaluate("strip().scrollWidth - strip().clientWidth")
    deadline = time.monotonic() + 15
    while page.evaluate("strip().scrollLeft") < end - 1:
        assert time.monotonic() < deadline, "not in time"
        page.keyboard.press("ArrowRight")


def newest(page: Page) -> Locator:
    return page.locator(".strip-side:last-child > li").first


def mine(chain: TestChain, miner: str = "miner-1") -> None:
    """Mine a block, and let the explorer hear of it."""
    chain.mine(ALICE, miner=miner)


def test_a_new_block_appears_without_reload(page, chain):
    page.goto("/")
    expect(newest(page)).to_contain_text("Block 2")
    expect(page.locator("#live-sign")).to_have_text("Live")
    mine(chain, "newcomer")
    expect(newest(page)).to_contain_text("Block 3", timeout=15_000)
    expect(newest(page)).to_contain_text("newcomer")


def test_what_someone_is_at_stays_when_news_come_in(page, chain):
    page.goto("/charts")
    expect(page.locator("#live-sign")).to_have_text("Live")
    page.locator("#supply summary").click()
    page.locator("#supply-title").select_text()
    plot = page.locator("#transactions [data-plot]")
    plot.focus()
    plot.press("Home")
    expect(page.locator("#transactions [data-readout]")).to_have_text("Block 1: 1 transaction")
    page.evaluate("scrollTo(0, 200)")
    mine(chain)
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


def test_the_strip_is_scrolled_by_keys_and_keeps_its_place(page, chain):
    for _ in range(6):
        chain.mine(ALICE)
    page.goto("/")
    expect(page.locator("#live-sign")).to_have_text("Live")
    strip = page.get_by_role("region", name="Projected and mined blocks")
    strip.focus()
    scroll_to_end(page)
    place = page.evaluate("nowPlace()")
    mine(chain)
    expect(newest(page)).to_contain_text("Block 9", timeout=15_000)
    assert page.evaluate("nowPlace()") == pytest.approx(place, abs=1)
    expect(strip).to_be_focused()


def test_many_facts_make_few_refreshes(page, chain):
    page.goto("/")
    expect(page.locator("#live-sign")).to_have_text("Live")
    fetched = []
    page.on("request", lambda request: fetched.append(request.url) if request.url.endswith("/") else None)
    page.evaluate("for (let fact = 0; fact < 200; fact++) wish()")
    mine(chain)
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


def test_while_the_service_cannot_read_the_chain_the_page_asks_again(browser, base, chain):
    context = browser.new_context(base_url=base)
    page = context.new_page()
    page.goto("/")
    sign = page.locator("#live-sign")
    expect(sign).to_have_text("Live")
    page.route("**/", lambda route: route.fulfill(status=503))
    mine(chain)
    expect(sign).to_have_text("Connection lost, trying again", timeout=15_000)
    expect(newest(page)).to_contain_text("Block 2")
    page.unroute("**/")
    expect(newest(page)).to_contain_text("Block 3", timeout=15_000)
    expect(sign).to_have_text("Live")
    context.close()


def test_where_event_streams_do_not_work_the_feed_is_asked(browser, base, chain):
    context = browser.new_context(base_url=base)
    page = context.new_page()
    page.route("**/events*", lambda route: route.fulfill(status=404))
    with page.expect_response("**/feed"):
        page.goto("/")
    mine(chain)
    expect(newest(page)).to_contain_text("Block 3", timeout=15_000)
    context.close()


def test_who_wants_no_motion_gets_none(browser, base, chain):
    context = browser.new_context(base_url=base, reduced_motion="reduce")
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#live-sign")).to_have_text("Live")
    mine(chain)
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


def rows_of(page: Page, table: str) -> list[float]:
    heights: list[float] = page.eval_on_selector_all(
        f"{table} tbody tr", "rows => rows.map(row => row.getBoundingClientRect().height)"
    )
    return heights


def test_a_row_of_a_list_is_two_lines_on_a_phone(page, chain):
    tip = chain.tip
    chain.pool_add(pay(output_of(tip.transactions[1], 0, BOB), BOB, COIN))
    for path, table in (
        ("/blocks", ".blocks-table"),
        ("/mempool", ".waiting-table"),
        (f"/block/{tip.hash_hex}", ".txs-table"),
        (f"/address/{address_of('bob')}", ".history-table"),
        (f"/address/{address_of('bob')}", ".coins-table"),
    ):
        page.goto(path)
        heights = rows_of(page, table)
        assert heights
        assert max(heights) < 90, path


def test_how_full_a_block_is_does_not_hide_its_size(page):
    page.goto("/blocks")
    text, whole = (
        page.locator(f".blocks-table {name}").first.bounding_box() for name in (".fullness-text", ".fullness")
    )
    assert text is not None
    assert whole is not None
    assert whole["height"] >= text["height"]


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


@pytest.fixture
def proven(chain):
    """A transaction with three hashes on its way to the merkle root."""
    coins = [output_of(chain.mine(ALICE).transactions[0], 0, ALICE) for _ in range(5)]
    return chain.mine(ALICE, [pay(coin, BOB, COIN) for coin in coins]).transactions[3]


def test_the_page_verifies_the_merkle_proof(page, proven):
    page.goto(f"/tx/{proven.txid_hex}")
    expect(page.locator("[data-verdict]")).to_contain_text("Verified here, by your browser: 3 steps lead")
    expect(page.locator(".branch > .checked")).to_have_count(3)


def test_a_proof_of_one_step_is_worded_as_one(page, chain):
    page.goto(f"/tx/{chain.tip.transactions[1].txid_hex}")
    expect(page.locator("[data-verdict]")).to_contain_text("1 step leads from this transaction to the merkle root")


def test_it_can_do_so_where_the_browser_gives_no_hash_function(page, proven):
    page.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")
    page.goto(f"/tx/{proven.txid_hex}")
    assert page.evaluate("crypto.subtle") is None
    expect(page.locator("[data-verdict]")).to_contain_text("Verified here, by your browser: 3 steps lead")


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 80, 119, 120, 1000])
def test_its_own_hash_function_is_sha256(page, proven, size):
    page.goto(f"/tx/{proven.txid_hex}")
    data = bytes(index * 7 % 256 for index in range(size))
    assert page.evaluate("(hex) => toHex(ownSha256(fromHex(hex)))", data.hex()) == sha256(data).hex()


def forge(page, path, change):
    """Answer a path with the true answer after `change`."""

    def answer(route):
        response = route.fetch()
        route.fulfill(response=response, body=change(response.text()))

    page.route(path, answer)


def test_a_forged_branch_is_found_out(page, proven):
    page.goto(f"/tx/{proven.txid_hex}")
    sibling = page.locator("[data-sibling]").nth(1).get_attribute("data-sibling")
    forge(page, f"**/tx/{proven.txid_hex}", lambda text: text.replace(sibling, "ab" * 32))
    page.goto(f"/tx/{proven.txid_hex}")
    expect(page.locator("[data-verdict]")).to_contain_text("This proof is wrong: a step gives another hash")
    expect(page.locator(".branch > .wrong")).to_have_count(1)


def test_a_branch_to_another_root_is_found_out(page, chain, proven):
    result = display_hash(chain.tip.header.merkle_root)
    forge(page, f"**/tx/{proven.txid_hex}", lambda text: text.replace(proven.txid_hex, "cd" * 32).replace(result, "x"))
    page.goto(f"/tx/{proven.txid_hex}")
    expect(page.locator("[data-verdict]")).to_contain_text("This proof is wrong")


def test_the_header_of_another_block_is_found_out(page, chain, proven):
    other = chain.blocks[1].header.serialize().hex()
    forge(page, "**/header", lambda _: other)
    page.goto(f"/tx/{proven.txid_hex}")
    expect(page.locator("[data-verdict]")).to_contain_text("do not lead to the merkle root in the block's header")


def test_a_header_with_another_nonce_is_found_out(page, proven):
    forge(page, "**/header", lambda text: text[:-8] + "ffffff7f")
    page.goto(f"/tx/{proven.txid_hex}")
    expect(page.locator("[data-verdict]")).to_contain_text("the header is that of another block")


def test_a_proof_that_cannot_be_checked_claims_nothing(page, proven):
    page.route("**/header", lambda route: route.fulfill(status=200, body="ab"))
    page.goto(f"/tx/{proven.txid_hex}")
    expect(page.locator("[data-verdict]")).to_contain_text("does not have 80 bytes")
    expect(page.locator(".verdict-good")).to_have_count(0)


def test_pages_of_single_things_fit_a_phone(page, chain, proven):
    for path in (f"/tx/{proven.txid_hex}", f"/search?q={ALICE.public_key.compressed.hex()}", "/search?q=bcrt1"):
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach((more) => { more.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_the_picture_leads_to_where_the_coins_went(page, chain, proven):
    page.goto(f"/tx/{proven.txid_hex}")
    page.locator(".flow-label", has_text="50 BTC").click()
    expect(page).to_have_url(re.compile(r"/tx/[0-9a-f]{64}#out-0$"))
    page.wait_for_load_state()  # where the page goes to #out-0, the browser takes the focus from what has it
    page.get_by_role("link", name="Output 0").press("Enter")
    expect(page.locator("#in-0")).to_be_in_viewport()


def test_a_transaction_shows_its_proof_as_soon_as_it_is_in_a_block(page, chain):
    coin = output_of(chain.mine(ALICE).transactions[0], 0, ALICE)
    tx = pay(coin, BOB, COIN)
    chain.pool_add(tx)
    page.goto(f"/tx/{tx.txid_hex}")
    expect(page.get_by_text("Unconfirmed", exact=True)).to_be_visible()
    expect(page.locator("#live-sign")).to_have_text("Live")
    chain.mine(ALICE, [tx])
    expect(page.locator("[data-verdict]")).to_contain_text("Verified here, by your browser: 1 step", timeout=15_000)
    expect(page.locator(".badge", has_text="1 confirmation")).to_be_visible()
