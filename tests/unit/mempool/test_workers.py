"""The miners by their reports: whose turn it is, who has missed something, and their sums."""

from __future__ import annotations

import pytest

from services.mempool.mining import workers as module
from services.mempool.mining.workers import (
    ARRIVAL_SECONDS,
    KEEP_SECONDS,
    MAX_TURN,
    SOON_SECONDS,
    Workers,
    WorkersCollector,
)
from shared.bus.events import MinerReport

RATE = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def report(name: str, **changes: object) -> MinerReport:
    values = {"worker": "00", "kernel": "hashlib", "hash_rate": RATE, "blocks": 0, "state": "waiting"}
    return MinerReport(name=name, **(values | changes))  # type: ignore[arg-type]


def heard(*names: str) -> Workers:
    workers = Workers()
    for name in names:
        workers.hear(report(name))
    return workers


def names_of(workers: Workers) -> list[str]:
    return [known.report.name for known in workers.live()]


def test_of_an_easy_block_each_miner_has_its_turn() -> None:
    workers = heard("b", "a", "c")
    assert [workers.turn(2) for _ in range(5)] == [("a",), ("b",), ("c",), ("a",), ("b",)]


def test_as_many_miners_have_their_turn_as_find_a_block_soon() -> None:
    workers = heard(*"abcdef")
    of_one = int(RATE * SOON_SECONDS)
    assert workers.turn(of_one) == ("a",)
    assert workers.turn(of_one + 1) == ("b", "c")
    assert workers.turn(4 * of_one) == ("d", "e", "f", "a")
    assert workers.turn(5 * of_one + 1) == (), "all six"


@pytest.mark.parametrize(("wanted", "named"), [(MAX_TURN, MAX_TURN), (MAX_TURN + 1, 0)])
def test_a_template_names_up_to_64_miners(wanted: int, named: int) -> None:
    workers = heard(*(f"m{number:03}" for number in range(200)))
    assert MAX_TURN == 64
    assert len(workers.turn(int(wanted * RATE * SOON_SECONDS))) == named


@pytest.mark.parametrize("names", [(), ("alone",)])
def test_a_miner_without_others_has_no_turn_to_wait_for(names: tuple[str, ...]) -> None:
    assert heard(*names).turn(2) == ()


def test_miners_of_one_name_have_one_turn() -> None:
    workers = heard("a", "b")
    workers.hear(report("a", worker="01"))
    assert len(workers.live()) == 3
    assert [workers.turn(2) for _ in range(3)] == [("a",), ("b",), ("a",)]


def test_miners_that_cannot_search_have_no_turn() -> None:
    workers = Workers()
    for name in ("a", "b"):
        workers.hear(report(name, hash_rate=0.0))
    assert workers.turn(2) == ()


def test_a_miner_that_misses_its_turn_has_none_until_it_reports_again() -> None:
    workers = heard("a", "b", "c")
    turn = workers.turn(2)
    workers.solved("a", turn)
    assert names_of(workers) == ["a", "b", "c"]
    workers.solved("c", turn)
    assert names_of(workers) == ["b", "c"]
    workers.solved("unknown", ())
    assert names_of(workers) == ["b", "c"]
    workers.hear(report("a"))
    assert names_of(workers) == ["a", "b", "c"]


@pytest.mark.parametrize(("silent", "lives"), [(KEEP_SECONDS, True), (KEEP_SECONDS + 0.1, False)])
def test_a_miner_that_falls_silent_is_forgotten_after_fifteen_seconds(clock: Clock, silent: float, lives: bool) -> None:
    assert KEEP_SECONDS == 15.0
    workers = heard("a")
    clock.seconds += silent
    assert (names_of(workers) == ["a"]) is lives


def test_a_miner_that_stops_is_forgotten_at_once() -> None:
    workers = heard("a", "b")
    workers.hear(report("a", state="stopped"))
    workers.hear(report("never seen", state="stopped"))
    assert names_of(workers) == ["b"]


def test_a_report_shows_that_its_miner_has_missed_what_all_were_told(clock: Clock) -> None:
    workers = Workers()
    workers.hear(report("a", template_id="old"))
    assert not workers.has_missed(), "nobody was told anything yet"
    workers.told("new")
    clock.seconds += ARRIVAL_SECONDS
    workers.hear(report("a", template_id="old"))
    assert not workers.has_missed(), "it may have crossed the template"
    clock.seconds += 0.1
    workers.hear(report("b", template_id="new"))
    assert not workers.has_missed()
    workers.hear(report("a", template_id="old"))
    assert workers.has_missed()
    workers.told("new")
    assert not workers.has_missed()
    workers.told("")
    clock.seconds += 2 * ARRIVAL_SECONDS
    workers.hear(report("a", template_id="new"))
    assert workers.has_missed(), "it works for nobody"


def test_prometheus_gets_the_sums() -> None:
    workers = Workers()
    workers.hear(report("a", state="mining", blocks=2))
    workers.hear(report("b", state="mining", blocks=3, hash_rate=2 * RATE))
    workers.hear(report("c", blocks=4))
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in WorkersCollector(workers).collect()
        for sample in metric.samples
    }
    assert found == {
        ("warren_miners", "mining"): 2,
        ("warren_miners", "waiting"): 1,
        ("warren_miners_hash_rate",): 3 * RATE,
        ("warren_miners_blocks",): 9,
    }
