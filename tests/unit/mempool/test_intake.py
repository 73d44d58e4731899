"""The short way of a claim to the writer of its own process, and its way over the bus when that is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from services.mempool.intake import intake as intake_module
from services.mempool.intake.intake import AHEAD, Intake
from services.mempool.intake.local_calls import HERE
from services.mempool.intake.router import ClaimRouter
from shared.bus.broker import Delivery, ReplyAddress
from shared.bus.events import (
    BlockVerdict,
    Failure,
    Message,
    TxSubmitted,
    WalletsRequested,
    WalletsResult,
)
from shared.bus.topics import MEMPOOL_BLOCKS, MEMPOOL_TXS
from shared.errors import (
    BrokerUnavailable,
    RequestFailed,
    RequestTimeout,
)
from shared.process.waiting import THREAD
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.mempool.intake_setup import PATIENCE, Setup, answer, block, decoded, eventually, names, tx, verdict


@pytest.fixture
def setup() -> Iterator[Setup]:
    made = Setup()
    yield made
    made.serve_bus()
    made.close()


def test_a_claim_reaches_the_writer_of_its_process_without_the_bus_and_unencoded(setup: Setup) -> None:
    setup.open()
    message = tx("a")
    asked = setup.ask(message)
    (delivery,) = setup.take()
    assert delivery.message is message
    assert (delivery.queue, delivery.type, delivery.delivery_count) == ("mempool.txs", "tx.submitted", 0)
    assert delivery.reply_address is not None
    assert delivery.reply_address.reply_to == HERE
    setup.reply([delivery])
    assert names(asked.result(PATIENCE)) == ["a"]
    assert not setup.bus.published


def test_replies_of_a_call_come_in_its_order_whatever_the_order_of_answers(setup: Setup) -> None:
    setup.open()
    asked = setup.ask(tx("a"), tx("b"), tx("c"))
    setup.reply(setup.take()[::-1])
    assert names(asked.result(PATIENCE)) == ["a", "b", "c"]


def test_before_the_writer_takes_its_first_batch_claims_go_over_the_bus(setup: Setup) -> None:
    setup.serve_bus()
    assert names(setup.router.request_many([tx("a")], PATIENCE)) == ["a"]
    assert setup.bus.published == [tx("a")]


def test_on_a_standby_claims_go_over_the_bus() -> None:
    bus = FakeBroker()
    bus.answers = {TxSubmitted: answer}
    assert names(ClaimRouter(bus).request_many([tx("a")], PATIENCE)) == ["a"]


def test_only_before_the_bus_a_requester_is_moved_to_a_thread(setup: Setup) -> None:
    setup.open()
    here = setup.router.ask(tx("here"), PATIENCE)
    wait = here.send(None)
    assert wait is not THREAD
    setup.reply(setup.take())
    with pytest.raises(StopIteration) as end:
        here.send(None)
    assert names([end.value.value]) == ["here"]
    left = setup.router.ask(tx("left"), PATIENCE)
    assert left.send(None) is not THREAD
    setup.intake.pause()
    assert left.send(None) is THREAD
    left.close()
    elsewhere = setup.router.ask(tx("elsewhere"), PATIENCE)
    assert elsewhere.send(None) is THREAD
    elsewhere.close()
    assert not setup.bus.published


def test_a_request_to_another_service_goes_over_the_bus(setup: Setup) -> None:
    setup.open()
    setup.bus.answers = {WalletsRequested: lambda _: WalletsResult(wallets=())}
    assert setup.router.request(WalletsRequested(), PATIENCE) == WalletsResult(wallets=())


def test_blocks_come_before_transactions_from_here_and_from_the_bus(setup: Setup) -> None:
    setup.open()
    setup.ask(tx("local tx"))
    setup.bus.put(MEMPOOL_TXS, tx("bus tx"))
    setup.bus.put(MEMPOOL_BLOCKS, block("bus block"))
    eventually(lambda: all(lane.from_bus for lane in setup.intake._lanes.values()))
    setup.ask(block("local block"))
    batches = []
    for _ in range(4):
        batch = setup.take()
        batches.append([(d.type, d.is_local) for d in batch])
        setup.intake.ack([d for d in batch if not d.is_local])
    blocks, txs = batches[:2], batches[2:]
    assert sorted(blocks) == [[("block.mined", False)], [("block.mined", True)]]
    assert sorted(txs) == [[("tx.submitted", False)], [("tx.submitted", True)]]


def test_neither_a_flood_from_here_nor_one_from_the_bus_holds_up_the_other(setup: Setup) -> None:
    setup.open()
    for number in range(1_000):
        setup.bus.put(MEMPOOL_TXS, tx(f"bus {number}"))
    setup.ask(*(tx(f"local {number}") for number in range(1_000)))
    sides = []
    for _ in range(6):
        eventually(lambda: setup.intake._lanes["mempool.txs"].from_bus)
        batch = setup.take(100)
        sides.append(batch[0].is_local)
        assert {d.is_local for d in batch} == {batch[0].is_local}
    assert sides in ([True, False] * 3, [False, True] * 3)


def test_one_batch_is_taken_from_the_bus_ahead_of_need_and_no_more(setup: Setup) -> None:
    ahead = setup.intake._lanes["mempool.txs"]
    for number in range(1_000):
        setup.bus.put(MEMPOOL_TXS, tx(f"{number}"))
    for taken in (1, 2):
        eventually(lambda: len(ahead.from_bus) == AHEAD)
        assert not ahead.has_room.is_set()
        assert len(setup.bus.backlog(MEMPOOL_TXS)) == 1_000 - taken * AHEAD
        assert len(setup.take(AHEAD)) == AHEAD


def test_memory_holds_so_many_claims_and_no_more(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "MAX_WAITING", 5)
    setup.open()
    setup.ask(tx("a"), tx("b"))
    setup.ask(tx("c"), tx("d"), tx("e"))
    assert not setup.bus.published
    setup.bus.answers = {TxSubmitted: answer}
    assert names(setup.router.request_many([tx("f")], PATIENCE)) == ["f"]
    assert setup.bus.published == [tx("f")]
    setup.reply(setup.take())
    asked = setup.ask(tx("g"))
    setup.reply(setup.take())
    assert names(asked.result(PATIENCE)) == ["g"]
    assert setup.bus.published == [tx("f")]


def test_claims_that_wait_when_the_writer_stops_are_asked_again_over_the_bus(setup: Setup) -> None:
    setup.open()
    asked = setup.ask(tx("answered"), tx("in hand"), tx("waiting"))
    first, _ = setup.take(2)
    setup.reply([first])
    setup.serve_bus()
    setup.intake.close()
    assert names(asked.result(PATIENCE)) == ["answered", "in hand", "waiting"]
    assert setup.bus.published == [tx("in hand"), tx("waiting")]


def test_a_claim_that_is_asked_again_keeps_its_id_by_which_its_job_is_known(setup: Setup) -> None:
    setup.open()
    asked = setup.ask(tx("a"))
    (delivery,) = setup.take()
    setup.intake.close()
    eventually(lambda: setup.bus.backlog(MEMPOOL_TXS))
    (again,) = setup.bus.backlog(MEMPOOL_TXS)
    assert again.reply_address is not None
    assert again.reply_address.correlation_id == delivery.message_id
    setup.bus.reply_many([(again.reply_address, verdict("a"))])
    assert names(asked.result(PATIENCE)) == ["a"]


def test_while_the_writer_waits_for_the_store_claims_go_over_the_bus_and_are_refused_if_that_is_away(
    setup: Setup,
) -> None:
    setup.open()
    asked = setup.ask(tx("waiting"))
    setup.bus.away = True
    setup.intake.pause()
    with pytest.raises(BrokerUnavailable):
        asked.result(PATIENCE)
    with pytest.raises(BrokerUnavailable):
        setup.router.request(tx("new"), PATIENCE)
    setup.bus.away = False
    setup.open()
    asked = setup.ask(tx("later"))
    setup.reply(setup.take())
    assert names(asked.result(PATIENCE)) == ["later"]


def test_a_pause_leaves_what_the_writer_has_in_hand_to_it(setup: Setup) -> None:
    setup.open()
    asked = setup.ask(tx("in hand"))
    batch = setup.take()
    setup.intake.pause()
    setup.reply(batch)
    assert names(asked.result(PATIENCE)) == ["in hand"]
    assert not setup.bus.published


@pytest.mark.parametrize("settle", [Intake.requeue, lambda intake, batch: intake.dead_letter(batch, "why")])
def test_a_claim_that_is_given_back_or_condemned_is_judged_on_the_bus(
    setup: Setup, settle: Callable[[Intake, Sequence[Delivery]], None]
) -> None:
    setup.open()
    asked = setup.ask(tx("a"))
    setup.serve_bus()
    settle(setup.intake, setup.take())
    assert names(asked.result(PATIENCE)) == ["a"]
    assert setup.bus.published == [tx("a")]
    assert not setup.bus.dead


def test_what_came_over_the_bus_is_settled_there(setup: Setup) -> None:
    for name in ("acked", "requeued", "dead"):
        setup.bus.put(MEMPOOL_TXS, tx(name))
    batch: list[Delivery] = []
    while len(batch) < 3:
        batch += setup.take()
    setup.intake.ack(batch[:1])
    setup.intake.dead_letter(batch[2:], "why")
    setup.intake.requeue(batch[1:2])
    (again,) = setup.take()
    assert (decoded(again), again.delivery_count) == (tx("requeued"), 1)
    assert [(decoded(dead), why) for dead, why in setup.bus.dead] == [(tx("dead"), "why")]


def test_what_was_taken_ahead_is_given_back_when_the_writer_stops(setup: Setup) -> None:
    for number in range(300):
        setup.bus.put(MEMPOOL_TXS, tx(f"{number}"))
    setup.take()
    eventually(lambda: setup.intake._lanes["mempool.txs"].from_bus)
    setup.intake.close()
    assert [decoded(left) for left in setup.bus.backlog(MEMPOOL_TXS)] == [tx(f"{number}") for number in range(300)]


def test_a_reply_that_comes_too_late_is_dropped_and_the_requester_was_told(setup: Setup) -> None:
    setup.open()
    asked = setup.ask(tx("a"), timeout=0.05)
    batch = setup.take()
    with pytest.raises(RequestTimeout, match="1 of 1 requests unanswered"):
        asked.result(PATIENCE)
    setup.reply(batch)
    assert not setup.bus.replies, "nobody else is bothered with it"


def test_a_reply_to_a_process_that_is_gone_does_not_reach_the_bus() -> None:
    bus = FakeBroker()
    ClaimRouter(bus).reply_many([(ReplyAddress(HERE, "of a former process"), verdict("a"))])
    assert not bus.replies


def test_replies_go_to_where_each_was_asked(setup: Setup) -> None:
    setup.open()
    asked = setup.ask(tx("here"))
    (delivery,) = setup.take()
    elsewhere = ReplyAddress("elsewhere", "1")
    assert delivery.reply_address is not None
    setup.router.reply_many([(elsewhere, verdict("there")), (delivery.reply_address, verdict("here"))])
    assert setup.bus.replies == [(elsewhere, verdict("there"))]
    assert names(asked.result(PATIENCE)) == ["here"]


@pytest.mark.parametrize("reply", [Failure(error="internal error"), BlockVerdict(hash="", accepted=True)])
def test_a_reply_that_does_not_fit_is_an_error(setup: Setup, reply: Message) -> None:
    setup.open()
    asked = setup.ask(tx("a"))
    (delivery,) = setup.take()
    assert delivery.reply_address is not None
    setup.router.reply_many([(delivery.reply_address, reply)])
    with pytest.raises(RequestFailed):
        asked.result(PATIENCE)
