"""The faucet's page and form for browsers; programs get Nigiri's answers from its path."""

from __future__ import annotations

import html
from dataclasses import replace

import pytest

from services.explorer.app import create_explorer
from shared.bus.events import (
    AddressRequested,
    AddressResult,
    CoinsRequested,
    CoinsResult,
    MineRequested,
    MineResult,
    WalletName,
    WalletsRequested,
    WalletsResult,
)
from shared.config import Settings
from shared.consensus.params import REGTEST, SIGNET
from shared.errors import RequestTimeout
from tests.builders import key, p2wpkh
from tests.integration.explorer.conftest import COIN, address_of

BOB, CAROL = address_of("bob"), address_of("carol")
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
NAMES = (
    WalletName(id="creator", address=address_of("creator")),
    WalletName(id="bobs", address=BOB),
    WalletName(id="carols", address=CAROL),
)


@pytest.fixture(autouse=True)
def services(broker, story):
    """The wallet, which pays with a transaction of the story that is in a block, and the mempool."""
    broker.answers = {
        CoinsRequested: lambda message: CoinsResult(txid=story.payment.txid_hex),
        AddressRequested: lambda message: AddressResult(address=address_of("creator")),
        MineRequested: lambda message: MineResult(hashes=("00" * 32,)),
        WalletsRequested: lambda message: WalletsResult(wallets=NAMES),
    }


@pytest.fixture
def post(client):
    def post(follow=True, **form):
        return client.post("/faucet", data=form, headers=BROWSER, follow_redirects=follow)

    return post


def asked(broker, kind):
    return [message for message in broker.published if isinstance(message, kind)]


def test_a_wallet_is_chosen_paid_and_shown_confirmed(client, post, broker, story):
    page = client.get("/faucet", headers=BROWSER).text
    assert f'<option value="{BOB}">bobs</option>' in page
    assert ">creator</option>" not in page
    answer = post(wallet=BOB, address="", amount="12")
    assert answer.status_code == 200
    assert asked(broker, CoinsRequested) == [CoinsRequested(script_pubkey=p2wpkh(key("bob")).hex(), amount=12 * COIN)]
    assert [message.count for message in asked(broker, MineRequested)] == [1]
    assert "Test coins came in" in answer.text
    assert "They are in block 37 and can be spent now." in answer.text
    assert f"/tx/{story.payment.txid_hex}" in answer.text
    assert 'href="http://127.0.0.1:8080/bobs"' in answer.text


def test_reloading_what_follows_a_payment_pays_nothing_again(client, post, broker):
    where = post(follow=False, wallet=BOB, amount="1")
    assert where.status_code == 303
    for _ in range(2):
        assert client.get(where.headers["Location"], headers=BROWSER).status_code == 200
    assert len(asked(broker, CoinsRequested)) == 1


def test_a_typed_address_goes_before_the_chosen_wallet(post, broker):
    post(wallet=BOB, address=f" {CAROL} ", amount="1")
    assert [message.script_pubkey for message in asked(broker, CoinsRequested)] == [p2wpkh(key("carol")).hex()]


def test_where_no_block_is_found_the_page_offers_to_mine_one(post, broker, story):
    broker.answers[MineRequested] = lambda message: MineResult(hashes=(), error="no miner")
    broker.answers[CoinsRequested] = lambda message: CoinsResult(txid=story.waiting.txid_hex)
    answer = post(wallet=CAROL, amount="2")
    assert (answer.status_code, "wait for a block" in answer.text) == (200, True)
    assert "Mine a block" in answer.text
    again = post(address=CAROL, paid=story.waiting.txid_hex)
    assert "Mine a block" in again.text
    assert len(asked(broker, MineRequested)) == 2
    assert len(asked(broker, CoinsRequested)) == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"amount": "1"}, "Choose a wallet or fill in an address."),
        ({"address": "nonsense", "amount": "1"}, "The address cannot be paid: Invalid Bitcoin address"),
        ({"address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "amount": "1"}, "invalid network"),
        *(({"wallet": BOB, "amount": amount}, "must be a number of BTC") for amount in ("", "x", "NaN", "Infinity")),
        *(({"wallet": BOB, "amount": amount}, "must be from 1 satoshi") for amount in ("0", "-1", "21000001", "1e99")),
        ({"wallet": BOB, "amount": "0.000000001"}, "more than 8 decimals"),
        ({"wallet": BOB, "amount": "1" * 40}, "must be a number of BTC"),
    ],
)
def test_a_mistake_is_told_beside_its_field_and_what_was_typed_stays(post, broker, form, words):
    answer = post(**form)
    assert answer.status_code == 400
    assert words in html.unescape(answer.text)
    assert 'aria-invalid="true"' in answer.text
    assert form["amount"] in answer.text
    assert asked(broker, CoinsRequested) == []


@pytest.mark.parametrize(
    ("code", "status"), [("insufficient-funds", 400), ("wrong-password", 400), ("no-faucet", 400), ("busy", 503)]
)
def test_a_faucet_that_does_not_pay_says_why_and_what_to_do(post, broker, code, status):
    broker.answers[CoinsRequested] = lambda message: CoinsResult(reason=code, detail="the reason", advice="The advice.")
    answer = post(wallet=BOB, amount="1")
    assert answer.status_code == status
    assert "No test coins came: the reason." in answer.text
    assert "The advice." in answer.text
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert asked(broker, MineRequested) == []


def test_while_the_wallet_service_is_away_the_page_takes_an_address_and_says_so(client, post, broker):
    def no_answer(message):
        raise RequestTimeout("no answer")

    broker.answers |= {WalletsRequested: no_answer, CoinsRequested: no_answer}
    page = client.get("/faucet", headers=BROWSER)
    assert (page.status_code, "<select" in page.text) == (200, False)
    answer = post(address=BOB, amount="1")
    assert answer.status_code == 503
    assert "No test coins came: no answer in time: the coins may still come" in answer.text
    assert "aria-invalid" not in answer.text


@pytest.mark.parametrize("paid", ["zz", "ab" * 32, ""])
def test_a_link_to_a_payment_that_is_not_one_claims_nothing(client, story, paid):
    page = client.get(f"/faucet?address={BOB}&paid={paid}", headers=BROWSER)
    assert (page.status_code, "Test coins came in" in page.text) == (200, False)
    other = client.get(f"/faucet?address={address_of('nobody')}&paid={story.payment.txid_hex}", headers=BROWSER)
    assert "Test coins came in" not in other.text


def test_what_is_typed_is_escaped(post):
    answer = post(address='"><script>alert(1)</script>', amount='"><b>')
    assert "<script>alert" not in answer.text
    assert '"><b>' not in answer.text


def test_programs_get_nigiris_answers_at_the_same_path(client, story):
    assert client.post("/faucet", json={"address": BOB}).json == {"txId": story.payment.txid_hex}
    assert client.post("/api/faucet", json={"address": BOB}, headers=BROWSER).json == {"txId": story.payment.txid_hex}
    answer = client.get("/faucet")
    assert (answer.status_code, answer.text) == (404, 'endpoint does not exist "/faucet"')


def test_an_address_that_was_never_used_leads_to_the_faucet_with_it(client):
    nobody = address_of("nobody")
    assert f'href="/faucet?address={nobody}"' in client.get(f"/address/{nobody}", headers=BROWSER).text
    assert f'value="{nobody}"' in client.get(f"/faucet?address={nobody}", headers=BROWSER).text


@pytest.mark.parametrize(
    ("settings", "params"), [(Settings(faucet="off"), REGTEST), (Settings(), replace(SIGNET, name="regtest"))]
)
def test_where_no_test_coins_can_be_had_no_page_leads_to_them(story, broker, settings, params):
    client = create_explorer(settings, params, story.chain.view, broker, {}).app.test_client()
    nobody = "/address/" + (address_of("nobody") if params is REGTEST else "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx")
    for path in ("/blocks", nobody):
        page = client.get(path, headers=BROWSER)
        assert (page.status_code, "faucet" in page.text.lower()) == (200, False)
