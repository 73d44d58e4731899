"""The short way of a claim to the writer of its own process, and its way over the bus when that is closed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from services.mempool.intake import intake as intake_module
from services.mempool.intake.intake import AHEAD, Intake
from services.mempool.intake.local_calls import HERE
from services.mempool.intake.router import ClaimRouter
from shared.bus import events
from shared.bus.broker import Delivery, ReplyAddress
from shared.bus.events import (
    BlockMined,
    BlockVerdict,
    Failure,
    Message,
    TxSubmitted,
    TxVerdict,
    TxVerdicts,
    WalletsRequested,
    WalletsResult,
)
from shared.bus.topics import MEMPOOL_BLOCKS, MEMPOOL_TXS
from shared.bus.worker import Handler, Incoming, Worker
from shared.errors import (
    BrokerUnavailable,
    CommitConflict,
    RequestFailed,
    RequestTimeout,
    StaleWriter,
    StoreUnavailable,
)
from shared.process.shutdown import ExitFlag
from shared.process.waiting import THREAD
from tests.unit.bus.fake_broker import FakeBroker

PATIENCE = 20.0


def eventually(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


def tx(name: str) -> TxSubmitted:
    return TxSubmitted(txs=(name,))


def block(name: str) -> BlockMined:
    return BlockMined(block=name)


def verdict(name: str) -> TxVerdicts:
    return TxVerdicts(verdicts=(TxVerdict(txid=name, wtxid=name, accepted=True),))


def answer(message: Message) -> Message:
    """Answer as a writer would."""
    match message:
        case TxSubmitted():
            return verdict(message.txs[0])
        case BlockMined(block=str(name)):
            return BlockVerdict(hash=name, accepted=True)
    raise AssertionError(message)


def names(replies: Sequence[Message]) -> list[str]:
    return [reply.hash if isinstance(reply, BlockVerdict) else reply.verdicts[0].txid for reply in replies]


class Setup:
    """A process with a port, which asks, and an intake, whose writer each test plays."""

    def __init__(self) -> None:
        self.bus = FakeBroker()
        self.router = ClaimRouter(self.bus)
        self.intake: Intake = self.router.take_claims([MEMPOOL_BLOCKS, MEMPOOL_TXS], 10)
        self.threads = ThreadPoolExecutor(8)

    def take(self, count: int = 256) -> list[Delivery]:
        return self.intake.receive(count, PATIENCE)

    def open(self) -> None:
        """Let claims of this process in: the writer looks for its first batch."""
        assert self.intake.receive(1, 0) == []

    def ask(self, *messages: TxSubmitted | BlockMined, timeout: float = PATIENCE) -> Future[list[Message]]:
        """Ask on a thread; returns when the claims wait for the writer, here or on the bus."""
        before = self._waiting()
        asked = self.threads.submit(self.router.request_many, messages, timeout)  # type: ignore[arg-type]
        eventually(lambda: self._waiting() - before >= len(messages) or asked.done())
        return asked

    def _waiting(self) -> int:
        here = sum(len(lane.local) for lane in self.intake._lanes.values())
        return here + len(self.bus.published)

    def reply(self, deliveries: Sequence[Delivery]) -> None:
        self.router.reply_many([(d.reply_address, answer(d.message or decoded(d))) for d in deliveries])  # type: ignore[misc]
        self.intake.ack(deliveries)

    def serve_bus(self) -> None:
        """Answer what comes over the bus, as a writer elsewhere."""
        self.bus.answers = {TxSubmitted: answer, BlockMined: answer}

    def close(self) -> None:
        self.intake.close()
        self.threads.shutdown()


def decoded(delivery: Delivery) -> Message:
    return events.decode(delivery.type, delivery.body)


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


# ── with the worker ─────────────────────────────────────────────────────────────────────────────────────────────────


class Working(Setup):
    """The intake with its worker on a thread; `trouble` may raise what a handler raises."""

    def __init__(self, trouble: Callable[[list[str]], None]) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.recovered = 0
        self.trouble = trouble
        self.stop = ExitFlag()
        self.error: BaseException | None = None
        table: dict[type[Message], Handler[TxSubmitted]] = {TxSubmitted: self._handle}
        self.worker = Worker(
            self.router, self.intake, table, name="mempool", stop=self.stop, recover=self._recover, idle_wait=0.01
        )
        self.thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self.thread.start()
        eventually(lambda: self.intake._is_open)

    def _run(self) -> None:
        try:
            self.worker.run()
        except StaleWriter as error:
            self.error = error
        self.intake.close()

    def _recover(self) -> None:
        self.recovered += 1
        self.intake.pause()

    def _handle(self, batch: Sequence[Incoming[TxSubmitted]]) -> list[Message | None]:
        found = [incoming.message.txs[0] for incoming in batch]
        self.batches.append(found)
        self.trouble(found)
        return [verdict(name) for name in found]

    def close(self) -> None:
        self.stop.set()
        if self.thread.is_alive():
            self.thread.join(PATIENCE)
        super().close()


@pytest.fixture
def work() -> Iterator[Callable[[Callable[[list[str]], None]], Working]]:
    made: list[Working] = []

    def start(trouble: Callable[[list[str]], None]) -> Working:
        made.append(Working(trouble))
        return made[-1]

    yield start
    for each in made:
        each.close()


def failing(error: Exception, times: int) -> Callable[[list[str]], None]:
    left = iter(range(times))

    def trouble(_names: list[str]) -> None:
        if next(left, None) is not None:
            raise error

    return trouble


@pytest.mark.parametrize("error", [StoreUnavailable("away"), BrokerUnavailable("away"), CommitConflict("moved on")])
def test_a_claim_that_meets_an_outage_is_tried_once_here_and_then_over_the_bus(work, error: Exception) -> None:
    process: Working = work(failing(error, 1))
    process.start()
    assert names(process.router.request_many([tx("a")], PATIENCE)) == ["a"]
    assert process.batches == [["a"], ["a"]]
    assert process.recovered == 1
    assert process.bus.published == [tx("a")]


def test_an_outage_of_store_and_bus_is_an_error_at_once(work) -> None:
    process: Working = work(failing(StoreUnavailable("away"), 1_000_000))
    process.start()
    process.bus.away = True
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        process.router.request(tx("a"), PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    assert process.batches == [["a"]]
    assert process.recovered >= 1


def test_a_claim_that_crashes_its_handler_is_counted_and_dead_lettered_on_the_bus_and_its_neighbours_are_not(
    work,
) -> None:
    def trouble(found: list[str]) -> None:
        if "bad" in found:
            raise RuntimeError("oops")

    process: Working = work(trouble)
    process.start()
    asked = [process.threads.submit(process.router.request, tx(name), PATIENCE) for name in ("good", "bad", "fine")]
    assert names([asked[0].result(PATIENCE), asked[2].result(PATIENCE)]) == ["good", "fine"]
    with pytest.raises(RequestFailed, match="internal error"):
        asked[1].result(PATIENCE)
    assert [(decoded(dead), why) for dead, why in process.bus.dead] == [(tx("bad"), "its handler keeps failing")]


def test_a_writer_that_is_fenced_off_leaves_all_its_claims_to_the_next(work) -> None:
    process: Working = work(failing(StaleWriter("another writer has taken over"), 1))
    process.open()
    asked = process.ask(tx("a"), tx("b"))
    process.thread.start()
    process.serve_bus()
    assert names(asked.result(PATIENCE)) == ["a", "b"]
    assert isinstance(process.error, StaleWriter)
    assert process.bus.published == [tx("a"), tx("b")]
