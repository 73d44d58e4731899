"""The miner's subscription, and how its process ends."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from services.miner import __main__ as service
from services.miner.grind import Grinder
from services.miner.handlers import handlers, queue
from services.miner.job import Job
from shared.bus.events import BlockTemplate
from shared.bus.topics import Topic
from shared.bus.worker import Incoming
from shared.config import Settings
from shared.errors import DecodeError
from shared.process.shutdown import ExitFlag
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.miner.test_job import template


class Noted:
    """Stands in for a grinder."""

    def __init__(self) -> None:
        self.offered: list[str] = []
        self.traceparents: list[str] = []

    def offer(self, job: Job) -> None:
        self.offered.append(job.template_id)
        self.traceparents.append(job.traceparent)


def incoming(*names: str, **changes: object) -> list[Incoming[BlockTemplate]]:
    return [Incoming(template(id=name, **changes), name, None) for name in names]


def test_of_several_templates_the_newest_is_worked_on_and_none_is_answered() -> None:
    grinder = Noted()
    take = handlers(grinder)[BlockTemplate]  # type: ignore[arg-type]
    assert take(incoming("t1", "t2", "t3")) == [None, None, None]
    assert take(incoming("t4")) == [None]
    assert grinder.offered == ["t3", "t4"]


def test_the_work_on_a_template_belongs_to_the_trace_of_the_request_for_its_block() -> None:
    grinder = Noted()
    first, second = incoming("t1", "t2")
    handlers(grinder)[BlockTemplate]([first, dataclasses.replace(second, traceparent="of t2")])  # type: ignore[arg-type]
    assert grinder.traceparents == ["of t2"]


def test_a_template_that_makes_no_work_is_an_error_of_the_message() -> None:
    with pytest.raises(DecodeError):
        handlers(Noted())[BlockTemplate](incoming("t1", bits=0))  # type: ignore[arg-type]


def test_every_miner_has_a_queue_of_its_own_for_templates() -> None:
    assert queue().topics == (Topic.BLOCK_TEMPLATE,)
    assert queue().name.startswith("miner")


def test_a_miner_searches_until_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = ExitFlag()
    searching = threading.Event()

    def run(grinder: Grinder) -> None:
        searching.set()
        stop.wait(20)

    monkeypatch.setattr(Grinder, "run", run)
    thread = threading.Thread(target=lambda: service.run(Settings(miner_name="m"), FakeBroker(), stop))
    thread.start()
    assert searching.wait(20)
    assert thread.is_alive()
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
