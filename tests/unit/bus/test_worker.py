"""The worker's handling of faults, with a broker in memory."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from shared import metrics
from shared.bus.broker import ReplyAddress
from shared.bus.events import BlockVerdict, CoinsRequested, Failure, Message, MineRequested, TxSubmitted
from shared.bus.topics import MEMPOOL_BLOCKS, MEMPOOL_TXS
from shared.bus.worker import CLOCK_SKEW, Handler, Incoming, Suspects, Worker, each
from shared.errors import BrokerUnavailable, CommitConflict, StaleWriter, StoreUnavailable, UnsafeStore
from shared.process.shutdown import ExitFlag
from tests.unit.bus.fake_broker import FakeBroker, FakeConsumer

SOMEONE = ReplyAddress("someone", "1")


def tx(name: str) -> TxSubmitted:
    return TxSubmitted(txs=(name,))


def mine(count: int) -> MineRequested:
    return MineRequested(count=count, script_pubkey="51")


class Setup:
    """A worker on a fake broker, and the messages that its handlers saw."""

    def __init__(self, **options: Any) -> None:
        self.broker = FakeBroker()
        self.consumer: FakeConsumer = self.broker.consumer([MEMPOOL_BLOCKS, MEMPOOL_TXS])
        self.batches: list[list[str]] = []
        self.stop = ExitFlag()
        self.trouble: Callable[[list[str]], None] = lambda names: None
        handlers: dict[type[Message], Handler[Any]] = options.pop("handlers", None) or {TxSubmitted: self.handle}
        self.worker = Worker(
            self.broker, self.consumer, handlers, name="test", stop=self.stop, idle_wait=0.001, **options
        )

    def handle(self, batch: Sequence[Incoming[TxSubmitted]]) -> list[Message | None]:
        names = [incoming.message.txs[0] for incoming in batch]
        self.batches.append(names)
        self.trouble(names)
        return [BlockVerdict(hash=name, accepted=True) for name in names]

    def put(self, *names: str, **options: Any) -> None:
        for name in names:
            self.broker.put(MEMPOOL_TXS, tx(name), **options)

    def drain(self) -> None:
        for _ in range(100):
            if not self.worker.run_once():
                return
        pytest.fail("the queue never ran empty")

    def run_without_store(self, seconds: float) -> None:
        """Run while the store is away; stop this long after the first attempt."""
        timer = threading.Timer(seconds, self.stop.set)

        def trouble(_names: list[str]) -> None:
            if len(self.batches) == 1:
                timer.start()
            raise StoreUnavailable("away")

        self.trouble = trouble
        self.worker.run()
        timer.join()


def fail_on(name: str, error: Exception, times: int = 1_000_000) -> Callable[[list[str]], None]:
    left = iter(range(times))

    def trouble(names: list[str]) -> None:
        if name in names and next(left, None) is not None:
            raise error

    return trouble


def test_a_batch_is_handled_together_answered_and_acked() -> None:
    setup = Setup()
    setup.put("a", "b")
    setup.put("c", reply_address=SOMEONE)
    assert setup.worker.run_once()
    assert setup.batches == [["a", "b", "c"]]
    assert setup.broker.replies == [(SOMEONE, BlockVerdict(hash="c", accepted=True))]
    assert len(setup.consumer.acked) == 3
    assert not setup.worker.run_once()


@pytest.mark.parametrize(
    ("message", "seconds_late", "is_dropped"),
    [
        (mine(1), CLOCK_SKEW + 1, True),
        (mine(1), -10, False),
        (mine(1), CLOCK_SKEW / 2, False),
        (mine(1), -math.inf, False),
        (tx("a"), CLOCK_SKEW + 1, False),
    ],
    ids=["too late", "in time", "within the skew of clocks", "without a deadline", "of use without its requester"],
)
def test_nobody_works_for_a_requester_that_has_gone(
    caplog: pytest.LogCaptureFixture, message: Message, seconds_late: float, is_dropped: bool
) -> None:
    seen: list[Message] = []
    table = {MineRequested: each(seen.append), TxSubmitted: each(seen.append)}
    setup = Setup(handlers=table)
    setup.broker.put(MEMPOOL_BLOCKS, message, deadline=time.time() - seconds_late, reply_address=SOMEONE)
    setup.drain()
    assert seen == ([] if is_dropped else [message])
    assert len(setup.consumer.acked) == 1
    assert not setup.broker.replies
    assert ("dropped a request that nobody waits for any more" in caplog.messages) == is_dropped


def test_runs_of_one_type_stay_in_order() -> None:
    seen: list[tuple[str, int]] = []

    def note(kind: str) -> Handler[Any]:
        def handler(batch: Sequence[Incoming[Any]]) -> list[None]:
            seen.append((kind, len(batch)))
            return [None] * len(batch)

        return handler

    setup = Setup(handlers={TxSubmitted: note("tx"), MineRequested: note("mine")})
    for message in (tx("a"), tx("b"), mine(1), tx("c")):
        setup.broker.put(MEMPOOL_TXS, message)
    setup.drain()
    assert seen == [("tx", 2), ("mine", 1), ("tx", 1)]
    assert len(setup.consumer.acked) == 4


def test_no_reply_is_sent_for_none() -> None:
    setup = Setup(handlers={TxSubmitted: each(lambda message: None)})
    setup.put("a", reply_address=SOMEONE)
    setup.drain()
    assert setup.broker.replies == []
    assert len(setup.consumer.acked) == 1


def test_an_answer_is_sent_before_the_ack() -> None:
    setup = Setup()
    setup.put("a", reply_address=SOMEONE)
    setup.broker.reply_many = lambda replies: pytest.fail("acked first") if setup.consumer.acked else None  # type: ignore[method-assign]
    setup.drain()
    assert len(setup.consumer.acked) == 1


@pytest.mark.parametrize("request_", [mine(1), CoinsRequested(script_pubkey="51", amount=1)])
def test_a_message_to_be_carried_out_once_is_refused_without_an_id(request_: Message) -> None:
    handled: list[Message] = []
    handlers = {type(request_): each(handled.append)}
    setup = Setup(handlers=handlers)
    for _ in range(2):
        setup.broker.put(MEMPOOL_TXS, request_, reply_address=SOMEONE, message_id="")
    setup.broker.put(MEMPOOL_TXS, request_, message_id="a")
    setup.drain()
    assert handled == [request_]
    assert ["has no message_id" in why for _, why in setup.broker.dead] == [True, True]
    assert all("has no message_id" in answer.error for _, answer in setup.broker.replies)
    assert len(setup.broker.replies) == 2


def test_other_messages_need_no_id() -> None:
    setup = Setup()
    setup.broker.put(MEMPOOL_TXS, tx("a"), message_id="")
    setup.drain()
    assert (setup.batches, setup.broker.dead) == ([["a"]], [])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (("tx.submitted", b"\xff"), "tx.submitted"),
        (("tx.submitted", b'{"txs": 5}'), "tx.submitted"),
        (("no.such", b"{}"), "unknown message type"),
        (("mine.requested", b'{"count": 1, "script_pubkey": "51"}'), "no handler"),
    ],
)
def test_what_cannot_be_handled_is_dead_lettered_at_once_and_answered(raw: tuple[str, bytes], reason: str) -> None:
    setup = Setup()
    before = metrics.BUS_DEAD_LETTERED.labels("mempool.txs")._value.get()
    setup.put("a")
    setup.broker.put(MEMPOOL_TXS, raw, reply_address=SOMEONE)
    setup.put("b")
    setup.drain()
    assert [(delivery.body, reason in why) for delivery, why in setup.broker.dead] == [(raw[1], True)]
    ((address, answer),) = setup.broker.replies
    assert address == SOMEONE
    assert isinstance(answer, Failure)
    assert reason in answer.error
    assert [name for batch in setup.batches for name in batch] == ["a", "b"]
    assert metrics.BUS_DEAD_LETTERED.labels("mempool.txs")._value.get() == before + 1


@pytest.mark.parametrize("error", [StoreUnavailable("away"), BrokerUnavailable("away"), CommitConflict("moved on")])
def test_a_batch_waits_for_the_store_and_recovers_before_each_try(error: Exception) -> None:
    recovered: list[int] = []

    def recover() -> None:
        recovered.append(1)
        if len(recovered) == 1:
            raise StoreUnavailable("still away")

    setup = Setup(recover=recover)
    setup.trouble = fail_on("a", error, times=2)
    setup.put("a", "b")
    setup.drain()
    assert setup.batches == [["a", "b"]] * 3
    assert len(recovered) == 3
    assert len(setup.consumer.acked) == 2
    assert setup.consumer.requeued == []


def test_replies_wait_for_the_broker() -> None:
    setup = Setup()
    setup.put("a", reply_address=SOMEONE)
    timer = threading.Timer(0.1, lambda: setattr(setup.broker, "away", False))

    def trouble(_names: list[str]) -> None:
        setup.broker.away = True
        timer.start()

    setup.trouble = trouble
    assert setup.worker.run_once()
    timer.join()
    assert setup.batches == [["a"]]
    assert setup.broker.replies == [(SOMEONE, BlockVerdict(hash="a", accepted=True))]


def test_stopping_during_an_outage_leaves_the_batch_to_others() -> None:
    setup = Setup()
    setup.put("a")
    setup.run_without_store(0.1)
    assert setup.batches
    assert setup.consumer.acked == []
    setup.consumer.close()
    assert len(setup.broker.backlog(MEMPOOL_TXS)) == 1


@pytest.mark.parametrize("error", [StaleWriter("fenced"), UnsafeStore("may evict")])
def test_a_writer_that_was_fenced_off_stops_and_settles_nothing(error: Exception) -> None:
    setup = Setup()
    setup.trouble = fail_on("a", error)
    setup.put("a")
    with pytest.raises(type(error)):
        setup.worker.run()
    assert (setup.consumer.acked, setup.consumer.requeued, setup.broker.dead) == ([], [], [])


def test_one_bad_message_does_not_harm_its_batch() -> None:
    recovered: list[int] = []
    setup = Setup(recover=lambda: recovered.append(1))
    setup.trouble = fail_on("bad", RuntimeError("oops"))
    setup.put("a")
    setup.put("bad", reply_address=SOMEONE)
    setup.put("b")
    setup.drain()
    assert setup.batches[:4] == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]
    assert [delivery.delivery_count for delivery in setup.consumer.requeued] == [0, 1, 2, 3]
    assert len(setup.consumer.acked) == 2
    assert [(delivery.delivery_count, why) for delivery, why in setup.broker.dead] == [(4, "its handler keeps failing")]
    assert setup.broker.replies == [(SOMEONE, Failure(error="internal error"))]
    assert setup.batches.count(["bad"]) == 5
    assert recovered


def test_workers_that_share_a_queue_count_its_failures_together() -> None:
    setup = Setup()

    def trouble(names: list[str]) -> None:
        raise KeyError(names[0])

    setup.trouble = trouble
    suspects = Suspects()
    workers = [
        Worker(
            setup.broker,
            setup.broker.consumer([MEMPOOL_TXS]),
            {TxSubmitted: setup.handle},
            name=f"test-{number}",
            stop=setup.stop,
            max_batch=1,
            delivery_limit=4,
            idle_wait=0.001,
            suspects=suspects,
        )
        for number in range(2)
    ]
    setup.put("bad")
    for _ in range(4):
        for worker in workers:
            worker.run_once()
    assert len(setup.batches) == 4
    assert [why for _, why in setup.broker.dead] == ["its handler keeps failing"]
    assert suspects == Suspects()


def test_a_handler_that_forgets_an_answer_is_a_failure() -> None:
    setup = Setup(handlers={TxSubmitted: lambda batch: []}, delivery_limit=1)
    setup.put("a")
    setup.drain()
    assert len(setup.broker.dead) == 1


def test_a_message_that_kills_the_process_is_dead_lettered_unhandled_and_its_neighbours_are_not() -> None:
    setup = Setup(delivery_limit=3)
    setup.put("killer", "neighbour", delivery_count=4)
    setup.drain()
    assert [why for _, why in setup.broker.dead] == ["handed out too often without an answer"]
    assert setup.batches == [["neighbour"]]


def test_a_message_that_was_handed_out_before_is_handled_and_acked_alone() -> None:
    setup = Setup()
    setup.put("a")
    setup.put("b", "c", delivery_count=1)
    setup.put("d")
    acked_at: list[int] = []
    setup.trouble = lambda names: acked_at.append(len(setup.consumer.acked))
    setup.drain()
    assert setup.batches == [["a"], ["b"], ["c"], ["d"]]
    assert acked_at == [0, 0, 2, 3]


def test_idle_work_is_done_after_every_batch_and_without_one() -> None:
    calls: list[int] = []
    setup = Setup(on_idle=lambda: calls.append(len(setup.consumer.acked)))
    setup.worker.run_once()
    setup.put("a")
    setup.worker.run_once()
    assert calls == [0, 1]


def test_idle_work_waits_for_the_store_too() -> None:
    failures = iter([StoreUnavailable("away"), None])

    def idle() -> None:
        if error := next(failures):
            raise error

    Setup(on_idle=idle).worker.run_once()
    assert next(failures, "used up") == "used up"


def test_run_ends_when_the_flag_is_set() -> None:
    setup = Setup()
    setup.put("a")
    setup.trouble = lambda names: setup.stop.set()
    setup.worker.run()
    assert len(setup.consumer.acked) == 1


def test_a_failure_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup(delivery_limit=1)
    setup.trouble = fail_on("a", RuntimeError("oops"))
    setup.put("a")
    with caplog.at_level(logging.ERROR):
        setup.drain()
    assert "RuntimeError: oops" in caplog.text
    assert "dead-lettered" in caplog.text
