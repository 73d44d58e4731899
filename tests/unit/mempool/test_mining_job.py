"""The list of mining requests: whose turn it is, what is overdue, unanswered or old."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from services.mempool.mining.requests import Mining
from services.mempool.mining_job import KEEP_FINISHED, Jobs, MiningJob
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.mempool.memory import MemoryNode


def job(name: str, created: int, deadline: int = 100, **options) -> MiningJob:
    return MiningJob(
        **({"id": name, "script_pubkey": "", "remaining": 1} | options), created=created, deadline=deadline
    )


def done(item: MiningJob, *, answered: bool = True) -> MiningJob:
    return msgspec.structs.replace(item, remaining=0, answered=answered)


def test_the_oldest_open_job_comes_first_however_they_were_stored() -> None:
    jobs = Jobs([job("late", 7), job("finished", 1, remaining=0), job("early", 5)])
    assert jobs.oldest_open() == jobs["early"]
    jobs.put(done(jobs["early"], answered=False))
    assert jobs.oldest_open() == jobs["late"]
    jobs.put(msgspec.structs.replace(jobs["late"], error="given up"))
    assert jobs.oldest_open() is None
    assert [item.id for item in jobs.unanswered()] == ["finished", "early", "late"]


def test_a_job_that_makes_progress_keeps_its_turn() -> None:
    jobs = Jobs([job("first", 1, remaining=2), job("second", 2)])
    jobs.put(jobs["first"].with_block("ab" * 32))
    assert jobs.oldest_open() == jobs["first"]
    assert jobs["first"].remaining == 1


def test_open_jobs_are_overdue_after_their_deadline() -> None:
    jobs = Jobs([job("a", 1, 100), job("b", 2, 101), job("c", 3, 99, remaining=0)])
    assert jobs.overdue(100) == []
    assert jobs.overdue(101) == [jobs["a"]]


def test_an_answered_job_is_removed_once_and_only_after_its_time() -> None:
    jobs = Jobs([done(job("new", 2, 101)), done(job("old", 1, 100)), done(job("silent", 1, 1), answered=False)])
    assert jobs.take_old(100 + KEEP_FINISHED) == []
    assert jobs.take_old(101 + KEEP_FINISHED) == ["old"]
    assert jobs.take_old(101 + KEEP_FINISHED) == []
    assert set(jobs) == {"new", "silent"}


def test_a_tick_looks_at_no_answered_job() -> None:
    class Unwalked(Jobs):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("all jobs were walked through")

    node = MemoryNode()
    node.jobs = Unwalked(done(job(str(number), number, 1 << 40)) for number in range(1_000))
    Mining(node, FakeBroker(), 60).tick()
    assert len(node.jobs) == 1_000
