"""Payments of two instances interleaved, and requests that come again while the chain goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from services.wallet.payments.payments import Payments
from services.wallet.store import Begun, SendStatus
from shared.bus.events import Message, TxSubmitted, TxVerdicts
from shared.errors import RequestTimeout
from shared.process import waiting
from shared.reasons import Reason
from tests.integration.wallet.conftest import COIN, PASSWORD, Stack
from tests.integration.wallet.test_api import raise_timeout, verdict


def submitted(stack: Stack) -> list[tuple[str, ...]]:
    return [message.txs for message in stack.broker.published if isinstance(message, TxSubmitted)]


def lose(stack: Stack) -> Callable[[TxSubmitted], Message]:
    """Answer of a mempool that takes the transaction and is not heard."""

    def answer(message: TxSubmitted) -> Message:
        stack.submit(message)
        raise RequestTimeout("no answer")

    return answer


def history(stack: Stack, wallet_id: str) -> list[str]:
    return [entry["txid"] for entry in stack.get(f"/{wallet_id}/history").json["transactions"]]


@pytest.fixture
def request_body(stack: Stack) -> dict:
    """A payment of 1 from `w`, which has two coins of 50, to `payee`, with a request id."""
    stack.fund("w", 2)
    return {"to": stack.create("payee"), "amount": "1", "password": PASSWORD, "request_id": "abc"}


def other_instance_first(stack: Stack, monkeypatch: pytest.MonkeyPatch, payee: str, amount: str) -> None:
    """Let another instance pay from `w` between the next payment's choice of coins and its record."""
    wallets = stack.new_service()
    other = Payments(wallets, stack.broker, timeout=0.2)
    account = waiting.run(wallets.open("w", PASSWORD))
    begin_send = stack.store.begin_send

    def paying_first(*args: Any) -> Begun:
        monkeypatch.setattr(stack.store, "begin_send", begin_send)
        waiting.run(other.send("w", other.order(payee, amount), account))
        return begin_send(*args)

    monkeypatch.setattr(stack.store, "begin_send", paying_first)


def test_a_payment_whose_coins_another_instance_took_first_spends_that_ones_change(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.fund("w", 1)
    payee = stack.create("payee")
    other_instance_first(stack, monkeypatch, payee, "20")
    answer = stack.post("/w/send", to=payee, amount="10", password=PASSWORD)
    assert answer.status_code == 200, answer.json
    assert len(submitted(stack)) == 3
    assert len(history(stack, "payee")) == 2
    fees = sum(entry["fee"] for entry in stack.get("/w/history").json["transactions"][:2])
    assert stack.get("/w").json["spendable"] == 20 * COIN - fees
    assert stack.store.load("w").change_count == 2


def test_a_payment_refused_after_another_instances_leaves_that_ones_change_in_the_wallet(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.fund("w", 1)
    payee = stack.create("payee")
    other_instance_first(stack, monkeypatch, payee, "20")
    answer = stack.post("/w/send", to=payee, amount="40", password=PASSWORD)
    assert answer.json["code"] == "insufficient-funds"
    [paid] = stack.get("/w/history").json["transactions"][:1]
    assert stack.get("/w").json["spendable"] == 30 * COIN - paid["fee"]


def test_coins_are_chosen_again_five_times_at_most(stack: Stack) -> None:
    stack.fund("w", 2)
    payee = stack.create("payee")
    before = stack.wallet_records()
    stack.broker.answers[TxSubmitted] = lambda message: verdict(message, Reason.BAD_TXNS_INPUTS_MISSINGORSPENT)
    answer = stack.post("/w/send", to=payee, amount="1", password=PASSWORD)
    assert (answer.status_code, answer.json["reason"]) == (422, "bad-txns-inputs-missingorspent")
    assert len(submitted(stack)) == 5
    assert stack.wallet_records() == before


def test_a_payment_refused_for_itself_is_tried_once(stack: Stack) -> None:
    stack.fund("w", 2)
    payee = stack.create("payee")
    stack.broker.answers[TxSubmitted] = lambda message: verdict(message, Reason.MIN_RELAY_FEE_NOT_MET)
    assert stack.post("/w/send", to=payee, amount="1", password=PASSWORD).status_code == 422
    assert len(submitted(stack)) == 1


def test_a_request_that_comes_again_while_its_payment_is_mined_pays_nothing_new(
    stack: Stack, request_body: dict
) -> None:
    stack.broker.answers[TxSubmitted] = raise_timeout
    txid_hex = stack.post("/w/send", **request_body).json["txid"]

    def mined_meanwhile(message: TxSubmitted) -> TxVerdicts:
        stack.submit(message)
        stack.mine()
        answer = stack.submit(message)
        assert answer.verdicts[0].reason == Reason.TXN_ALREADY_KNOWN
        return answer

    stack.broker.answers[TxSubmitted] = mined_meanwhile
    for _ in range(2):
        answer = stack.post("/w/send", **request_body)
        assert (answer.status_code, answer.json["txid"]) == (200, txid_hex)
    assert len(submitted(stack)) == 2
    assert stack.get("/payee").json["balance"] == COIN
    assert stack.get("/payee").json["unconfirmed"] == 0


def test_a_request_whose_payment_was_mined_and_spent_again_pays_nothing_new(stack: Stack, request_body: dict) -> None:
    stack.broker.answers[TxSubmitted] = lose(stack)
    txid_hex = stack.post("/w/send", **request_body).json["txid"]
    stack.broker.answers[TxSubmitted] = stack.submit
    stack.mine()
    somewhere = stack.create("somewhere")
    for wallet_id, amount in (("w", "98"), ("payee", "0.9")):
        answer = stack.post(f"/{wallet_id}/send", to=somewhere, amount=amount, password=PASSWORD)
        assert answer.status_code == 200, answer.json
    stack.mine()
    txid = bytes.fromhex(txid_hex)[::-1]
    assert stack.store.sends("w", [txid])[txid].status is SendStatus.PENDING  # no fact has arrived yet
    before = len(submitted(stack))
    answer = stack.post("/w/send", **request_body)
    assert (answer.status_code, answer.json["txid"]) == (200, txid_hex)
    assert len(submitted(stack)) == before
    assert stack.get("/payee").json["unconfirmed"] == 0


def test_a_request_whose_payment_was_dropped_pays_nothing_new(stack: Stack, request_body: dict) -> None:
    txid_hex = stack.post("/w/send", **request_body).json["txid"]
    txid = bytes.fromhex(txid_hex)[::-1]
    send = stack.store.sends("w", [txid])[txid]
    stack.store.update_sends({txid: ("w", replace(send, status=SendStatus.DROPPED, why="evicted"))})
    answer = stack.post("/w/send", **request_body)
    assert (answer.status_code, answer.json["txid"]) == (200, txid_hex)
    assert len(submitted(stack)) == 1


def test_a_request_whose_payment_cannot_enter_the_pool_any_more_is_paid_anew_once(
    stack: Stack, request_body: dict
) -> None:
    stack.broker.answers[TxSubmitted] = raise_timeout
    assert stack.post("/w/send", **request_body).json["code"] == "outcome-unknown"
    refusals = [Reason.BAD_TXNS_INPUTS_MISSINGORSPENT]

    def refuse_once(message: TxSubmitted) -> TxVerdicts:
        return verdict(message, refusals.pop()) if refusals else stack.submit(message)

    stack.broker.answers[TxSubmitted] = refuse_once
    answers = [stack.post("/w/send", **request_body) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json["txid"] for answer in answers}) == 1
    assert stack.get("/payee").json["unconfirmed"] == COIN
    assert [txid[::-1].hex() for txid in stack.store.open_sends()] == [answers[0].json["txid"]]
    assert stack.store.load("w").change_count == 1


@pytest.mark.parametrize("again", ["accepted", "refused and paid anew"])
def test_a_refusal_that_one_instance_learns_late_does_not_undo_what_another_paid_for_the_same_request(
    stack: Stack, request_body: dict, again: str
) -> None:
    """The first instance waits for its verdict while the client, with another one, goes on."""
    wallets = stack.new_service()
    other = Payments(wallets, stack.broker, timeout=0.2)
    account = waiting.run(wallets.open("w", PASSWORD))
    order = other.order(request_body["to"], request_body["amount"])
    refusals = [] if again == "accepted" else [Reason.BAD_TXNS_INPUTS_MISSINGORSPENT]
    paid: list[str] = []

    def later(message: TxSubmitted) -> TxVerdicts:
        return verdict(message, refusals.pop()) if refusals else stack.submit(message)

    def refuse_late(message: TxSubmitted) -> TxVerdicts:
        stack.broker.answers[TxSubmitted] = later
        paid.append(waiting.run(other.send("w", order, account, request_id="abc")).txid_hex)
        return verdict(message, Reason.BAD_TXNS_INPUTS_MISSINGORSPENT)

    stack.broker.answers[TxSubmitted] = refuse_late
    answer = stack.post("/w/send", **request_body)
    assert (answer.status_code, answer.json["txid"]) == (200, paid[0])
    assert stack.get("/payee").json["unconfirmed"] == COIN
    assert [txid[::-1].hex() for txid in stack.store.open_sends()] == paid
    assert stack.post("/w/send", **request_body).json["txid"] == paid[0]
    assert stack.get("/payee").json["unconfirmed"] == COIN
