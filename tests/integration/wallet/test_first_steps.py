"""Help for newcomers on the pages: test coins, payees by name, when coins mature, where the password is."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.wallet import directory
from services.wallet.__main__ import _tell_names
from services.wallet.app import create_wallet_app
from shared.bus.events import MineRequested, MineResult, WalletName, WalletsRequested, WalletsResult
from shared.config import Settings
from shared.process.shutdown import ExitFlag
from tests.integration.wallet.conftest import COIN, PASSWORD, Stack
from tests.integration.wallet.test_pages import Browser


@pytest.fixture
def browser(stack: Stack) -> Browser:
    return Browser(stack)


def balance(stack: Stack, wallet_id: str) -> dict[str, int]:
    return stack.get(f"/{wallet_id}").json


# ── test coins ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_wallet_gets_test_coins_at_one_press_and_can_spend_them(stack: Stack, browser: Browser) -> None:
    stack.first_start()
    stack.create("w")
    height = stack.view.tip().height
    browser.open("/w").submit("/w/test-coins")
    assert browser.path == "/w"
    assert "Test coins came in: 10 BTC, in a block of their own. They can be spent now." in browser.text
    assert "http://127.0.0.1:3000/tx/" in browser.page
    assert (balance(stack, "w")["spendable"], stack.view.tip().height) == (10 * COIN, height + 1)
    browser.submit("/w/review", to=stack.get("/creator").json["address"], amount="1").submit(
        "/w/send", password=PASSWORD
    )
    assert "The mempool accepted the payment" in browser.text


def test_pressing_twice_by_mistake_pays_once_and_pressing_again_pays_again(stack: Stack, browser: Browser) -> None:
    stack.first_start()
    stack.create("w")
    page = browser.open("/w").page
    browser.submit("/w/test-coins")
    browser.page = page
    browser.submit("/w/test-coins")
    assert balance(stack, "w")["balance"] == 10 * COIN
    browser.submit("/w/test-coins")
    assert balance(stack, "w")["balance"] == 20 * COIN


def test_while_no_block_is_mined_the_coins_are_said_to_wait(stack: Stack, browser: Browser) -> None:
    stack.first_start()
    stack.create("w")
    stack.broker.answers[MineRequested] = lambda message: MineResult(hashes=(), error="no miner")
    browser.open("/w").submit("/w/test-coins")
    assert "10 BTC wait for a block. Mine a block to have them." in browser.text
    assert balance(stack, "w")["unconfirmed"] == 10 * COIN


def test_an_empty_faucet_says_so_and_what_to_do(stack: Stack, browser: Browser) -> None:
    stack.first_start(1)
    stack.create("w")
    stack.broker.answers[MineRequested] = lambda message: MineResult(hashes=(), error="no miner")
    browser.open("/w").submit("/w/test-coins")
    assert "No test coins came: no miner." in browser.text
    stack.faucet._may_mine = False
    browser.submit("/w/test-coins")
    assert "The faucet is short of coins: it pays from the wallet creator." in browser.text
    assert "mine blocks to creator" in browser.text
    assert balance(stack, "w")["unconfirmed"] == 0


def test_a_locked_faucet_says_so_and_what_to_do(stack: Stack, browser: Browser) -> None:
    stack.first_start()
    stack.create("w")
    stack.password_file.write_text("another")
    browser.open("/w").submit("/w/test-coins")
    assert "No test coins came: the password is wrong. The faucet is locked" in browser.text
    stack.password_file.unlink()
    browser.submit("/w/test-coins")
    assert "there is no faucet" in browser.text
    assert "Mine to your own wallet instead" in browser.text


def test_without_a_broker_nothing_is_paid(stack: Stack, browser: Browser) -> None:
    stack.first_start()
    stack.create("w")
    browser.open("/w")
    stack.broker.away = True
    browser.submit("/w/test-coins")
    assert "No test coins came: the broker is away; nothing was sent" in browser.text


def test_test_coins_are_not_offered_to_the_wallet_that_they_come_from_nor_without_one(
    stack: Stack, browser: Browser
) -> None:
    stack.create("w")
    assert "Get test coins" not in browser.open("/w").page
    stack.first_start()
    assert "Get test coins" in browser.open("/w").page
    assert "Get test coins" not in browser.open("/creator").page


def test_where_the_faucet_is_off_there_is_no_button_and_no_api(stack: Stack) -> None:
    stack.first_start()
    stack.create("w")
    stack.app = create_wallet_app(Settings(), stack.wallets, stack.payments, stack.new_sessions(), None, {})
    browser = Browser(stack)
    assert "Get test coins" not in browser.open("/w").page
    answer = stack.app.test_client().post("/api/wallets/w/test-coins", json={})
    assert (answer.status_code, answer.json["code"]) == (404, "no-faucet")


def test_a_program_gets_test_coins_too(stack: Stack) -> None:
    stack.first_start()
    stack.create("w")
    first = stack.post("/w/test-coins", request_id="a").json
    assert first["amount"] == 10 * COIN
    assert first["block"] == stack.view.tip().hash[::-1].hex()
    assert stack.post("/w/test-coins", request_id="a").json["txid"] == first["txid"]
    assert stack.post("/w/test-coins").json["txid"] != first["txid"]
    assert balance(stack, "w")["balance"] == 20 * COIN
    assert stack.post("/nobody/test-coins").json["code"] == "unknown-wallet"
    assert stack.post("/w/test-coins", amount=5).json["code"] == "unknown-field"


# ── when coins mature ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_wallet_says_when_its_mined_coins_can_be_spent_and_then_they_can(stack: Stack, browser: Browser) -> None:
    payee = stack.create("payee")
    stack.create("w")
    browser.open("/w").submit("/w/mine")
    assert balance(stack, "w")["maturing"] == [{"height": 3, "amount": 50 * COIN}]
    assert "They can be spent after 2 more blocks, at height 3." in browser.text
    browser.submit("/w/mine")
    assert "50.00000000 BTC can be spent after 1 more block, at height 3; all of it at height 4." in browser.text
    browser.submit("/w/review", to=payee, amount="1")
    assert "Insufficient funds" in browser.text
    assert "Mined coins have to mature. 50.00000000 BTC can be spent after 1 more block" in browser.text
    stack.mine()
    assert balance(stack, "w")["spendable"] == 50 * COIN
    browser.open("/w").submit("/w/review", to=payee, amount="1").submit("/w/send", password=PASSWORD)
    assert "The mempool accepted the payment" in browser.text


def test_the_link_beside_it_mines_what_is_missing(stack: Stack, browser: Browser) -> None:
    address = stack.create("w")
    browser.open("/w").submit("/w/mine")
    assert f'href="http://127.0.0.1:18443/mine?address={address}&amp;blocks=2">Mine 2 blocks</a>' in browser.page


def test_nothing_is_said_to_mature_where_nothing_does(stack: Stack, browser: Browser) -> None:
    stack.fund("w")
    assert balance(stack, "w")["maturing"] == []
    assert 'id="maturing"' not in browser.open("/w").page


# ── payees by name ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_form_offers_the_other_wallets_as_payees(stack: Stack, browser: Browser) -> None:
    stack.fund("w")
    address = stack.create("friend")
    browser.open("/w")
    assert f'<option value="{address}">friend</option>' in browser.page
    assert ">w</option>" not in browser.page
    browser.submit("/w/review", wallet=address, amount="1")
    assert f"To friend {address}" in browser.text
    browser.submit("/w/send", password=PASSWORD)
    assert balance(stack, "friend")["unconfirmed"] == COIN


def test_a_chosen_wallet_and_another_payee_are_too_many(stack: Stack, browser: Browser) -> None:
    address = stack.fund("w")
    friend = stack.create("friend")
    browser.open("/w").submit("/w/review", wallet=friend, to=address, amount="1")
    assert browser.status == 400
    assert "Choose a wallet or fill in another payee, not both." in browser.text
    assert f'<option value="{friend}" selected>' in browser.page
    assert browser.submit("/w/review", wallet=friend, to=f" {friend} ", amount="1").status == 200


def test_the_directory_names_creator_first_and_then_the_newest_but_not_all_of_many(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "MAX_NAMES", 3)
    assert directory.names(stack.wallets) == ()
    ids = ["creator", "a", "b", "c"]
    addresses = {}
    for number, wallet_id in enumerate(ids):
        stack.wallets._clock = lambda number=number: 1_700_000_000 + number
        addresses[wallet_id] = stack.create(wallet_id)
    newer = stack.post("/c/addresses").json["address"]
    assert directory.names(stack.wallets) == (
        WalletName(id="creator", address=addresses["creator"]),
        WalletName(id="c", address=newer),
        WalletName(id="b", address=addresses["b"]),
    )


def test_the_names_are_told_over_the_bus_while_facts_wait(stack: Stack) -> None:
    address = stack.create("w")
    stop = ExitFlag()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_tell_names, stack.broker, stack.wallets, stop)
        answer = stack.broker.request(WalletsRequested(), 30)
        stop.set()
        running.result()
    assert answer == WalletsResult(wallets=(WalletName(id="w", address=address),))


# ── the creator's password ──────────────────────────────────────────────────────────────────────────────────────


def test_creators_page_says_where_its_password_is_and_never_the_password(stack: Stack, browser: Browser) -> None:
    stack.first_start()
    stack.create("w")
    password = stack.password_file.read_text().strip()
    assert str(stack.password_file) in browser.open("/creator").page
    assert stack.password_file.is_absolute()
    browser.submit("/creator/review", to=stack.get("/w").json["address"], amount="1")
    assert str(stack.password_file) in browser.page
    assert password not in browser.page
    assert str(stack.password_file) not in browser.open("/w").page
    assert password not in json.dumps(stack.get("/creator").json)
    stack.password_file.unlink()
    assert str(stack.password_file) not in browser.open("/creator").page


def test_in_containers_the_page_says_the_command_that_shows_it(stack: Stack) -> None:
    stack.first_start()
    command = "docker compose exec wallet cat /data/regtest/creator-password"
    settings = Settings(data_dir=stack.password_file.parents[1], creator_password_command=command)
    stack.app = create_wallet_app(settings, stack.wallets, stack.payments, stack.new_sessions(), None, {})
    page = Browser(stack).open("/creator").page
    assert command in page
    assert str(stack.password_file) not in page


def test_the_command_of_the_compose_file_is_the_one_of_the_docs() -> None:
    root = Path(__file__).resolve().parents[3]
    lines = (root / "deploy" / "compose.yaml").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if "WARREN_CREATOR_PASSWORD_COMMAND" in line]
    command = line.split(": ", 1)[1].replace("${WARREN_CHAIN:-regtest}", "regtest")
    assert command in (root / "docs" / "deployment.md").read_text(encoding="utf-8")


# ── a payment that is sent ──────────────────────────────────────────────────────────────────────────────────────


def test_the_sent_page_mines_a_block_and_shows_the_payment_confirmed(stack: Stack, browser: Browser) -> None:
    stack.fund("w")
    payee = stack.create("payee")
    browser.open("/w").submit("/w/review", to=payee, amount="1").submit("/w/send", password=PASSWORD)
    sent = browser.path
    assert "It waits for a block: mine one, and it is confirmed." in browser.text
    browser.submit(f"{sent}/mine")
    assert browser.path == sent
    assert "Mined a block that pays this wallet." in browser.text
    assert f"It is in block {stack.view.tip().height}." in browser.text
    assert "Mine a block" not in browser.text
    assert balance(stack, "payee")["confirmed"] == COIN


def test_mining_that_fails_is_told_on_the_sent_page(stack: Stack, browser: Browser) -> None:
    stack.fund("w")
    payee = stack.create("payee")
    browser.open("/w").submit("/w/review", to=payee, amount="1").submit("/w/send", password=PASSWORD)
    stack.broker.answers[MineRequested] = lambda message: MineResult(hashes=(), error="no miner")
    browser.submit(f"{browser.path}/mine")
    assert "No block was mined: no miner." in browser.text
    assert "Unconfirmed" in browser.text
