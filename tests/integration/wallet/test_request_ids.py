"""A request id that comes again, at any instance, after whatever has become of its payment."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from msgspec.structs import replace

from services.wallet.coins.selection import SpendableCoin
from services.wallet.payments.builder import sign_payment
from shared import policy
from shared.bus.events import CoinsRequested, Removal, TxSubmitted
from shared.bus.worker import Incoming
from shared.crypto.keys import PrivateKey
from shared.errors import RequestTimeout, Unroutable
from shared.primitives.transaction import Transaction, TxIn, TxOut
from shared.process import waiting
from tests.builders import key, p2wpkh
from tests.integration.wallet.conftest import COIN, PASSWORD, Stack

End = Callable[[Stack, str], None]


def raw_id(txid_hex: str) -> bytes:
    return bytes.fromhex(txid_hex)[::-1]


def submitted(stack: Stack) -> list[str]:
    return [tx for message in stack.broker.published if isinstance(message, TxSubmitted) for tx in message.txs]


def rival(stack: Stack, txid_hex: str, *, fee: int = 100_000) -> Transaction:
    """A transaction of the same coins that pays somebody else."""
    record = stack.view.txs.get(raw_id(txid_hex))
    assert record is not None
    wallet = stack.wallets.load("w")
    keys = {key.script_pubkey: key for key in stack.wallets.keys(wallet)}
    coins = []
    for outpoint, output in stack.view.txs.prevouts([record.tx]).items():
        owner = keys[output.script_pubkey]
        coins.append(SpendableCoin(outpoint, output, None, owner.branch, owner.index))
    total = sum(coin.output.value for coin in coins)
    inputs = tuple(TxIn(coin.outpoint, b"", 0xFFFFFFFD) for coin in coins)
    unsigned = Transaction(2, inputs, (TxOut(total - fee, p2wpkh(key("rival"))),), 0)
    account = waiting.run(stack.wallets.open("w", PASSWORD))

    def private(coin: SpendableCoin) -> PrivateKey:
        found = account.child(coin.branch).child(coin.index).private_key
        assert found is not None
        return found

    return sign_payment(unsigned, coins, private)


def submit(stack: Stack, tx: Transaction) -> None:
    [verdict] = stack.submit(TxSubmitted(txs=(tx.serialize().hex(),))).verdicts
    assert verdict.accepted, verdict


def in_pool(stack: Stack, txid_hex: str) -> None:
    pass


def mined(stack: Stack, txid_hex: str) -> None:
    stack.mine()


def evicted(stack: Stack, txid_hex: str) -> None:
    stack.drop(raw_id(txid_hex), Removal.EVICTED)


def expired(stack: Stack, txid_hex: str) -> None:
    stack.drop(raw_id(txid_hex), Removal.EXPIRED)


def reorganised_away(stack: Stack, txid_hex: str) -> None:
    """Mine it, and then a longer branch without it: it is back in the pool."""
    below = stack.mine(with_pool=False)
    stack.mine()
    branch = stack.mine(with_pool=False, on=below, tag=b"a")
    stack.mine(with_pool=False, on=branch, tag=b"a")


def reorganised_away_and_evicted(stack: Stack, txid_hex: str) -> None:
    reorganised_away(stack, txid_hex)
    evicted(stack, txid_hex)


def replaced(stack: Stack, txid_hex: str) -> None:
    submit(stack, rival(stack, txid_hex))


def replaced_and_mined(stack: Stack, txid_hex: str) -> None:
    submit(stack, rival(stack, txid_hex))
    stack.mine()


def conflicted(stack: Stack, txid_hex: str) -> None:
    stack.mine(txs=[rival(stack, txid_hex)], with_pool=False)


def reorganised_into_a_conflict(stack: Stack, txid_hex: str) -> None:
    other = rival(stack, txid_hex)
    below = stack.mine(with_pool=False)
    stack.mine()
    branch = stack.mine(with_pool=False, txs=[other], on=below, tag=b"a")
    stack.mine(with_pool=False, on=branch, tag=b"a")


def by_api(client: FlaskClient, **changes: str) -> Any:
    body = {"to": "", "amount": "1", "password": PASSWORD, "request_id": "abc"} | changes
    return client.post("/api/wallets/w/send", json=body)


@pytest.fixture
def payee(stack: Stack) -> str:
    """The address of a wallet without coins; `w` has two coins of 50, `rich` two others."""
    stack.fund("w", 2)
    stack.fund("rich", 2)
    return stack.create("payee")


@pytest.fixture
def clients(stack: Stack) -> list[FlaskClient]:
    """The instance that made the payment, and another: a second one, or the same after a restart."""
    return [stack.http, stack.new_instance()]


@pytest.mark.parametrize("facts", ["known", "not yet known"])
@pytest.mark.parametrize(
    ("end", "status", "handed_over"),
    [
        (in_pool, "unconfirmed", 0),
        (mined, "confirmed", 0),
        (evicted, "unconfirmed", 1),
        (expired, "unconfirmed", 1),
        (reorganised_away, "unconfirmed", 0),
        (reorganised_away_and_evicted, "unconfirmed", 1),
    ],
)
def test_a_request_that_comes_again_is_answered_with_the_present_state_of_its_payment(
    stack: Stack, payee: str, clients: list[FlaskClient],
    end: End, status: str, handed_over: int, facts: str,
) -> None:  # fmt: skip
    first = by_api(stack.http, to=payee)
    assert (first.status_code, first.json["status"]) == (200, "unconfirmed"), first.json
    end(stack, first.json["txid"])
    if facts == "known":
        stack.deliver()
    before = len(submitted(stack))
    for client in clients:
        again = by_api(client, to=payee)
        assert (again.status_code, again.json) == (200, first.json | {"status": status})
    assert len(submitted(stack)) - before == handed_over
    assert stack.view.txs.get(raw_id(first.json["txid"])) is not None
    stack.deliver()
    listed = [entry for entry in stack.get("/w/history").json["transactions"] if entry["fee"]]
    assert [(entry["txid"], entry["status"]) for entry in listed] == [(first.json["txid"], status)]


@pytest.mark.parametrize("facts", ["known", "not yet known"])
@pytest.mark.parametrize("end", [replaced, replaced_and_mined, conflicted, reorganised_into_a_conflict])
def test_a_payment_that_can_no_longer_be_mined_is_told_with_what_took_its_place(
    stack: Stack, payee: str, clients: list[FlaskClient], end: End, facts: str
) -> None:
    first = by_api(stack.http, to=payee)
    other = rival(stack, first.json["txid"])
    end(stack, first.json["txid"])
    if facts == "known":
        stack.deliver()
    for client in clients:
        again = by_api(client, to=payee)
        assert (again.status_code, again.json["code"]) == (409, "payment-conflicted"), again.json
        assert (again.json["txid"], again.json["conflicts"]) == (first.json["txid"], [other.txid_hex])
        assert other.txid_hex in again.json["detail"]
    assert stack.get("/payee").json["balance"] == stack.get("/payee").json["unconfirmed"] == 0
    stack.deliver()
    [entry] = [entry for entry in stack.get("/w/history").json["transactions"] if entry["txid"] == first.json["txid"]]
    assert (entry["status"], entry["why"]) == ("dropped", "replaced" if "replaced" in end.__name__ else "conflict")
    new = by_api(stack.http, to=payee, request_id="another")
    assert new.status_code == 200, new.json


def test_a_payment_comes_back_when_the_chain_does(stack: Stack, payee: str, clients: list[FlaskClient]) -> None:
    """So a request id whose payment lost its coins must never be paid anew."""
    first = by_api(stack.http, to=payee)
    other = rival(stack, first.json["txid"])
    below = stack.mine(with_pool=False)
    with_it = stack.mine()
    branch = stack.mine(with_pool=False, txs=[other], on=below, tag=b"a")
    stack.mine(with_pool=False, on=branch, tag=b"a")
    assert by_api(clients[1], to=payee).status_code == 409
    second = stack.mine(with_pool=False, on=with_it)
    stack.mine(with_pool=False, on=second)
    for client in clients:
        again = by_api(client, to=payee)
        assert (again.status_code, again.json) == (200, first.json | {"status": "confirmed"})
    assert stack.get("/payee").json["balance"] == COIN


def test_a_payment_that_the_pool_has_no_room_for_keeps_its_request(
    stack: Stack, payee: str, clients: list[FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = by_api(stack.http, to=payee)
    evicted(stack, first.json["txid"])
    with monkeypatch.context() as patch:
        patch.setattr(policy, "MAX_POOL_VSIZE", 100)
        for client in clients:
            again = by_api(client, to=payee)
            assert (again.status_code, again.json["code"]) == (422, "refused")
            assert (again.json["txid"], again.json["reason"]) == (first.json["txid"], "mempool full")
    again = by_api(clients[1], to=payee)
    assert (again.status_code, again.json) == (200, first.json)


def test_a_payment_that_is_too_early_for_a_shorter_chain_keeps_its_request(
    stack: Stack, payee: str, clients: list[FlaskClient]
) -> None:
    lower = stack.mine(with_pool=False)
    stack.mine(with_pool=False)
    first = by_api(stack.http, to=payee)
    stack.invalidate(lower)
    assert stack.view.txs.get(raw_id(first.json["txid"])) is None
    for client in clients:
        again = by_api(client, to=payee)
        assert (again.status_code, again.json["code"], again.json["reason"]) == (422, "refused", "non-final")
    for _ in range(2):
        stack.mine(with_pool=False, tag=b"a")
    for client in clients:
        again = by_api(client, to=payee)
        assert (again.status_code, again.json) == (200, first.json)


@pytest.mark.parametrize("lost", [RequestTimeout, Unroutable])
def test_a_payment_that_cannot_be_handed_over_again_keeps_its_request(
    stack: Stack, payee: str, lost: type[Exception]
) -> None:
    first = by_api(stack.http, to=payee)
    evicted(stack, first.json["txid"])

    def lose(message: TxSubmitted) -> None:
        raise lost("nobody there")

    stack.broker.answers[TxSubmitted] = lose
    assert by_api(stack.http, to=payee).status_code == (504 if lost is RequestTimeout else 503)
    stack.broker.answers[TxSubmitted] = stack.submit
    assert by_api(stack.http, to=payee).json == first.json


@pytest.mark.parametrize("end", [in_pool, mined, evicted, replaced])
@pytest.mark.parametrize("change", [{"to": "rich"}, {"amount": "2"}, {"amount": "1.00000001"}, {"feerate": "2"}])
def test_the_id_of_another_payment_is_refused(
    stack: Stack, payee: str, clients: list[FlaskClient],
    end: End, change: dict[str, str],
) -> None:  # fmt: skip
    first = by_api(stack.http, to=payee)
    end(stack, first.json["txid"])
    if "to" in change:
        change = {"to": stack.get(f"/{change['to']}").json["address"]}
    before = submitted(stack)
    for client in clients:
        other = by_api(client, **({"to": payee} | change))
        assert (other.status_code, other.json["code"], other.json["txid"]) == (
            409,
            "request-id-used",
            first.json["txid"],
        )
    assert submitted(stack) == before


@pytest.mark.parametrize(
    "change", [{"amount": "1.0"}, {"feerate": "1"}, {"feerate": "1.00"}, {"to": "bitcoin:{}?amount=1"}, {"to": "key"}]
)
def test_the_same_payment_in_other_words_is_the_same(
    stack: Stack, payee: str, clients: list[FlaskClient], change: dict[str, str]
) -> None:
    first = by_api(stack.http, to=payee)
    to = change.pop("to", "{}").format(payee)
    to = stack.get("/payee").json["public_key"] if to == "key" else to
    for client in clients:
        assert by_api(client, to=to, **change).json == first.json


def test_of_two_payments_with_one_id_at_once_at_two_instances_one_is_made(
    stack: Stack, payee: str, clients: list[FlaskClient]
) -> None:
    for number in range(5):
        amounts, request_id = ("1", "2"), f"at once {number}"
        with ThreadPoolExecutor(2) as pool:
            answers = list(
                pool.map(
                    lambda client, amount, request_id=request_id: by_api(
                        client, to=payee, amount=amount, request_id=request_id
                    ),
                    clients,
                    amounts,
                )
            )
        [paid] = [answer.json for answer in answers if answer.status_code == 200]
        [refused] = [answer.json for answer in answers if answer.status_code == 409]
        assert (refused["code"], refused["txid"]) == ("request-id-used", paid["txid"])
    outgoing = [entry for entry in stack.get("/w/history").json["transactions"] if entry["fee"]]
    assert len(outgoing) == 5


def test_a_request_recorded_by_an_earlier_version_is_still_known(stack: Stack, payee: str) -> None:
    first = by_api(stack.http, to=payee)
    txid = raw_id(first.json["txid"])
    send = stack.store.sends("w", [txid])[txid]
    stack.store.update_sends({txid: ("w", replace(send, terms="", seq=0))})
    assert by_api(stack.http, to=payee).json == first.json
    assert by_api(stack.http, to=payee, amount="2").json["code"] == "request-id-used"


def test_a_new_payment_never_is_the_transaction_of_one_that_was_dropped(
    stack: Stack, payee: str, clients: list[FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.SystemRandom.shuffle", lambda self, items: None)
    first = by_api(stack.http, to=payee)
    evicted(stack, first.json["txid"])
    stack.deliver()
    second = by_api(clients[1], to=payee, request_id="another")
    assert second.status_code == 200, second.json
    assert second.json["txid"] != first.json["txid"]
    for client in clients:
        again = by_api(client, to=payee)
        assert (again.status_code, again.json["conflicts"]) == (409, [second.json["txid"]])


def by_page(client: FlaskClient, payee: str, **changes: str) -> Any:
    client.set_cookie("warren_session_8080", "a" * 43)
    token = re.search(r'name="form_token" value="(\w+)"', client.get("/w").text)
    assert token
    review = {"form_token": token[1], "to": payee, "amount": "1", "feerate": "1"} | changes
    fee = "0.00000141"
    form = review | {"fee": changes.get("fee", fee), "password": PASSWORD, "request_id": "abc"}
    return client.post("/w/send", data=form)


def test_a_form_that_comes_again_leads_to_its_payment(stack: Stack, payee: str, clients: list[FlaskClient]) -> None:
    first = by_page(stack.http, payee)
    assert first.status_code == 303, first.text
    txid_hex = first.location.rsplit("/", 1)[1]
    evicted(stack, txid_hex)
    for client in clients:
        again = by_page(client, payee)
        assert (again.status_code, again.location) == (303, first.location)
    assert stack.view.txs.get(raw_id(txid_hex)) is not None
    for client in clients:
        other = by_page(client, payee, amount="2")
        assert other.status_code == 409
        assert "request id is of another payment" in other.text
    replaced(stack, txid_hex)
    for client in clients:
        again = by_page(client, payee)
        assert (again.status_code, again.location) == (303, first.location)
        shown = client.get(again.location)
        assert "can no longer be mined" in shown.text
        assert "Not sent" in shown.text


def ask(stack: Stack, message_id: str, script: bytes, amount: int = COIN) -> Any:
    request = CoinsRequested(script_pubkey=script.hex(), amount=amount)
    [answer] = stack.faucet.pay([Incoming(request, message_id, None)])
    return answer


def test_a_message_to_the_faucet_with_the_id_of_another_is_refused(stack: Stack) -> None:
    stack.first_start()
    alice, bob = p2wpkh(key("alice")), p2wpkh(key("bob"))
    first = ask(stack, "m1", alice)
    assert ask(stack, "m1", alice) == first
    assert ask(stack, "m1", bob).reason == ask(stack, "m1", alice, 2 * COIN).reason == "request-id-used"
    stack.mine()
    assert ask(stack, "m1", alice) == first


def test_test_coins_are_of_one_wallet_whatever_its_newest_address_is(stack: Stack, clients: list[FlaskClient]) -> None:
    stack.first_start()
    for wallet_id in ("alice", "bob"):
        stack.create(wallet_id)

    def coins(client: FlaskClient, wallet_id: str) -> dict[str, Any]:
        answer = client.post(f"/api/wallets/{wallet_id}/test-coins", json={"request_id": "1"})
        assert answer.status_code == 200, answer.json
        return answer.json

    first = coins(stack.http, "alice")
    stack.post("/alice/addresses")
    height = stack.view.tip().height
    for client in clients:
        assert coins(client, "alice") == first
    assert stack.view.tip().height == height  # the payment is in its block already
    assert coins(clients[1], "bob")["txid"] != first["txid"]
    assert [stack.get(f"/{wallet_id}").json["balance"] for wallet_id in ("alice", "bob")] == [10 * COIN, 10 * COIN]
