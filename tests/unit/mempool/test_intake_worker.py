"""Claims of the writer's own process when its worker fails: tried once here, then left to the bus."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from shared.bus.events import (
    Message,
    TxSubmitted,
)
from shared.bus.worker import Handler, Incoming, Worker
from shared.errors import (
    BrokerUnavailable,
    CommitConflict,
    RequestFailed,
    StaleWriter,
    StoreUnavailable,
)
from shared.process.shutdown import ExitFlag
from tests.unit.mempool.intake_setup import PATIENCE, Setup, decoded, eventually, names, tx, verdict


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
