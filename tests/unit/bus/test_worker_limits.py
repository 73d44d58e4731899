"""The worker's exact limits, its waits between failures, and its metrics."""

from __future__ import annotations

from typing import Any

from shared import metrics
from shared.bus.events import Failure, TxSubmitted
from shared.errors import BrokerUnavailable
from tests.unit.bus.test_worker import SOMEONE, Setup, fail_on


def test_a_message_is_dead_lettered_unhandled_only_beyond_the_limit() -> None:
    setup = Setup(delivery_limit=3)
    setup.put("at the limit", delivery_count=3)
    setup.drain()
    assert setup.batches == [["at the limit"]]
    setup.put("beyond", delivery_count=4)
    setup.drain()
    assert setup.batches == [["at the limit"]]
    assert len(setup.broker.dead) == 1


def test_nobody_is_taken_for_a_killer_once_the_broker_was_lost() -> None:
    """A broker that crashes again and again counts each message that waits."""
    setup = Setup(delivery_limit=3)
    setup.consumer.cut_off = True
    setup.put("waited", delivery_count=9)
    setup.worker.run_once()
    assert setup.broker.dead == []
    assert len(setup.consumer.acked) == 1


def test_a_message_is_given_up_for_its_failures_not_for_how_often_it_was_handed_out() -> None:
    def fail(_: object) -> list[None]:
        raise RuntimeError("no")

    setup = Setup(handlers={TxSubmitted: fail}, delivery_limit=3)
    setup.consumer.cut_off = True
    setup.put("unlucky", delivery_count=9)
    setup.worker.run_once()
    setup.worker.run_once()
    assert (len(setup.consumer.requeued), setup.broker.dead) == (2, [])
    setup.worker.run_once()
    assert [why for _, why in setup.broker.dead] == ["its handler keeps failing"]


def test_only_the_first_message_beyond_the_limit_is_taken_for_a_killer() -> None:
    setup = Setup(delivery_limit=3)
    setup.put("killer", delivery_count=4)
    setup.drain()
    setup.put("waited in the same process", delivery_count=9)
    setup.drain()
    assert setup.batches == [["waited in the same process"]]


def test_the_limit_of_a_worker_is_five_and_of_a_batch_256() -> None:
    setup = Setup()
    setup.trouble = fail_on("bad", RuntimeError("oops"))
    setup.put("bad")
    setup.drain()
    assert setup.batches == [["bad"]] * 5
    setup.put(*map(str, range(257)))
    setup.drain()
    assert [len(batch) for batch in setup.batches[5:]] == [256, 1]


def test_a_batch_is_no_larger_than_the_worker_takes() -> None:
    setup = Setup(max_batch=2)
    setup.put("a", "b", "c", "d", "e")
    setup.drain()
    assert setup.batches == [["a", "b"], ["c", "d"], ["e"]]


def test_nothing_is_recovered_where_nothing_failed() -> None:
    recovered: list[int] = []
    setup = Setup(recover=lambda: recovered.append(1))
    setup.put("a", "b")
    setup.drain()
    assert recovered == []


def test_what_computed_on_a_state_that_may_be_gone_is_thrown_away_before_the_rest_is_handled() -> None:
    order: list[str] = []
    setup = Setup(recover=lambda: order.append("recover"), delivery_limit=1)

    def trouble(names: list[str]) -> None:
        order.append(" ".join(names))
        if "bad" in names:
            raise RuntimeError("oops")

    setup.trouble = trouble
    setup.put("bad", "a")
    setup.drain()
    assert order == ["bad a", "recover", "bad", "recover", "a"]


def test_the_store_is_asked_again_with_pauses_and_the_outage_is_counted_once() -> None:
    setup = Setup()
    stalls = metrics.BUS_STALLS.labels("test")
    before = stalls._value.get()
    setup.put("a")
    setup.run_without_store(1.0)
    assert 3 <= len(setup.batches) <= 12
    assert stalls._value.get() == before + 1


def test_a_dead_letter_is_answered_when_the_broker_is_back() -> None:
    setup = Setup(handlers={TxSubmitted: lambda batch: []}, delivery_limit=1)
    setup.put("a", reply_address=SOMEONE)
    real = setup.broker.reply_many
    tries: list[int] = []

    def reply_many(replies: Any) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise BrokerUnavailable("away")
        real(replies)

    setup.broker.reply_many = reply_many  # type: ignore[method-assign]
    setup.drain()
    assert setup.broker.replies == [(SOMEONE, Failure(error="internal error"))]
    assert len(setup.broker.dead) == 1


def test_what_was_handled_and_what_was_given_back_is_counted() -> None:
    setup = Setup()
    handled = metrics.BUS_HANDLED.labels("mempool.txs", "tx.submitted")
    requeued = metrics.BUS_REQUEUED.labels("mempool.txs")
    before = (handled._value.get(), requeued._value.get())
    setup.trouble = fail_on("bad", RuntimeError("oops"), times=1)
    setup.put("bad")
    setup.put("a")
    setup.drain()
    assert (handled._value.get() - before[0], requeued._value.get() - before[1]) == (2, 0)
    setup.trouble = fail_on("bad", RuntimeError("oops"), times=1)
    setup.put("bad")
    setup.drain()
    assert (handled._value.get() - before[0], requeued._value.get() - before[1]) == (3, 1)
