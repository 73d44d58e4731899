"""The walk in a real browser, as a student would do it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack

PASSWORD = "correct horse battery"


def create_wallet(page: Page, stack: Stack, wallet_id: str) -> None:
    page.goto(f"{stack.state.wallet_url}/{wallet_id}")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Create wallet").click()
    expect(page.get_by_label("Recovery words").get_by_role("listitem")).to_have_count(12)
    page.get_by_role("link", name="I have written it down").click()
    expect(page.locator("#wallet-id")).to_have_text(wallet_id)


def send(page: Page, stack: Stack, to: str, amount: str, password: str) -> None:
    page.goto(f"{stack.state.wallet_url}/creator")
    page.get_by_label("Or to another payee").fill(to)
    page.get_by_label("Amount").fill(amount)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Send {amount}")
    if page.get_by_label("Password of creator").count():
        page.get_by_label("Password of creator").fill(password)
    page.get_by_role("button", name="Confirm and send").click()


def shown_balance(page: Page) -> int:
    return int(page.locator("#balance").get_attribute("data-sats") or "")


@pytest.mark.parametrize("script", [True, False], ids=["javascript", "no javascript"])
def test_the_walk_in_a_browser(stack: Stack, browser, script: bool) -> None:
    context = browser.new_context(java_script_enabled=script)
    page = context.new_page()
    payee = "wallet_1" if script else "wallet_2"
    page.goto(f"{stack.state.wallet_url}/creator")
    expect(page.locator("#wallet-id")).to_have_text("creator")
    expect(page.locator("#public-key")).to_have_text(re.compile("^0[23][0-9a-f]{64}$"))
    expect(page.locator(".qr img")).to_be_visible()
    before = shown_balance(page)
    page.get_by_role("button", name="Get Balance").click()
    expect(page.locator("#balance")).to_have_attribute("data-sats", str(before))

    create_wallet(page, stack, payee)
    assert shown_balance(page) == 0
    address = page.locator("#address").inner_text()
    page.get_by_text("Public key as PEM").click()
    pem = page.locator("#public-key-pem").inner_text()

    send(page, stack, address, "50", stack.creator_password)
    expect(page.get_by_role("status")).to_contain_text("accepted the payment")
    page.get_by_role("link", name="See it in the explorer").click()
    expect(page.locator("body")).to_contain_text(address[-8:])

    send(page, stack, pem, "1.5", stack.creator_password)
    expect(page.get_by_role("status")).to_contain_text("accepted the payment")

    page.goto(f"{stack.state.rpc_url}/mine")
    page.get_by_role("button", name="Mine now").click()
    expect(page.get_by_role("status")).to_contain_text("A block was mined.")
    page.get_by_role("status").get_by_role("link").click()
    expect(page.locator("body")).to_contain_text("miner-")

    page.goto(f"{stack.state.wallet_url}/{payee}")
    page.get_by_role("button", name="Get Balance").click()
    expect(page.locator("#balance")).to_have_attribute("data-sats", "5150000000")
    page.goto(f"{stack.state.wallet_url}/{payee}")
    page.get_by_role("button", name="Mine a block").click()
    expect(page.locator("#immature")).to_contain_text("50")
    page.goto(f"{stack.state.explorer_url}/address/{address}")
    expect(page.locator("body")).to_contain_text("50.00000000")
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_every_field_has_a_label_and_no_page_is_wider_than_the_window(stack: Stack, page: Page, width: int) -> None:
    state = stack.state
    page.set_viewport_size({"width": width, "height": 844})
    for url in (
        *(f"{state.wallet_url}{path}" for path in ("/", "/creator", "/nobody-yet")),
        *(f"{state.explorer_url}{path}" for path in ("/", "/faucet")),
        f"{state.rpc_url}/mine",
    ):
        page.goto(url)
        fields = page.locator("input:not([type=hidden], [hidden]), select, textarea")
        assert fields.count() > 0, url
        assert fields.evaluate_all("fields => fields.filter((field) => !field.labels.length).map((f) => f.name)") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width, url


def test_get_balance_shows_what_came_in_meanwhile_without_reloading_the_page(stack: Stack, page: Page) -> None:
    create_wallet(page, stack, "watcher")
    page.evaluate("window.isSamePage = true")
    stack.mine(stack.balance("watcher")["address"])
    expect(page.locator("#balance")).to_have_attribute("data-sats", "0")
    page.get_by_role("button", name="Get Balance").click()
    expect(page.locator("#balance")).to_have_attribute("data-sats", str(stack.balance("watcher")["balance"]))
    expect(page.locator("#maturing")).to_contain_text("They can be spent after 99 more blocks")
    expect(page.locator("#history")).to_contain_text("Mined")
    assert page.evaluate("window.isSamePage")


def test_two_hundred_blocks_leave_the_form_where_it_was(stack: Stack, page: Page) -> None:
    page.goto(f"{stack.state.rpc_url}/mine")
    page.get_by_label("Number of blocks").fill("200")
    page.get_by_role("button", name="Mine now").click()
    page.get_by_text("200 blocks were mined").wait_for()
    button = page.get_by_role("button", name="Mine now").bounding_box()
    assert button is not None
    assert button["y"] + button["height"] < 900
    assert page.locator("body").bounding_box()["height"] < 1_800  # type: ignore[index]


def test_a_refused_payment_is_explained_on_the_page(stack: Stack, page: Page) -> None:
    page.goto(f"{stack.state.wallet_url}/creator")
    page.locator("#to").fill("not an address")
    page.get_by_label("Amount").fill("1")
    with page.expect_response(lambda reply: reply.request.method == "POST") as reply:
        page.get_by_role("button", name="Send", exact=True).click()
    assert reply.value.status == 422 or reply.value.status == 400
    expect(page.get_by_role("alert")).to_be_visible()


def test_the_search_box_finds_blocks_transactions_and_addresses(stack: Stack, page: Page) -> None:
    block_hash = stack.rpc("getblockhash", 5)
    coinbase = stack.rpc("getblock", block_hash, 1)["tx"][0]
    address = stack.balance("creator")["address"]
    for query, path in (
        ("5", f"/block/{block_hash}"),
        (block_hash, f"/block/{block_hash}"),
        (coinbase, f"/tx/{coinbase}"),
        (address, f"/address/{address}"),
    ):
        page.goto(stack.state.explorer_url)
        page.get_by_role("searchbox").first.fill(query)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
