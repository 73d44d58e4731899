"""The searching thread, with a broker in memory and a kernel that does what the test says."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from services.miner import grind
from services.miner.grind import Grinder
from services.miner.job import Job
from services.miner.kernels.hashlib_kernel import search
from services.miner.kernels.kernel import NONCES, Kernel, Search
from shared import trace
from shared.bus.events import BlockMined
from shared.primitives.block import BlockHeader
from shared.process.shutdown import ExitFlag
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.miner.test_job import template

PATIENCE = 20.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Rig:
    """A grinder on its thread."""

    def __init__(self, kernel: Search = search) -> None:
        self.broker = FakeBroker()
        self.stop = ExitFlag()
        self.grinder = Grinder(self.broker, "rig-1", self.stop, Kernel("rig", kernel, 100_000.0))
        self._thread = threading.Thread(target=self.grinder.run)

    def __enter__(self) -> Rig:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.grinder.wake()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def offer(self, **changes: object) -> None:
        self.grinder.offer(Job.from_template(template(**changes)))

    @property
    def claims(self) -> list[BlockMined]:
        return [message for message in self.broker.published if isinstance(message, BlockMined)]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig() as rig:
        yield rig


def test_a_solved_template_is_claimed_once(rig: Rig) -> None:
    rig.offer()
    until(lambda: bool(rig.claims))
    rig.offer()
    rig.offer(id="t2", height=6)
    until(lambda: len(rig.claims) == 2)
    assert [(claim.template_id, claim.miner) for claim in rig.claims] == [("t1", "rig-1"), ("t2", "rig-1")]
    assert b"/rig-1/" in bytes.fromhex(rig.claims[0].coinbase or "")


def test_a_template_that_no_other_has_followed_long_after_its_claim_is_solved_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grind, "_CLAIM_LOST", 0.05)
    rig.offer()
    until(lambda: len(rig.claims) >= 2)
    assert rig.claims[0].header != rig.claims[1].header


def test_a_newer_template_takes_the_place_of_one_under_way() -> None:
    searched: set[bytes] = set()

    def never(header_76: bytes, target: int, start: int, count: int) -> None:
        searched.add(header_76[4:36])
        time.sleep(0.001)

    with Rig(never) as rig:
        rig.offer(previous_hash="11" * 32)
        until(lambda: bytes.fromhex("11" * 32) in searched)
        rig.offer(id="t2", previous_hash="22" * 32)
        until(lambda: bytes.fromhex("22" * 32) in searched)
        searched.clear()
        until(lambda: bool(searched))
        assert searched == {bytes.fromhex("22" * 32)}


def test_when_the_nonces_are_used_up_the_version_rolls() -> None:
    ranges: list[tuple[bytes, int, int]] = []

    def skip(header_76: bytes, target: int, start: int, count: int) -> None:
        ranges.append((header_76[:4], start, count))

    with Rig(skip) as rig:
        rig.offer()
        until(lambda: len({version for version, _, _ in ranges}) > 2)
    first = [(start, count) for version, start, count in ranges if version == ranges[0][0]]
    position = 0
    for start, count in first:
        assert start == position
        position += count
    assert position == NONCES


def test_the_time_of_a_header_moves_with_the_clock() -> None:
    times: set[int] = set()

    def note(header_76: bytes, target: int, start: int, count: int) -> None:
        times.add(BlockHeader.parse(header_76 + bytes(4)).time)
        time.sleep(0.001)

    with Rig(note) as rig:
        rig.offer()
        until(lambda: len(times) >= 2)
    assert sorted(times)[:2] == [1_700_000_000, 1_700_000_001]


def test_a_solution_waits_for_a_broker_that_is_away(rig: Rig) -> None:
    rig.broker.away = True
    rig.offer()
    published = rig.broker.publish_many
    tries: list[int] = []

    def count(messages: list[BlockMined]) -> None:
        tries.append(1)
        published(messages)

    rig.broker.publish_many = count  # type: ignore[method-assign, assignment]
    until(lambda: len(tries) >= 2)
    rig.broker.away = False
    until(lambda: len(rig.claims) == 1)


def test_a_solution_that_became_stale_is_dropped(rig: Rig) -> None:
    rig.broker.away = True
    tries: list[str | None] = []
    published = rig.broker.publish_many

    def note(messages: list[BlockMined]) -> None:
        tries.append(messages[0].template_id)
        published(messages)

    rig.broker.publish_many = note  # type: ignore[method-assign, assignment]
    rig.offer()
    until(lambda: "t1" in tries)
    rig.offer(id="t2", height=6)
    until(lambda: "t2" in tries)
    rig.broker.away = False
    until(lambda: bool(rig.claims))
    assert [claim.template_id for claim in rig.claims] == ["t2"]


def test_two_rigs_never_search_the_same_headers() -> None:
    claims = set()
    for _ in range(2):
        with Rig() as rig:
            rig.offer()
            until(lambda rig=rig: bool(rig.claims))  # type: ignore[misc]
            claims.add(rig.claims[0].coinbase)
    assert len(claims) == 2


def test_a_slice_adapts_to_the_speed_of_the_kernel() -> None:
    counts: list[int] = []

    def slow(header_76: bytes, target: int, start: int, count: int) -> None:
        counts.append(count)
        time.sleep(0.05)

    with Rig(slow) as rig:
        rig.offer()
        until(lambda: len(counts) > 3)
    assert counts[3] < counts[0]


def test_work_that_is_offered_no_more_is_dropped_and_taken_up_again_elsewhere(monkeypatch) -> None:
    monkeypatch.setattr(grind, "_OFFER_HOLDS", 0.2)
    searched: list[tuple[int, int]] = []

    def kernel(header_76: bytes, target: int, nonce: int, count: int) -> None:
        searched.append((BlockHeader.parse(header_76 + bytes(4)).version, nonce))
        time.sleep(0.001)

    with Rig(kernel) as rig:
        rig.offer(id="hard")
        until(lambda: bool(searched))
        until(lambda: rig.grinder._job is None)
        before = len(searched)
        rig.offer(id="hard")
        until(lambda: len(searched) > before)
        until(lambda: len(searched) > before + 5)
        assert len(set(searched)) == len(searched)
        assert rig.claims == []


def test_work_goes_on_while_it_is_offered(monkeypatch) -> None:
    monkeypatch.setattr(grind, "_OFFER_HOLDS", 0.3)
    with Rig(lambda *_: time.sleep(0.001)) as rig:
        rig.offer(id="hard")
        job = rig.grinder._job
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            rig.offer(id="hard")
            time.sleep(0.01)
        assert rig.grinder._job is job


def test_a_claim_belongs_to_the_trace_of_its_template(caplog: pytest.LogCaptureFixture) -> None:
    given = trace.new()
    seen: list[str] = []
    caplog.handler.addFilter(lambda _: seen.append(trace.current()) or True)
    caplog.set_level(logging.INFO)
    with Rig() as rig:
        rig.grinder.offer(Job.from_template(template(), given))
        until(lambda: bool(rig.claims))
    assert rig.broker.traceparents == [given]
    assert seen == [given]  # of the line "block found"
