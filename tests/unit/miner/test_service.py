"""The miner's subscription, and how its process ends."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest

from services.miner import __main__ as service
from services.miner.grind import Grinder
from services.miner.handlers import handlers, queue
from services.miner.job import Job
from services.miner.kernels import hashlib_kernel
from services.miner.kernels.kernel import Kernel
from services.miner.reports import Reporter
from shared.bus.events import BlockTemplate, MinerReport, WorkEnded
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
        self.heard = 0

    def hear(self) -> None:
        self.heard += 1

    def end_work(self) -> None:
        self.offered.append("")

    def offer(self, job: Job) -> None:
        self.offered.append(job.template_id)
        self.traceparents.append(job.traceparent)


def incoming(*names: str, **changes: object) -> list[Incoming[BlockTemplate]]:
    return [Incoming(template(id=name, **changes), name, None) for name in names]


def test_of_several_templates_the_newest_is_worked_on_and_none_is_answered() -> None:
    grinder = Noted()
    take = handlers(grinder, grinder.hear)[BlockTemplate]  # type: ignore[arg-type]
    assert take(incoming("t1", "t2", "t3")) == [None, None, None]
    assert take(incoming("t4")) == [None]
    assert (grinder.offered, grinder.heard) == (["t3", "t4"], 2)


def test_a_miner_is_told_that_there_is_no_work() -> None:
    grinder = Noted()
    assert handlers(grinder, grinder.hear)[WorkEnded]([Incoming(WorkEnded(), "w", None)]) == [None]  # type: ignore[arg-type]
    assert (grinder.offered, grinder.heard) == ([""], 0)


def test_the_work_on_a_template_belongs_to_the_trace_of_the_request_for_its_block() -> None:
    grinder = Noted()
    first, second = incoming("t1", "t2")
    of_second = dataclasses.replace(second, traceparent="of t2")
    handlers(grinder, grinder.hear)[BlockTemplate]([first, of_second])  # type: ignore[arg-type]
    assert grinder.traceparents == ["of t2"]


def test_a_template_that_makes_no_work_is_an_error_of_the_message() -> None:
    with pytest.raises(DecodeError):
        handlers(Noted(), Noted().hear)[BlockTemplate](incoming("t1", bits=0))  # type: ignore[arg-type]


def test_every_miner_has_a_queue_of_its_own_for_templates() -> None:
    assert queue("miner").topics == (Topic.BLOCK_TEMPLATE, Topic.WORK_ENDED)
    assert queue("miner").name != queue("miner").name


@pytest.mark.parametrize(
    ("settings", "user"),
    [
        (Settings(), "miner"),
        (Settings(broker="rabbitmq", amqp_url="amqp://rig-7:secret@127.0.0.1/warren"), "rig-7"),
        (Settings(broker="rabbitmq", amqp_url="amqp://127.0.0.1/warren"), "guest"),
    ],
)
def test_its_queue_has_the_name_of_its_user_on_rabbitmq(settings: Settings, user: str) -> None:
    assert service._user(settings) == user


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


def test_a_miner_reports_at_its_start_when_work_comes_first_and_at_its_end() -> None:
    stop = ExitFlag()
    broker = FakeBroker()
    kernel = Kernel("hashlib", hashlib_kernel.search, 1e6)
    grinder = Grinder(broker, "rig", stop, kernel)
    reporter = Reporter(broker, grinder.report, stop)
    thread = threading.Thread(target=reporter.run)
    thread.start()

    def reports(count: int) -> list[MinerReport]:
        deadline = time.monotonic() + 20
        while len(broker.published) < count:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        return [message for message in broker.published if isinstance(message, MinerReport)]

    reports(1)
    grinder.offer(Job.from_template(template(id="t1")))
    reporter.hear()
    reports(2)
    reporter.hear()
    stop.set()
    reporter.wake()
    thread.join(20)
    assert [(report.state, report.template_id) for report in reports(3)] == [
        ("waiting", ""),
        ("mining", "t1"),
        ("stopped", "t1"),
    ]


def test_a_report_that_the_broker_does_not_take_is_left_out() -> None:
    stop = ExitFlag()
    stop.set()
    broker = FakeBroker()
    broker.away = True
    grinder = Grinder(broker, "rig", stop, Kernel("hashlib", hashlib_kernel.search, 1e6))
    Reporter(broker, grinder.report, stop).run()
    assert broker.published == []
