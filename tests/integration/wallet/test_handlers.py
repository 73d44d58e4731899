"""The wallet's record of its own sends follows the chain."""

from __future__ import annotations

import logging

import pytest

from services.wallet.__main__ import _run_inbox
from services.wallet.store import Send, SendStatus
from shared.bus.events import BlockDisconnected, Removal, TxAccepted, TxRemoved, TxSubmitted
from shared.bus.topics import WALLET_INBOX
from shared.bus.worker import Incoming
from shared.primitives.hex import display_hash
from shared.primitives.transaction import TxOut
from shared.process import waiting
from shared.process.shutdown import ExitFlag
from tests.builders import Spendable, key, p2wpkh, spend
from tests.integration.wallet.conftest import COIN, PASSWORD, Stack
from tests.integration.wallet.test_api import raise_timeout


@pytest.fixture
def sent(stack: Stack) -> bytes:
    """The txid of a payment from wallet `w`, in the pool."""
    stack.fund("w")
    payee = stack.create("payee")
    answer = stack.post("/w/send", to=payee, amount="1", password=PASSWORD)
    return bytes.fromhex(answer.json["txid"])[::-1]


def record(stack: Stack, txid: bytes) -> Send:
    return stack.store.sends("w", [txid])[txid]


def incoming(*messages) -> list[Incoming]:
    return [Incoming(message, "", None) for message in messages]


def test_a_send_goes_from_pending_to_unconfirmed_to_confirmed(stack: Stack, sent: bytes) -> None:
    assert record(stack, sent).status is SendStatus.PENDING
    stack.deliver()
    assert record(stack, sent).status is SendStatus.UNCONFIRMED
    stack.mine()
    stack.deliver()
    assert (record(stack, sent).status, record(stack, sent).height) == (SendStatus.CONFIRMED, 5)
    assert stack.store.unmined_sends("w", 10) == {}


def test_events_that_come_twice_or_in_reverse_do_no_harm(stack: Stack, sent: bytes) -> None:
    stack.mine()
    stack.deliver()
    before = stack.wallet_records()
    txid_hex = display_hash(sent)
    late = incoming(
        TxRemoved(txid=txid_hex, why=Removal.MINED),
        TxAccepted(txid=txid_hex, wtxid=txid_hex, fee=1, vsize=1),
        TxRemoved(txid=txid_hex, why=Removal.EVICTED),
    )
    stack.inbox.on_pool(late)
    stack._read = b"0"
    stack.deliver()
    assert stack.wallet_records() == before


def test_a_reorganisation_takes_the_confirmation_back_and_may_give_another(stack: Stack, sent: bytes) -> None:
    base = stack.node.tree.tip
    block = stack.mine()
    stack.deliver()
    assert record(stack, sent).status is SendStatus.CONFIRMED
    rival = stack.mine(with_pool=False, on=base, tag=b"rival")
    stack.mine(with_pool=False, on=rival, tag=b"rival")
    assert stack.view.tip().height == 6
    stack.deliver()
    assert (record(stack, sent).status, record(stack, sent).height) == (SendStatus.UNCONFIRMED, None)
    assert sent in stack.store.unmined_sends("w", 10)
    stack.mine()
    stack.deliver()
    assert (record(stack, sent).status, record(stack, sent).height) == (SendStatus.CONFIRMED, 7)
    assert block.transactions[1].txid == sent


@pytest.mark.parametrize("why", [Removal.EVICTED, Removal.EXPIRED, Removal.CONFLICT, Removal.REPLACED])
def test_a_send_that_left_the_pool_is_dropped_with_the_cause(stack: Stack, why: Removal) -> None:
    address = stack.fund("w")
    stack.broker.answers[TxSubmitted] = raise_timeout  # so it is not in the pool
    answer = stack.post("/w/send", to=address, amount="1", password=PASSWORD)
    txid = bytes.fromhex(answer.json["txid"])[::-1]
    stack.inbox.on_pool(incoming(TxRemoved(txid=answer.json["txid"], why=why)))
    assert (record(stack, txid).status, record(stack, txid).why) == (SendStatus.DROPPED, str(why))
    first = stack.get("/w/history").json["transactions"][0]
    assert (first["status"], first["why"]) == ("dropped", str(why))
    assert stack.get("/w").json["spendable"] == 50 * COIN


def test_a_disconnected_send_that_the_pool_does_not_take_back_is_pending(stack: Stack) -> None:
    address = stack.fund("w")
    stack.broker.answers[TxSubmitted] = raise_timeout
    answer = stack.post("/w/send", to=address, amount="1", password=PASSWORD)
    txid = bytes.fromhex(answer.json["txid"])[::-1]
    confirmed = Send("a", 1, 1, 0, 1, SendStatus.CONFIRMED, 4)
    stack.store.update_sends({txid: ("w", confirmed)})
    stack.inbox.on_blocks(incoming(BlockDisconnected(hash="00" * 32, height=4, time=0, tx_count=1)))
    assert record(stack, txid).status is SendStatus.PENDING
    assert txid in stack.store.unmined_sends("w", 10)


def test_a_deep_send_is_not_looked_at_any_more(stack: Stack, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.wallet.handlers._FINAL_DEPTH", 2)
    for open_count in (1, 1, 0):
        stack.mine()
        stack.deliver()
        assert len(stack.store.open_sends()) == open_count
    assert record(stack, sent).status is SendStatus.CONFIRMED


def test_transactions_of_others_are_none_of_its_business(stack: Stack, sent: bytes) -> None:
    stack.deliver()
    before = stack.wallet_records()
    stack.inbox.on_pool(incoming(TxAccepted(txid="11" * 32, wtxid="11" * 32, fee=1, vsize=1)))
    stack.inbox.on_pool(incoming(TxRemoved(txid="11" * 32, why=Removal.EVICTED)))
    assert stack.wallet_records() == before


def test_what_a_block_brings_is_logged_once(stack: Stack, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    stack.deliver()
    caplog.clear()
    caplog.set_level(logging.INFO)
    stack.mine()
    stack.deliver()
    received = [entry.fields for entry in caplog.records if entry.message == "coins received"]
    assert received == [{"wallet": "payee", "sats": COIN, "transactions": 1}]


def test_a_send_that_is_replaced_is_dropped_and_the_balance_is_that_of_the_other(stack: Stack, sent: bytes) -> None:
    """Another wallet with these words spends the coin with a higher fee, as after a fee bump there."""
    stack.deliver()
    assert stack.get("/payee").json["unconfirmed"] == COIN
    spent = stack.node.pool.get(sent)
    assert spent is not None
    outpoint = spent.tx.inputs[0].prevout
    [prevout] = stack.view.txs.prevouts([spent.tx]).values()
    private_key = waiting.run(stack.wallets.open("w", PASSWORD)).child(0).child(0).private_key
    assert private_key is not None
    coin = Spendable(outpoint, prevout, private_key)
    own, other = prevout.script_pubkey, p2wpkh(key("somebody"))
    bumped = spend([coin], [TxOut(2 * COIN, other), TxOut(48 * COIN - 20_000, own)])
    verdicts = stack.broker.request(TxSubmitted(txs=(bumped.serialize().hex(),)), 1.0)
    assert verdicts.verdicts[0].replaced == (display_hash(sent),)
    stack.deliver()
    assert (record(stack, sent).status, record(stack, sent).why) == (SendStatus.DROPPED, "replaced")
    balance = stack.get("/w").json
    assert (balance["confirmed"], balance["unconfirmed"]) == (50 * COIN, -2 * COIN - 20_000)
    assert balance["spendable"] == 48 * COIN - 20_000
    assert stack.get("/payee").json["unconfirmed"] == 0
    shown = {item["txid"]: item["status"] for item in stack.get("/w/history").json["transactions"]}
    assert (shown[display_hash(sent)], shown[bumped.txid_hex]) == ("dropped", "unconfirmed")

    stack.mine()
    stack.deliver()
    assert record(stack, sent).status is SendStatus.DROPPED
    balance = stack.get("/w").json
    assert (balance["confirmed"], balance["unconfirmed"]) == (48 * COIN - 20_000, 0)


def test_a_payment_never_takes_the_place_of_another(stack: Stack, sent: bytes) -> None:
    submitted = [message for message in stack.broker.published if isinstance(message, TxSubmitted)]
    assert [message.may_replace for message in submitted] == [False]


class Gathering(ExitFlag):
    """A flag whose first wait lasts until three facts have come one by one, and whose second one ends the work."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self._stack = stack
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        for number in range(3) if len(self.waits) == 1 else ():
            self._stack.broker.publish(TxRemoved(seq=number, txid=f"{number:064x}", why=Removal.MINED))
        if len(self.waits) == 2:
            self.set()
        return self.is_set()


def test_facts_that_come_one_by_one_are_handled_together(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    sends_by_txid = stack.store.sends_by_txid
    monkeypatch.setattr(stack.store, "sends_by_txid", lambda txids: asked.append(len(txids)) or sends_by_txid(txids))
    stop = Gathering(stack)
    _run_inbox(stack.broker, stack.wallets, stack.view, stop)
    assert asked == [3]
    assert stop.waits == [0.1, 0.1]
    assert stack.broker.backlog(WALLET_INBOX) == []
