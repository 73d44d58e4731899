"""`/mine`: the page, the call for programs, and their refusals."""

from __future__ import annotations

import html
import json

import pytest
from flask.testing import FlaskClient

from shared.bus.events import MineRequested, MineResult, WalletName, WalletsRequested, WalletsResult
from shared.consensus.params import MAINNET, REGTEST
from shared.crypto.address import encode_address
from shared.errors import RequestTimeout
from tests import builders
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import ALICE, BOB, Chain

SCRIPT = builders.p2wpkh(ALICE)
ADDRESS = encode_address(SCRIPT, REGTEST.address) or ""
OTHER_SCRIPT = builders.p2wpkh(BOB)
OTHER_ADDRESS = encode_address(OTHER_SCRIPT, REGTEST.address) or ""
MAINNET_ADDRESS = encode_address(SCRIPT, MAINNET.address) or ""
PRIVATE_KEY = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA"
HASH = "ab" * 32
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def answered(broker: FakeBroker) -> FakeBroker:
    broker.answers[MineRequested] = lambda message: MineResult(hashes=(HASH,) * message.count)
    return broker


@pytest.fixture(autouse=True)
def wallets(broker: FakeBroker) -> list[WalletName]:
    """The wallets that the wallet service names."""
    named = [WalletName(id="creator", address=ADDRESS), WalletName(id="wallet_1", address=OTHER_ADDRESS)]
    broker.answers[WalletsRequested] = lambda _: WalletsResult(wallets=tuple(named))
    return named


def mined(broker: FakeBroker) -> list[MineRequested]:
    """The mining requests that were sent."""
    return [message for message in broker.published if isinstance(message, MineRequested)]


def test_the_page_has_a_button_and_the_tip(client: FlaskClient, chain: Chain) -> None:
    page = client.get("/mine").text
    assert '<button class="button button-primary" type="submit">Mine now</button>' in page
    assert chain.blocks[3].hash_hex in page


def test_mining_by_query(client: FlaskClient, answered: FakeBroker) -> None:
    response = client.post(f"/mine?blocks=3&address={ADDRESS}")
    assert response.status_code == 200
    assert response.json == {"message": "success", "blocks": [HASH] * 3}
    assert mined(answered) == [MineRequested(count=3, script_pubkey=SCRIPT.hex())]


@pytest.mark.parametrize("form", [{}, {"address": " "}, {"wallet": "", "blocks": "1"}])
def test_without_an_address_the_creator_is_paid(
    client: FlaskClient, answered: FakeBroker, form: dict[str, str]
) -> None:
    assert client.post("/mine", data=form).json == {"message": "success", "blocks": [HASH]}
    assert mined(answered) == [MineRequested(count=1, script_pubkey=SCRIPT.hex())]


def test_without_a_creator_there_must_be_an_address(
    client: FlaskClient, answered: FakeBroker, wallets: list[WalletName]
) -> None:
    del wallets[0]
    response = client.post("/mine")
    assert (response.status_code, mined(answered)) == (400, [])
    assert "address is missing" in response.text


def test_while_the_wallet_service_does_not_answer_an_address_is_needed_and_enough(
    client: FlaskClient, answered: FakeBroker
) -> None:
    def no_answer(message: WalletsRequested) -> WalletsResult:
        raise RequestTimeout("no answer")

    answered.answers[WalletsRequested] = no_answer
    page = client.get("/mine").text
    assert "<select" not in page
    assert 'name="address"' in page
    assert client.post("/mine").status_code == 503
    assert "No answer" in client.post("/mine", headers=BROWSER).text
    assert client.post("/mine", data={"address": ADDRESS}).status_code == 200


def test_the_page_offers_the_wallets_and_mines_at_one_press(client: FlaskClient, answered: FakeBroker) -> None:
    page = client.get("/mine").text
    assert f'<option value="{ADDRESS}">creator</option>' in page
    assert f'<option value="{OTHER_ADDRESS}">wallet_1</option>' in page
    assert "required" not in page.split('id="address"')[1].split(">")[0]
    client.post("/mine", data={"wallet": OTHER_ADDRESS, "address": "", "blocks": "1"}, headers=BROWSER)
    client.post("/mine", data={"wallet": ADDRESS, "address": OTHER_ADDRESS, "blocks": "2"}, headers=BROWSER)
    assert mined(answered) == [
        MineRequested(count=1, script_pubkey=OTHER_SCRIPT.hex()),
        MineRequested(count=2, script_pubkey=OTHER_SCRIPT.hex()),
    ]


def test_a_link_fills_in_the_form(client: FlaskClient) -> None:
    page = client.get(f"/mine?address={OTHER_ADDRESS}&blocks=99").text
    assert f'<option value="{OTHER_ADDRESS}" selected>wallet_1</option>' in page
    assert 'value="99"' in page
    stranger = encode_address(builders.p2wpkh(builders.key("stranger")), REGTEST.address) or ""
    assert f'value="{stranger}"' in client.get(f"/mine?address={stranger}").text


def test_many_blocks_are_listed_below_the_form(client: FlaskClient, answered: FakeBroker) -> None:
    page = client.post("/mine", data={"blocks": "200", "address": ADDRESS}, headers=BROWSER).text
    assert page.count(f"/block/{HASH}") == 201
    assert page.index("200 blocks were mined") < page.index("<form") < page.index("<ol")


def test_mining_by_form_is_one_block_unless_said_otherwise(client: FlaskClient, answered: FakeBroker) -> None:
    response = client.post("/mine", data={"address": f" {ADDRESS} "})
    assert response.json == {"message": "success", "blocks": [HASH]}


def test_a_browser_gets_the_page_with_the_block(client: FlaskClient, answered: FakeBroker) -> None:
    headers = {**BROWSER, "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    response = client.post("/mine", data={"address": ADDRESS, "blocks": "1"}, headers=headers)
    assert response.status_code == 200
    assert f"/block/{HASH}" in response.text
    assert "A block was mined" in response.text
    assert f'<option value="{ADDRESS}" selected>creator</option>' in response.text


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"address": "nonsense"}, "The address cannot be paid: not an address"),
        ({"address": ADDRESS[:-1]}, "The address cannot be paid: "),
        ({"wallet": "nonsense"}, "The address cannot be paid: not an address"),
        ({"address": PRIVATE_KEY}, "this is a private key, not an address"),
        ({"address": MAINNET_ADDRESS}, "mainnet"),
        ({"address": ADDRESS, "blocks": "0"}, "number of blocks must be"),
        ({"address": ADDRESS, "blocks": "-1"}, "number of blocks must be"),
        ({"address": ADDRESS, "blocks": "1001"}, "number of blocks must be"),
        ({"address": ADDRESS, "blocks": "1.5"}, "number of blocks must be"),
        ({"address": ADDRESS, "blocks": ""}, "number of blocks must be"),
        ({"address": ADDRESS, "blocks": "x"}, "number of blocks must be"),
        ({"address": ADDRESS, "blocks": "٣"}, "number of blocks must be"),
        ({"address": ADDRESS, "blocks": "9" * 5000}, "number of blocks must be"),
    ],
)
def test_bad_input_is_a_clear_400(client: FlaskClient, broker: FakeBroker, query: dict[str, str], detail: str) -> None:
    response = client.post("/mine", query_string=query)
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert PRIVATE_KEY not in response.text
    assert detail in response.json["detail"]
    page = client.post("/mine", data=query, headers=BROWSER)
    assert page.status_code == 400
    assert 'role="alert"' in page.text
    assert 'aria-invalid="true"' in page.text
    assert detail in html.unescape(page.text)
    assert mined(broker) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8080"},
        {"Referer": "http://evil.example/localhost"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    ],
)
def test_a_web_page_of_another_site_may_not_mine(
    client: FlaskClient, answered: FakeBroker, headers: dict[str, str]
) -> None:
    response = client.post(f"/mine?address={ADDRESS}", headers=headers)
    assert response.status_code == 403
    assert mined(answered) == []


@pytest.mark.parametrize("headers", [{"Referer": "http://localhost/mine"}, {"Sec-Fetch-Site": "none"}])
def test_the_page_itself_may(client: FlaskClient, answered: FakeBroker, headers: dict[str, str]) -> None:
    assert client.post(f"/mine?address={ADDRESS}", headers=headers).status_code == 200


@pytest.mark.parametrize("hashes", [(HASH,), ()])
def test_fewer_blocks_than_asked_for_are_never_called_a_success(
    client: FlaskClient, broker: FakeBroker, hashes: tuple[str, ...]
) -> None:
    message = "no miner found the next block"
    broker.answers[MineRequested] = lambda request: MineResult(hashes=hashes, error=message)
    response = client.post(f"/mine?blocks=2&address={ADDRESS}")
    assert response.status_code == 503
    assert response.json == {"message": message, "blocks": list(hashes)}
    page = client.post("/mine", data={"blocks": "2", "address": ADDRESS}, headers=BROWSER)
    assert (page.status_code, message in page.text) == (503, True)


def test_the_broker_away_is_503(client: FlaskClient, broker: FakeBroker) -> None:
    broker.away = True
    response = client.post(f"/mine?address={ADDRESS}")
    assert response.status_code == 503
    assert json.loads(response.data)["title"] == "Temporarily unavailable"
    page = client.post("/mine", data={"address": ADDRESS}, headers=BROWSER)
    assert (page.status_code, "No answer" in page.text) == (503, True)


def test_redis_away_is_503(client: FlaskClient, chain: Chain) -> None:
    chain.view.away = True
    assert client.get("/mine").status_code == 503


def test_a_large_form_is_refused(client: FlaskClient, broker: FakeBroker) -> None:
    assert client.post("/mine", data={"address": "x" * 70_000}).status_code == 413
    assert mined(broker) == []


def test_what_was_typed_is_escaped(client: FlaskClient) -> None:
    page = client.post("/mine", data={"address": '"><script>alert(1)</script>'}, headers=BROWSER)
    assert page.status_code == 400
    assert "<script>alert" not in page.text
