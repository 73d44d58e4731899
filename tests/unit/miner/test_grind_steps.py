"""The grinder step by step, on a clock that only the kernel moves: slices, seconds, nonces, offers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.miner import grind
from services.miner.grind import Grinder
from services.miner.job import Job
from services.miner.kernels.kernel import NONCES, Kernel
from shared.bus.events import BlockMined, NextBlock
from shared.crypto.hashes import sha256d
from shared.primitives.block import BlockHeader
from shared.process.shutdown import ExitFlag
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.miner.test_job import template

START = 1_000.0


class Clock:
    """Stands in for the module `time`; both of its clocks go alike."""

    def __init__(self) -> None:
        self.seconds = START

    def monotonic(self) -> float:
        return self.seconds

    def perf_counter(self) -> float:
        return self.seconds


class Bench:
    """A grinder without a thread. Each step of `script` says how long a search takes, and may do something."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.broker = FakeBroker()
        self.stop = ExitFlag()
        self.grinder = Grinder(self.broker, "bench", self.stop, Kernel("bench", self._search, 100_000.0))
        self.searched: list[tuple[BlockHeader, int, int]] = []
        self.step: Callable[[int], int | None] = lambda _: None
        """The action and result of a search, called with the number of searches before it."""

    def _search(self, header_76: bytes, target: int, start: int, count: int) -> int | None:
        self.searched.append((BlockHeader.parse(header_76 + bytes(4)), start, count))
        return self.step(len(self.searched) - 1)

    def offer(self, id_: str = "t1", **changes: object) -> Job:
        self.grinder.offer(Job.from_template(template(id=id_, **changes)))
        assert self.grinder._job is not None
        return self.grinder._job

    def run(self, searches: int, step: Callable[[int], int | None] = lambda _: None) -> None:
        """Search the offered job, and stop after this number of searches."""

        def counted(number: int) -> int | None:
            found = step(number)
            if number + 1 >= searches:
                self.stop.set()
            return found

        self.step = counted
        job = self.grinder._job
        assert job is not None
        self.grinder._grind(job)

    @property
    def claims(self) -> list[BlockMined]:
        return [message for message in self.broker.published if isinstance(message, BlockMined)]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    clock = Clock()
    monkeypatch.setattr(grind, "time", clock)
    return Bench(clock)


def passing(bench: Bench, seconds: float) -> Callable[[int], None]:
    def step(_: int) -> None:
        bench.clock.seconds += seconds

    return step


def test_slices_follow_each_other_without_a_gap(bench: Bench) -> None:
    bench.offer()
    bench.run(6, passing(bench, 0.001))
    at = 0
    for _, start, count in bench.searched:
        assert start == at
        at += count


def test_a_slice_grows_to_what_takes_a_fiftieth_of_a_second_and_at_most_doubles(bench: Bench) -> None:
    def a_million_a_second(_: int) -> None:
        bench.clock.seconds += bench.searched[-1][2] / 1_000_000

    bench.offer()
    bench.run(8, a_million_a_second)
    counts = [count for _, _, count in bench.searched]
    assert counts == pytest.approx([2_000, 4_000, 8_000, 16_000, *[20_000] * 4], abs=1)


def test_a_slice_shrinks_at_once_and_never_to_nothing(bench: Bench) -> None:
    bench.offer()
    bench.run(3, passing(bench, 0.9))
    assert [count for _, _, count in bench.searched] == [2_000, 44, 1]


def test_every_second_the_headers_time_moves_and_the_nonces_go_on(bench: Bench) -> None:
    job = bench.offer()
    bench.run(7, passing(bench, 0.5))
    assert [header.time - job.time for header, _, _ in bench.searched] == [0, 0, 1, 1, 2, 2, 3]
    starts = [start for _, start, _ in bench.searched]
    assert starts == sorted(set(starts))
    roots = {header.merkle_root for header, _, _ in bench.searched}
    assert len(roots) == 1


def test_when_the_nonces_are_used_up_the_version_rolls_and_nonces_begin_anew(bench: Bench) -> None:
    bench.offer()
    bench.grinder._attempts = NONCES - 2_000
    bench.run(3)
    assert [(start, count) for _, start, count in bench.searched] == [
        (NONCES - 2_000, 2_000),
        (0, 4_000),
        (4_000, 8_000),
    ]
    assert [header.version for header, _, _ in bench.searched] == [0x20000000, 0x20002000, 0x20002000]
    assert len({header.merkle_root for header, _, _ in bench.searched}) == 1


def test_when_the_versions_are_used_up_the_extranonce_moves_on(bench: Bench) -> None:
    bench.offer()
    bench.grinder._attempts = (NONCES << 16) - 2_000
    bench.run(2)
    first, second = (header for header, _, _ in bench.searched)
    assert (first.version, second.version) == (0x3FFFE000, 0x20000000)
    assert first.merkle_root != second.merkle_root


def test_the_place_goes_on_from_one_template_to_the_next(bench: Bench) -> None:
    bench.offer()
    bench.run(2)
    bench.stop = bench.grinder._stop = ExitFlag()
    bench.offer("t2")
    bench.run(4)
    assert [start for _, start, _ in bench.searched] == [0, 2_000, 6_000, 14_000]


@pytest.mark.parametrize(("late", "kept"), [(599.9, True), (600.0, False)])
def test_an_offer_holds_for_ten_minutes(bench: Bench, late: float, kept: bool) -> None:
    job = bench.offer()
    bench.clock.seconds += late
    bench.grinder._drop_unwanted(job)
    assert (bench.grinder._job is job) is kept
    if not kept:
        return
    assert bench.offer() is job, "the same work offered again is the same job"
    bench.clock.seconds += 599.9
    bench.grinder._drop_unwanted(job)
    assert bench.grinder._job is job


def test_a_search_ends_when_its_work_is_wanted_no_more(bench: Bench) -> None:
    bench.offer()
    bench.run(100, passing(bench, 120.0))
    assert len(bench.searched) == 5
    assert not bench.stop.is_set()


def test_a_search_ends_when_there_is_newer_work_and_keeps_it(bench: Bench) -> None:
    old = bench.offer()

    def step(number: int) -> None:
        if number == 2:
            bench.offer("t2")

    bench.run(100, step)
    assert len(bench.searched) == 3
    bench.grinder._drop_unwanted(old)
    assert bench.grinder._job is not None
    assert bench.grinder._job.template_id == "t2"


def test_a_solved_template_is_searched_again_after_five_seconds(bench: Bench) -> None:
    job = bench.offer()
    bench.run(100, lambda _: 77)
    assert (len(bench.claims), bench.grinder._job, bench.grinder._start_at) == (1, job, START + 5.0)
    assert bench.offer() is job
    assert bench.grinder._start_at == START + 5.0
    bench.offer("t2")
    assert bench.grinder._start_at == START


def test_a_template_of_the_others_turn_is_searched_a_second_later(bench: Bench) -> None:
    for turn, pause in (((), 0.0), (("bench", "other"), 0.0), (("other",), 1.0)):
        bench.offer(f"t{turn}", turn=turn)
        assert bench.grinder._start_at == START + pause
        assert bench.grinder.report().state == ("waiting" if pause else "mining")


def test_when_work_ends_nothing_is_searched_and_the_next_template_is_taken(bench: Bench) -> None:
    bench.offer()

    def step(number: int) -> None:
        if number == 2:
            bench.grinder.end_work()

    bench.run(100, step)
    assert len(bench.searched) == 3
    assert (bench.grinder._job, bench.grinder.report().state, bench.grinder.report().template_id) == (
        None,
        "waiting",
        "",
    )
    assert bench.offer().template_id == "t1"


def test_a_report_tells_what_the_miner_does(bench: Bench) -> None:
    bench.offer()
    bench.run(2, passing(bench, 0.01))
    report = bench.grinder.report()
    assert (report.name, report.kernel, report.blocks, report.state) == ("bench", "bench", 0, "stopped")
    assert (report.hash_rate, report.template_id) == (400_000.0, "t1")
    bench.stop = bench.grinder._stop = ExitFlag()
    bench.run(1, lambda _: 99_999)
    assert bench.grinder.report().blocks == 1


def test_another_kernel_takes_over_at_the_next_slice(bench: Bench) -> None:
    bench.offer()
    taken: list[int] = []

    def step(number: int) -> None:
        if number == 1:
            bench.grinder.use(Kernel("fast", lambda *slice_: taken.append(slice_[3]) or bench.stop.set(), 50e6))  # type: ignore[func-returns-value]
        bench.clock.seconds += 0.02

    bench.run(100, step)
    assert (len(bench.searched), taken) == (2, [1_000_000])
    assert bench.grinder.report().kernel == "fast"


def test_a_claim_has_the_nonce_that_was_found_and_its_hashes_are_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[int] = []
    blocks: list[int] = []
    monkeypatch.setattr(grind._HASHES, "inc", hashes.append)
    monkeypatch.setattr(grind._BLOCKS, "inc", blocks.append)
    bench.offer()
    bench.run(100, lambda number: bench.searched[-1][1] + 4 if number == 1 else None)
    (claim,) = bench.claims
    header = BlockHeader.parse(bytes.fromhex(claim.header or ""))
    assert header.nonce == bench.searched[1][1] + 4
    assert (claim.template_id, claim.miner) == ("t1", "bench")
    assert (hashes, blocks) == ([2_000, 5], [1])


NEXT = tuple([NextBlock(time=1_700_000_000 + n, coinbase_prefix=f"0{n}", coinbase_suffix="ee") for n in range(3)])


def test_next_blocks_are_solved_one_upon_the_other_and_go_out_with_the_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[int] = []
    monkeypatch.setattr(grind._BLOCKS, "inc", blocks.append)
    bench.offer(next_blocks=NEXT, min_time=1_700_000_009)
    bench.run(100, lambda number: number + 5)
    (claim,) = bench.claims
    below = BlockHeader.parse(bytes.fromhex(claim.header or ""))
    filling = bytes.fromhex(claim.coinbase or "")[2:-2]
    assert len(claim.next_blocks) == 3
    for number, item in enumerate(claim.next_blocks):
        header, coinbase = BlockHeader.parse(bytes.fromhex(item.header)), bytes.fromhex(item.coinbase)
        assert header.prev_hash == below.hash
        assert coinbase == bytes([number]) + filling + b"\xee"
        assert header.merkle_root == sha256d(coinbase)
        assert (header.bits, header.version) == (below.bits, 0x20000000)
        assert header.time == NEXT[number].time + 9, "as late as the first"
        assert header.nonce == number + 6
        below = header
    assert [start for _, start, _ in bench.searched[1:]] == [0, 0, 0]
    assert blocks == [4]
    assert bench.grinder.report().blocks == 4


@pytest.mark.parametrize("solved", [0, 1, 2])
def test_next_blocks_that_are_not_found_in_a_slice_are_left_out(bench: Bench, solved: int) -> None:
    bench.offer(next_blocks=NEXT)
    bench.run(100, lambda number: 7 if number <= solved else None)
    (claim,) = bench.claims
    assert len(claim.next_blocks) == solved
    assert len(bench.searched) == solved + 2


def test_a_newer_template_ends_the_search_for_next_blocks_and_the_found_ones_go_out(bench: Bench) -> None:
    bench.offer(next_blocks=NEXT)

    def step(number: int) -> int:
        if number == 1:
            bench.offer("t2")
        return 7

    bench.run(100, step)
    assert [(claim.template_id, len(claim.next_blocks)) for claim in bench.claims] == [("t1", 1)]


@pytest.mark.parametrize(("after", "offered"), [(60.0, True), (60.1, False)])
def test_a_solution_is_offered_for_a_minute_to_a_broker_that_is_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, after: float, offered: bool
) -> None:
    waits: list[float] = []

    def wait_for(_: Callable[[], bool], timeout: float) -> None:
        waits.append(timeout)
        bench.clock.seconds = START + after
        bench.broker.away = False

    monkeypatch.setattr(bench.grinder._newer, "wait_for", wait_for)
    bench.broker.away = True
    bench.offer()
    bench.run(100, lambda _: 7)
    assert len(waits) == 1
    assert 0.05 <= waits[0] <= 0.1
    assert len(bench.claims) == (1 if offered else 0)
    assert bench.grinder._start_at > bench.clock.seconds


def test_the_wait_for_a_broker_that_is_away_grows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def wait_for(_: Callable[[], bool], timeout: float) -> None:
        waits.append(timeout)
        bench.broker.away = len(waits) < 4

    monkeypatch.setattr(bench.grinder._newer, "wait_for", wait_for)
    monkeypatch.setattr(grind, "backoff", lambda failures: float(failures))
    bench.broker.away = True
    bench.offer()
    bench.run(100, lambda _: 7)
    assert waits == [0.0, 1.0, 2.0, 3.0]
    assert len(bench.claims) == 1


def test_without_work_the_grinder_sleeps_until_there_is_some(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    sleeps = 0

    def is_set() -> bool:
        nonlocal looks
        looks += 1
        return looks > 5

    def wait() -> None:
        nonlocal sleeps
        sleeps += 1

    monkeypatch.setattr(bench.stop, "is_set", is_set)
    monkeypatch.setattr(bench.grinder._newer, "wait", wait)
    bench.grinder.run()
    assert sleeps == 5


def test_what_wakes_the_grinder_is_a_newer_job_or_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr(bench.grinder._newer, "notify_all", lambda: woken.append("woken"))
    bench.offer()
    bench.offer()
    assert len(woken) == 1, "the same work changes nothing"
    bench.offer("t2")
    assert len(woken) == 2
    bench.grinder.wake()
    assert len(woken) == 3
