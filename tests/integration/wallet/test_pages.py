"""The wallet's pages, without JavaScript."""

from __future__ import annotations

import html
import re

import pytest

from shared.bus.events import TxSubmitted
from tests.integration.wallet.conftest import COIN, PASSWORD, Stack
from tests.integration.wallet.test_api import raise_timeout, verdict

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Browser:
    """Follows links and fills in forms as they are on the page."""

    def __init__(self, stack: Stack) -> None:
        self.http = stack.app.test_client()
        self.page = ""
        self.status = 0
        self.path = ""

    def open(self, path: str) -> Browser:
        self._take(self.http.get(path, headers=HTML, follow_redirects=True))
        return self

    def submit(self, action: str, **fields: str) -> Browser:
        form = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', self.page, re.DOTALL)
        assert form, f"no form for {action} on {self.page}"
        values = {
            match["name"]: html.unescape(match["value"])
            for match in re.finditer(r'<input[^>]*name="(?P<name>[^"]+)"[^>]*value="(?P<value>[^"]*)"', form[1])
        }
        self._take(self.http.post(action, data=values | fields, headers=HTML, follow_redirects=True))
        return self

    def _take(self, response) -> None:
        self.page, self.status, self.path = response.get_data(as_text=True), response.status_code, response.request.path
        if response.mimetype == "text/html":
            check_page(response)

    @property
    def text(self) -> str:
        return " ".join(html.unescape(re.sub(r"<[^>]+>", "", self.page)).split())


def check_page(response) -> None:
    """Check the rules for every page."""
    page = response.get_data(as_text=True)
    assert "script-src 'unsafe" not in response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", page)
    assert response.headers["Cache-Control"] == "no-store"
    for form in re.findall(r'<form[^>]*method="post"[^>]*>.*?</form>', page, re.DOTALL):
        assert 'name="form_token"' in form


@pytest.fixture
def browser(stack: Stack) -> Browser:
    return Browser(stack)


def test_the_walk_in_a_browser(stack: Stack, browser: Browser) -> None:
    stack.fund("creator", 3)
    browser.open("/wallet_1")
    assert "Create wallet_1?" in browser.text
    browser.submit("/", password="one", password2="one")
    assert len(re.findall(r"<li>[a-z]+</li>", browser.page)) == 12
    assert "I have written it down" in browser.text
    browser.open("/wallet_1")
    address = stack.get("/wallet_1").json["address"]
    public_key = stack.get("/wallet_1").json["public_key"]
    for part in (address, public_key, "BEGIN PUBLIC KEY", "Get Balance", "qr.svg"):
        assert part in browser.page

    browser.open("/creator").submit("/creator/review", to=public_key, amount="50", feerate="2")
    assert "Send 50.00000000 BTC?" in browser.text
    assert address in browser.text
    assert "at 2 sat/vB" in browser.text
    browser.submit("/creator/send", password=PASSWORD)
    assert browser.path.startswith("/creator/sent/")
    txid_hex = browser.path.rsplit("/", 1)[1]
    assert f'href="http://127.0.0.1:3000/tx/{txid_hex}"' in browser.page
    assert "The mempool accepted the payment" in browser.text

    browser.open("/creator").submit("/creator/mine")
    assert "Mined a block that pays this wallet" in browser.text
    assert "Mined a block" not in browser.open("/creator").text.replace("Mine a block", "")
    assert stack.get("/wallet_1").json["balance"] == 50 * COIN
    assert 'data-sats="5000000000"' in browser.open("/wallet_1").page


def test_the_start_page_lists_wallets_and_creates_them(stack: Stack, browser: Browser) -> None:
    assert "There is no wallet yet" in browser.open("/").text
    browser.submit("/", id="mine", password="a", password2="a")
    assert 'href="/mine"' in browser.open("/").page
    browser.submit("/", id="mine", password="b", password2="b")
    assert browser.status == 409
    assert "exists already" in browser.text
    browser.open("/").submit("/", id="other", password="a", password2="b")
    assert browser.status == 400
    assert "not the same" in browser.text
    browser.open("/").submit("/", id="no/good", password="a", password2="a")
    assert browser.status == 400
    assert stack.store.ids() == ["mine"]


def test_the_words_are_shown_once(stack: Stack, browser: Browser) -> None:
    words = re.findall(r"<li>([a-z]+)</li>", browser.open("/w").submit("/", password="a", password2="a").page)
    assert len(words) == 12
    for path in ("/w", "/"):
        assert not re.search(r"\s".join(words[:3]), browser.open(path).text)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"to": "", "amount": "1"}, "The payee is missing"),
        ({"to": "nonsense", "amount": "1"}, "Not an address"),
        ({"amount": "0"}, "more than zero"),
        ({"amount": "-1"}, "must not be negative"),
        ({"amount": "x"}, "must be a number"),
        ({"amount": ""}, "amount is missing"),
        ({"amount": "0.000000001"}, "more than 8 decimals"),
        ({"amount": "0.00000001"}, "dust"),
        ({"amount": "51"}, "Insufficient funds"),
        ({"amount": "1", "feerate": "0"}, "more than zero"),
    ],
)
def test_a_mistake_is_explained_beside_the_form_and_what_was_typed_stays(
    stack: Stack, browser: Browser, fields: dict[str, str], words: str
) -> None:
    address = stack.fund("w")
    before = stack.wallet_records()
    browser.open("/w").submit("/w/review", **({"to": address, "amount": "1"} | fields))
    assert browser.status in (400, 422)
    assert words in browser.text
    assert 'aria-invalid="true"' in browser.page
    assert html.escape(fields.get("amount", "1")) in browser.page
    assert stack.wallet_records() == before


def test_what_is_typed_is_escaped(stack: Stack, browser: Browser) -> None:
    stack.fund("w")
    browser.open("/w").submit("/w/review", to='</textarea><script>alert(1)</script>"', amount='"><b>')
    assert "<script>alert" not in browser.page
    assert '"><b>' not in browser.page


def test_a_wrong_password_asks_again_and_sends_nothing(stack: Stack, browser: Browser) -> None:
    address = stack.fund("w")
    before = stack.wallet_records()
    browser.open("/w").submit("/w/review", to=address, amount="1").submit("/w/send", password="wrong")
    assert browser.status == 403
    assert "The password is wrong" in browser.text
    assert stack.wallet_records() == before
    browser.submit("/w/send", password=PASSWORD)
    assert "The mempool accepted" in browser.text


def test_confirming_twice_pays_once(stack: Stack, browser: Browser) -> None:
    stack.fund("w", 2)
    payee = stack.create("payee")
    review = browser.open("/w").submit("/w/review", to=payee, amount="1").page
    first = browser.submit("/w/send", password=PASSWORD).path
    browser.page = review
    assert browser.submit("/w/send", password=PASSWORD).path == first
    assert stack.get("/payee").json["unconfirmed"] == COIN


def test_a_fee_that_is_no_longer_the_confirmed_one_is_asked_for_again(stack: Stack, browser: Browser) -> None:
    stack.fund("w", 2)
    payee = stack.create("payee")
    browser.open("/w").submit("/w/review", to=payee, amount="30")
    stack.post("/w/send", to=payee, amount="20", password=PASSWORD)
    stack.post("/w/send", to=payee, amount="40", password=PASSWORD)
    browser.submit("/w/send", password=PASSWORD)
    assert browser.status == 409
    assert "the fee; nothing was sent" in browser.text
    assert stack.get("/payee").json["unconfirmed"] == 60 * COIN
    browser.submit("/w/send", password=PASSWORD)
    assert stack.get("/payee").json["unconfirmed"] == 90 * COIN


def test_a_refusal_shows_the_exact_reason(stack: Stack, browser: Browser) -> None:
    address = stack.fund("w")
    stack.broker.answers[TxSubmitted] = lambda message: verdict(message, "too-long-mempool-chain", "limit 25")
    browser.open("/w").submit("/w/review", to=address, amount="1").submit("/w/send", password=PASSWORD)
    assert browser.status == 422
    assert "<code>too-long-mempool-chain</code>" in browser.page


def test_no_verdict_in_time_is_shown_with_the_transaction(stack: Stack, browser: Browser) -> None:
    address = stack.fund("w")
    stack.broker.answers[TxSubmitted] = raise_timeout
    browser.open("/w").submit("/w/review", to=address, amount="1").submit("/w/send", password=PASSWORD)
    assert "No verdict yet" in browser.text
    assert browser.path.rsplit("/", 1)[1] in browser.page


@pytest.mark.parametrize(
    "action", ["review", "send", "unlock", "lock", "mine", "addresses", "export", "test-coins", "sent/00/mine"]
)
def test_a_form_from_elsewhere_does_nothing(stack: Stack, browser: Browser, action: str) -> None:
    address = stack.fund("w")
    browser.open("/w")
    before, height = stack.wallet_records(), stack.view.tip().height
    body = {"to": address, "amount": "1", "fee": "0.00000141", "password": PASSWORD}
    for token in ({}, {"form_token": ""}, {"form_token": "0" * 64}):
        answer = browser.http.post(f"/w/{action}", data=body | token, headers=HTML)
        assert answer.status_code == 403
        assert b"nothing was done" in answer.data
    assert (stack.wallet_records(), stack.view.tip().height) == (before, height)


def test_creating_a_wallet_needs_a_form_of_ours(stack: Stack) -> None:
    answer = stack.app.test_client().post("/", data={"id": "w", "password": "a", "password2": "a"})
    assert answer.status_code == 403
    assert stack.store.ids() == []


def test_unlocking_and_locking(stack: Stack, browser: Browser) -> None:
    address = stack.fund("w")
    browser.open("/w").submit("/w/unlock", password="wrong")
    assert (browser.status, "The password is wrong" in browser.text) == (403, True)
    browser.submit("/w/unlock", password=PASSWORD)
    assert "Unlocked for 15 minutes" in browser.text
    browser.submit("/w/review", to=address, amount="1")
    assert "no password needed" in browser.text
    browser.submit("/w/send")
    assert "The mempool accepted" in browser.text
    browser.open("/w").submit("/w/lock")
    assert "Locked." in browser.text
    assert not [name for name in stack.wallet_records() if ":session:" in name]


def test_a_new_address_and_an_export(stack: Stack, browser: Browser) -> None:
    old = stack.fund("w")
    browser.open("/w").submit("/w/addresses")
    assert "Here is a new address" in browser.text
    assert old not in browser.page
    assert browser.submit("/w/export", password="wrong").status == 403
    browser.submit("/w/export", password=PASSWORD)
    assert browser.page.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_the_qr_code_is_an_image_of_the_address(stack: Stack) -> None:
    stack.create("w")
    answer = stack.http.get("/w/qr.svg")
    assert answer.mimetype == "image/svg+xml"
    assert answer.data.startswith(b"<svg")
    assert stack.http.get("/nobody/qr.svg").status_code == 404


def test_older_history_is_a_page_further(stack: Stack, browser: Browser) -> None:
    stack.fund("w", 17)
    heights = [int(height) for height in re.findall(r"Block (\d+)<", browser.open("/w").page)]
    older = re.search(r'href="(/w\?after=[0-9a-f]{64})', browser.page)
    assert older
    heights += [int(height) for height in re.findall(r"Block (\d+)<", browser.open(older[1]).page)]
    assert heights == list(range(17, 0, -1))


@pytest.mark.parametrize(
    "path", ["/favicon.ico", "/a.b", "/" + "x" * 65, "/w/sent/zz", "/w/sent/" + "00" * 32, "/w/no"]
)
def test_what_is_not_there_is_not_found(stack: Stack, browser: Browser, path: str) -> None:
    stack.create("w")
    assert browser.open(path).status == 404


def test_a_broken_broker_is_told_on_the_page(stack: Stack, browser: Browser) -> None:
    stack.create("w")
    stack.broker.away = True
    browser.open("/w").submit("/w/mine")
    assert "No block was mined" in browser.text


@pytest.mark.parametrize("missing", ["to", "amount", "feerate"])
def test_a_form_that_lacks_a_field_is_explained_too(stack: Stack, browser: Browser, missing: str) -> None:
    address = stack.create("w")
    token = re.search(r'name="form_token" value="(\w+)"', browser.open("/w").page)
    assert token
    fields = {"form_token": token[1], "to": address, "amount": "1", "feerate": "1"}
    del fields[missing]
    answer = browser.http.post("/w/review", data=fields, headers=HTML)
    assert answer.status_code in (400, 422)
