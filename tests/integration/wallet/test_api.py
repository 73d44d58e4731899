"""The walk through the API: create, mine, pay, look."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.wallet.service import WalletService
from shared.bus.events import MineRequested, MineResult, TxSubmitted, TxVerdict, TxVerdicts
from shared.crypto.pem import private_key_from_pem, public_key_from_pem
from shared.errors import RequestTimeout, Unroutable
from shared.primitives.transaction import Transaction
from shared.reasons import Reason
from tests.integration.wallet.conftest import COIN, PARAMS, PASSWORD, Stack


def test_a_new_wallet_has_an_address_and_nothing_else(stack: Stack) -> None:
    response = stack.post("", id="wallet_1", password=PASSWORD)
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    created = response.json
    assert len(created["mnemonic"].split()) == 12
    info = stack.get("/wallet_1").json
    assert info["address"] == created["address"]
    assert info["address"].startswith("bcrt1q")
    assert public_key_from_pem(info["public_key_pem"]).compressed.hex() == info["public_key"] == created["public_key"]
    assert (info["balance"], info["unconfirmed"], info["immature"], info["spendable"]) == (0, 0, 0, 0)
    assert info["unlocked"] is False
    assert "mnemonic" not in info
    assert stack.get("").json == {"wallets": ["wallet_1"]}


def test_the_walk_pays_fifty_with_change_and_fee(stack: Stack) -> None:
    stack.fund("creator", 3)
    address = stack.create("wallet_1")
    sent = stack.post("/creator/send", to=address, amount="50", password=PASSWORD)
    assert sent.status_code == 200, sent.json
    fee = sent.json["fee"]
    assert sent.json["amount"] == 50 * COIN
    assert sent.json["change"] == 50 * COIN - fee
    assert stack.get("/wallet_1").json["unconfirmed"] == 50 * COIN
    assert stack.get("/wallet_1").json["balance"] == 0
    creator = stack.get("/creator").json
    assert (creator["balance"], creator["unconfirmed"]) == (150 * COIN, -50 * COIN - fee)
    assert creator["spendable"] == 100 * COIN - fee

    mined = stack.post("/wallet_1/mine", count=1)
    assert len(mined.json["blocks"]) == 1
    wallet_1 = stack.get("/wallet_1").json
    assert wallet_1["balance"] == 100 * COIN + fee
    assert wallet_1["immature"] == 50 * COIN + fee
    assert wallet_1["spendable"] == 50 * COIN
    creator = stack.get("/creator").json
    assert (creator["balance"], creator["unconfirmed"]) == (100 * COIN - fee, 0)


@pytest.mark.parametrize("form", ["public_key", "public_key_pem"])
def test_a_public_key_is_paid_at_its_address(stack: Stack, form: str) -> None:
    stack.fund("creator")
    address = stack.create("wallet_1")
    sent = stack.post("/creator/send", to=stack.get("/wallet_1").json[form], amount="1", password=PASSWORD)
    assert sent.json["to"] == address
    assert stack.get("/wallet_1").json["unconfirmed"] == COIN


def test_a_reward_matures_exactly_when_the_chain_says_so(stack: Stack) -> None:
    stack.create("w")
    stack.post("/w/mine", count=1)
    for depth in range(1, PARAMS.coinbase_maturity):
        info = stack.get("/w").json
        assert (info["immature"], info["spendable"]) == (50 * COIN, 0), depth
        answer = stack.post("/w/send", to=info["address"], amount="1", password=PASSWORD)
        assert answer.json["code"] == "insufficient-funds"
        stack.mine()
    info = stack.get("/w").json
    assert (info["immature"], info["spendable"]) == (0, 50 * COIN)
    assert stack.post("/w/send", to=info["address"], amount="1", password=PASSWORD).status_code == 200


def test_a_fee_rate_is_paid(stack: Stack) -> None:
    address = stack.fund("w")
    slow = stack.post("/w/send", to=address, amount="1", password=PASSWORD).json
    fast = stack.post("/w/send", to=address, amount="1", password=PASSWORD, feerate="25.5").json
    entry = stack.view.txs.get(bytes.fromhex(fast["txid"])[::-1])
    assert entry is not None
    assert entry.pool is not None
    assert entry.pool.fee == fast["fee"] > 20 * slow["fee"]
    assert 25.5 <= fast["fee"] / entry.tx.vsize < 26


def test_own_change_is_spent_before_it_confirms_but_strangers_coins_are_not(stack: Stack) -> None:
    stack.fund("alice", 1)
    bob = stack.create("bob")
    for _ in range(3):
        assert stack.post("/alice/send", to=bob, amount="10", password=PASSWORD).status_code == 200
    answer = stack.post("/bob/send", to=bob, amount="1", password=PASSWORD)
    assert answer.json["code"] == "insufficient-funds"
    assert stack.get("/bob").json["spendable"] == 0
    stack.mine()
    assert stack.get("/bob").json["spendable"] == 30 * COIN


def test_change_goes_to_a_fresh_address_each_time(stack: Stack) -> None:
    address = stack.fund("w", 2)
    for number in range(2):
        stack.post("/w/send", to=address, amount="1", password=PASSWORD)
        assert stack.store.load("w").change_count == number + 1
    assert stack.get("/w/addresses").json["addresses"] == [address]


def test_two_sends_at_once_never_take_the_same_coin(stack: Stack) -> None:
    stack.fund("w", 4)
    address = stack.create("payee")
    both = threading.Barrier(2)
    clients = [stack.app.test_client() for _ in range(2)]

    def send(client) -> dict:
        both.wait(5)
        body = {"to": address, "amount": "60", "password": PASSWORD}
        return client.post("/api/wallets/w/send", json=body).json

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(send, clients))
    assert len({answer["txid"] for answer in answers}) == 2, answers
    assert stack.get("/payee").json["unconfirmed"] == 120 * COIN


def test_coins_taken_by_another_process_are_chosen_again_once(stack: Stack) -> None:
    stack.fund("w", 2)
    payee = stack.create("payee")
    accept = stack.broker.answers[TxSubmitted]
    tried = []

    def refuse_first(message: TxSubmitted) -> TxVerdicts:
        tried.append(message)
        if len(tried) > 1:
            return accept(message)
        return verdict(message, Reason.BIP125_REPLACEMENT_DISALLOWED)

    stack.broker.answers[TxSubmitted] = refuse_first
    assert stack.post("/w/send", to=payee, amount="1", password=PASSWORD).status_code == 200
    assert len(tried) == 2
    assert len(stack.store.open_sends()) == 1


def verdict(message: TxSubmitted, reason: str, detail: str = "") -> TxVerdicts:
    tx = Transaction.parse(bytes.fromhex(message.txs[0]))
    one = TxVerdict(txid=tx.txid_hex, wtxid=tx.wtxid_hex, accepted=False, reason=reason, detail=detail)
    return TxVerdicts(verdicts=(one,))


def test_a_refusal_tells_the_mempools_reason_and_changes_nothing(stack: Stack) -> None:
    address = stack.fund("w")
    before = stack.wallet_records()
    stack.broker.answers[TxSubmitted] = lambda message: verdict(message, "min relay fee not met", "1 < 2")
    answer = stack.post("/w/send", to=address, amount="1", password=PASSWORD)
    assert answer.status_code == 422
    assert answer.json["code"] == "refused"
    assert (answer.json["reason"], answer.json["reason_detail"]) == ("min relay fee not met", "1 < 2")
    assert stack.wallet_records() == before


def test_a_transaction_that_the_pool_has_already_is_a_success(stack: Stack) -> None:
    address = stack.fund("w")
    accept = stack.broker.answers[TxSubmitted]

    def twice(message: TxSubmitted) -> TxVerdicts:
        accept(message)
        return accept(message)

    stack.broker.answers[TxSubmitted] = twice
    assert stack.post("/w/send", to=address, amount="1", password=PASSWORD).status_code == 200


def raise_timeout(message: TxSubmitted) -> TxVerdicts:
    raise RequestTimeout("no answer")


def test_no_verdict_in_time_is_told_and_kept_and_the_outcome_follows(stack: Stack) -> None:
    address = stack.fund("w")
    accept = stack.broker.answers[TxSubmitted]
    held = []

    def time_out(message: TxSubmitted) -> TxVerdicts:
        held.append(message)
        return raise_timeout(message)

    stack.broker.answers[TxSubmitted] = time_out
    answer = stack.post("/w/send", to=address, amount="1", password=PASSWORD)
    assert (answer.status_code, answer.json["code"]) == (504, "outcome-unknown")
    txid_hex = answer.json["txid"]
    assert txid_hex in answer.json["detail"]
    first = stack.get("/w/history").json["transactions"][0]
    assert (first["txid"], first["status"]) == (txid_hex, "pending")

    accept(held[0])
    first = stack.get("/w/history").json["transactions"][0]
    assert (first["txid"], first["status"]) == (txid_hex, "unconfirmed")
    stack.mine()
    stack.deliver()
    assert [send.status for _, send in stack.store.open_sends().values()] == ["confirmed"]


def test_a_payment_without_verdict_is_paid_once_however_often_it_is_asked_for(stack: Stack) -> None:
    address = stack.fund("w", 2)
    stack.broker.answers[TxSubmitted] = raise_timeout
    body = {"to": address, "amount": "1", "password": PASSWORD, "request_id": "abc"}
    txids = {stack.post("/w/send", **body).json["txid"] for _ in range(3)}
    assert len(txids) == 1
    assert len({message.txs for message in stack.broker.published if isinstance(message, TxSubmitted)}) == 1
    stack.broker.answers[TxSubmitted] = stack.submit
    answer = stack.post("/w/send", **body)
    assert (answer.status_code, answer.json["txid"]) == (200, *txids)
    assert stack.get("/w/history").json["transactions"][0]["status"] == "unconfirmed"


def test_a_request_id_pays_once(stack: Stack) -> None:
    stack.fund("w", 2)
    payee = stack.create("payee")
    body = {"to": payee, "amount": "1", "password": PASSWORD}
    answers = [stack.post("/w/send", **body, request_id="same").json for _ in range(2)]
    assert answers[0] == answers[1]
    assert stack.get("/payee").json["unconfirmed"] == COIN
    stack.post("/w/send", **body, request_id="another")
    assert stack.get("/payee").json["unconfirmed"] == 2 * COIN


def test_without_a_broker_nothing_is_sent_or_changed(stack: Stack) -> None:
    address = stack.fund("w")
    before = stack.wallet_records()
    stack.broker.away = True
    for path, body in (("/w/send", {"to": address, "amount": "1", "password": PASSWORD}), ("/w/mine", {"count": 1})):
        answer = stack.post(path, **body)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
    assert stack.get("/w").status_code == 200
    assert stack.wallet_records() == before


def test_a_submission_that_no_queue_takes_changes_nothing(stack: Stack) -> None:
    address = stack.fund("w")
    before = stack.wallet_records()

    def nobody(message: TxSubmitted) -> TxVerdicts:
        raise Unroutable("nobody takes tx.submitted")

    stack.broker.answers[TxSubmitted] = nobody
    assert stack.post("/w/send", to=address, amount="1", password=PASSWORD).status_code == 503
    assert stack.wallet_records() == before


def test_fewer_blocks_than_asked_for_are_no_success(stack: Stack) -> None:
    stack.create("w")
    stack.broker.answers[MineRequested] = lambda message: MineResult(hashes=("aa" * 32,), error="no miner answers")
    answer = stack.post("/w/mine", count=2)
    assert (answer.status_code, answer.json["code"]) == (503, "mining-stopped")
    assert answer.json["blocks"] == ["aa" * 32]
    assert "no miner answers" in answer.json["detail"]


def test_an_unlocked_session_sends_without_password_for_fifteen_minutes(stack: Stack) -> None:
    address = stack.fund("w", 2)
    unlocked = stack.post("/w/unlock", password=PASSWORD)
    cookie = unlocked.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert stack.get("/w").json["unlocked"] is True
    assert stack.post("/w/send", to=address, amount="1").status_code == 200
    other = stack.app.test_client().post("/api/wallets/w/send", json={"to": address, "amount": "1"})
    assert (other.status_code, other.json["code"]) == (401, "locked")
    stack.now += 15 * 60
    assert stack.post("/w/send", to=address, amount="1").json["code"] == "locked"


def test_locking_ends_it_at_once(stack: Stack) -> None:
    address = stack.fund("w")
    stack.post("/w/unlock", password=PASSWORD)
    assert stack.post("/w/lock").json == {"unlocked": False}
    assert stack.post("/w/send", to=address, amount="1").json["code"] == "locked"


def test_a_new_address_is_the_wallets_too(stack: Stack) -> None:
    old = stack.fund("w")
    new = stack.post("/w/addresses")
    assert new.status_code == 201
    address = new.json["address"]
    assert stack.get("/w").json["address"] == address
    assert stack.get("/w/addresses").json["addresses"] == [address, old]
    stack.post("/w/send", to=address, amount="7", password=PASSWORD)
    stack.mine()
    assert stack.get("/w").json["balance"] > 49 * COIN


def test_an_export_opens_with_the_wallets_password(stack: Stack) -> None:
    stack.create("w")
    pem = stack.post("/w/export", password=PASSWORD)
    assert pem.mimetype == "application/x-pem-file"
    assert b"ENCRYPTED PRIVATE KEY" in pem.data
    exported = private_key_from_pem(pem.data, PASSWORD)
    assert exported.public_key.compressed.hex() == stack.get("/w").json["public_key"]
    stack.post("/w/unlock", password=PASSWORD)
    assert stack.post("/w/export").json["code"] == "locked"  # a session is not enough for this


def test_history_is_paged_newest_first_and_complete(stack: Stack) -> None:
    address = stack.fund("w", 5)
    stack.post("/w/send", to=address, amount="1", password=PASSWORD)
    seen, after = [], ""
    for _ in range(10):
        page = stack.get(f"/w/history?limit=2{after}").json
        seen += page["transactions"]
        if page["after"] is None:
            break
        after = f"&after={page['after']}"
    assert len({entry["txid"] for entry in seen}) == len(seen) == 6
    assert seen[0]["status"] == "unconfirmed"
    assert seen[0]["amount"] == -seen[0]["fee"] < 0
    assert [entry["height"] for entry in seen[1:]] == [5, 4, 3, 2, 1]
    assert all(entry["coinbase"] and entry["amount"] == 50 * COIN for entry in seen[1:])


def test_wallets_outlive_the_service(stack: Stack) -> None:
    address = stack.fund("w")
    before = stack.get("/w").json
    restarted: WalletService = stack.new_service()
    assert restarted.info("w").address == address == before["address"]
    assert restarted.info("w").balance.spendable == before["spendable"]


def test_of_many_that_create_the_same_wallet_one_succeeds(stack: Stack) -> None:
    clients = [stack.app.test_client() for _ in range(6)]
    start = threading.Barrier(len(clients))

    def create(client) -> tuple[int, str]:
        start.wait(5)
        answer = client.post("/api/wallets", json={"id": "w", "password": PASSWORD})
        return answer.status_code, answer.json.get("address", "")

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(create, clients))
    assert sorted(status for status, _ in answers) == [201] + [409] * 5
    (address,) = [address for status, address in answers if status == 201]
    assert stack.get("/w").json["address"] == address


def test_no_secret_is_ever_logged_or_told(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "a very secret passphrase"
    created = stack.post("", id="w", password=secret)
    answers = [
        stack.post("/w/unlock", password=secret),
        stack.post("/w/unlock", password=secret + "x"),
        stack.post("/w/send", to=created.json["address"], amount="1", password=secret),
        stack.post("", id="w", password=secret),
        stack.get("/w"),
    ]
    pem = stack.post("/w/export", password=secret)
    private_key = private_key_from_pem(pem.data, secret)
    told = caplog.text + "".join(answer.get_data(as_text=True) for answer in answers) + str(stack.wallet_records())
    assert "wallet created" in caplog.text
    for hidden in (secret, created.json["mnemonic"], private_key.secret.hex(), repr(private_key.secret)[2:-1]):
        assert hidden not in told
