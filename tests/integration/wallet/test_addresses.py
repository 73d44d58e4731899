"""Addresses that were handed out and never paid: strangers cannot pile them up, and they cost a wallet nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from services.wallet.service import GAP
from shared.chain.redis_keys import script_hash
from shared.chain.view import scripts as script_reader
from tests.builders import key, p2wpkh
from tests.integration.wallet.conftest import COIN, PASSWORD, Stack
from tests.integration.wallet.test_pages import Browser, browser

__all__ = ["browser"]


def ask(stack: Stack, **body: str) -> tuple[int, str]:
    answer = stack.post("/w/addresses", **body)
    return answer.status_code, answer.json.get("address", answer.json.get("code"))


def hand_out(stack: Stack, count: int) -> None:
    """Let the wallet have used `count` receive addresses, as versions before the limit did for anyone."""
    stack.client.hset(f"{stack.keys.wallet}next:w", "receive", count)


def address_at(stack: Stack, index: int) -> str:
    return stack.get("/w/addresses").json["addresses"][-1 - index]


def test_strangers_get_the_newest_address_again_while_the_last_ones_are_unpaid(stack: Stack) -> None:
    first = stack.create("w")
    answers = [ask(stack) for _ in range(3 * GAP)]
    assert [status for status, _ in answers] == [201] * (GAP - 1) + [200] * (2 * GAP + 1)
    assert len({first, *(address for _, address in answers)}) == GAP
    assert {address for status, address in answers if status == 200} == {stack.get("/w").json["address"]}
    assert GAP == 20


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_payment_to_one_of_them_makes_room_for_more(stack: Stack, confirmed: bool) -> None:
    stack.fund("payer", 1)
    stack.create("w")
    answers = [ask(stack) for _ in range(GAP)]
    assert answers[-1][0] == 200
    paid = address_at(stack, 5)
    assert stack.post("/payer/send", to=paid, amount="1", password=PASSWORD).status_code == 200
    if confirmed:
        stack.mine()
    answers = [ask(stack) for _ in range(GAP)]
    assert [status for status, _ in answers] == [201] * 6 + [200] * (GAP - 6)


def test_the_owner_always_gets_a_new_address(stack: Stack) -> None:
    stack.create("w")
    hand_out(stack, GAP)
    assert ask(stack)[0] == 200
    assert ask(stack, password="wrong") == (403, "wrong-password")
    assert stack.store.load("w").receive_count == GAP
    new = {ask(stack, password=PASSWORD) for _ in range(3)}
    assert {status for status, _ in new} == {201}
    assert len(new) == 3
    assert stack.post("/w/unlock", password=PASSWORD).status_code == 200
    assert [ask(stack)[0] for _ in range(2)] == [201, 201]
    assert stack.store.load("w").receive_count == GAP + 5
    stranger = stack.new_instance().post("/api/wallets/w/addresses", json={})
    assert (stranger.status_code, stranger.json["address"]) == (200, stack.get("/w").json["address"])


def test_the_page_says_why_there_is_no_new_one(stack: Stack, browser: Browser) -> None:
    stack.create("w")
    hand_out(stack, GAP)
    newest = stack.get("/w").json["address"]
    browser.open("/w").submit("/w/addresses")
    assert "None of the last 20 addresses has been paid yet" in browser.text
    assert newest in browser.page
    browser.submit("/w/unlock", password=PASSWORD).submit("/w/addresses")
    assert "Here is a new address" in browser.text
    assert newest not in browser.page


def test_every_address_stays_the_wallets_however_many_there_are(stack: Stack) -> None:
    stack.fund("payer", 2)
    stack.fund("w", 1)
    hand_out(stack, 500)
    instances = [stack.http, stack.new_instance()]

    def infos() -> list[dict[str, Any]]:
        return [client.get("/api/wallets/w").json for client in instances]

    before = infos()[0]
    for index in (7, 499):
        assert stack.post("/payer/send", to=address_at(stack, index), amount="3", password=PASSWORD).status_code == 200
    assert [info["unconfirmed"] for info in infos()] == [6 * COIN] * 2
    stack.mine()
    assert [info["confirmed"] for info in infos()] == [before["confirmed"] + 6 * COIN] * 2
    history = stack.get("/w/history").json["transactions"]
    assert [entry["amount"] for entry in history[:2]] == [3 * COIN] * 2
    answer = stack.post("/w/send", to=address_at(stack, 100), amount="55", password=PASSWORD)
    assert answer.status_code == 200, answer.json
    assert stack.get("/w").json["unconfirmed"] == -answer.json["fee"]


def commands(stack: Stack, action: Callable[[], Any]) -> int:
    """The number of Redis commands that an action costs."""
    before = stack.client.info("stats")["total_commands_processed"]
    answer = action()
    assert answer is None or answer.status_code == 200, answer.text
    count: int = stack.client.info("stats")["total_commands_processed"] - before
    return count


def test_unpaid_addresses_cost_no_commands(stack: Stack) -> None:
    """The time of a command that reads all of them at once hardly grows; that of a thousand commands does."""
    stack.fund("w", 30)
    payee = stack.create("payee")
    stack.deliver()

    def block() -> None:
        stack.mine(with_pool=False)
        stack.deliver()

    actions: dict[str, Callable[[], Any]] = {
        "info": lambda: stack.get("/w"),
        "history": lambda: stack.get("/w/history"),
        "page": lambda: stack.http.get("/w"),
        "send": lambda: stack.post("/w/send", to=payee, amount="0.01", password=PASSWORD),
        "facts": block,
    }
    counts = []
    for handed_out in (150, 1_000, 3_000):
        hand_out(stack, handed_out)
        counts.append({name: commands(stack, action) for name, action in actions.items()})
        stack.mine()
        stack.deliver()
    for name in actions:
        assert max(count[name] for count in counts) - min(count[name] for count in counts) < 20, (name, counts)


@pytest.mark.parametrize("one_by_one", [0, 1_000])
@pytest.mark.parametrize("more", [0, 50])
def test_scripts_count_as_used_in_pool_and_chain_by_either_way_to_look(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, one_by_one: int, more: int
) -> None:
    monkeypatch.setattr(script_reader, "_SCRIPTS_ONE_BY_ONE", one_by_one)
    stack.fund("w", 2)
    payee = stack.create("payee")
    script = stack.wallets.current_key(stack.wallets.load("payee")).script_hash
    unused = [script_hash(p2wpkh(key(f"nobody {number}"))) for number in range(1 + more)]
    used = stack.view.scripts.used
    assert used([*unused, script]) == [False] * (len(unused) + 1)
    assert stack.post("/w/send", to=payee, amount="1", password=PASSWORD).status_code == 200
    assert used([script, *unused]) == [True] + [False] * len(unused)
    stack.mine()
    assert used([*unused, script, script]) == [False] * len(unused) + [True, True]
    assert used([]) == []


def test_a_payment_that_is_mined_between_two_reads_is_seen(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.fund("payer", 1)
    address = stack.create("w")
    assert stack.post("/payer/send", to=address, amount="1", password=PASSWORD).status_code == 200
    hmget = stack.client.hmget

    def mining_first(name: str, *args: Any) -> Any:
        if name == stack.keys.script_records:
            monkeypatch.undo()
            stack.mine()
        return hmget(name, *args)

    monkeypatch.setattr(stack.client, "hmget", mining_first)
    client: FlaskClient = stack.new_instance()
    assert client.get("/api/wallets/w").json["balance"] == COIN
