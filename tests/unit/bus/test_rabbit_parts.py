"""The `rabbit` backend without a server: its errors, its end, and how it reads a delivery."""

from __future__ import annotations

import threading
from typing import Any

import pika
import pika.exceptions
import pytest

from shared.bus.events import TxSubmitted
from shared.bus.rabbit import consumer as rabbit_consumer
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.rabbit.consumer import _Subscription
from shared.bus.rabbit.link import RabbitLink, describe
from shared.bus.rabbit.parameters import WORK_HEARTBEAT
from shared.bus.topics import MEMPOOL_TXS, Queue, Topic, transient_queue
from shared.errors import BrokerUnavailable
from tests.servers import free_port


class Wrapping(Exception):
    """As pika's: the cause in an attribute."""

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("what happened"), "what happened"),
        (TimeoutError(), "TimeoutError"),
        (Exception(ValueError("the cause")), "the cause"),
        (Wrapping(Wrapping(OSError("the cause"))), "the cause"),
        (pika.exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED"), "320 CONNECTION_FORCED"),
        (Exception(pika.exceptions.ConnectionClosedByBroker(403, "ACCESS_REFUSED")), "403 ACCESS_REFUSED"),
    ],
)
def test_an_error_is_told_by_its_cause(error: BaseException, words: str) -> None:
    assert describe(error) == words


def test_what_is_published_after_closing_is_refused_with_the_reason() -> None:
    broker = RabbitBroker(f"amqp://127.0.0.1:{free_port()}/", patience=0.05)
    with pytest.raises(BrokerUnavailable):
        broker.publish(TxSubmitted(txs=("00",)))
    broker.close()
    with pytest.raises(BrokerUnavailable, match="the bus is closed"):
        broker.publish(TxSubmitted(txs=("00",)))


def test_no_connection_is_kept_or_opened_after_closing() -> None:
    def links() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("bus-")}

    before = links()
    broker = RabbitBroker(f"amqp://127.0.0.1:{free_port()}/", patience=0.05)
    broker.consumer([MEMPOOL_TXS])
    assert len(links() - before) == 2
    broker.close()
    assert links() <= before


def test_what_a_connection_needs_is_there_before_it_can_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may open, and call back, before `start` returns."""
    started = []

    def start(link: RabbitLink) -> None:
        started.append((link, link._on_up.__self__._link))  # type: ignore[attr-defined]
        link._thread.start()

    monkeypatch.setattr(RabbitLink, "start", start)
    broker = RabbitBroker(f"amqp://127.0.0.1:{free_port()}/", patience=0.05)
    broker.consumer([MEMPOOL_TXS])
    broker.close()
    assert len(started) == 2
    assert all(link is known for link, known in started)


@pytest.mark.parametrize(
    ("headers", "redelivered", "count"),
    [
        (None, False, 0),
        ({}, True, 1),  # a queue that keeps no count says only that it has handed out the message before
        ({"x-delivery-count": 3}, True, 3),
        ({"x-delivery-count": "3"}, True, 0),
    ],
    ids=["first time", "again without a count", "counted", "no number"],
)
def test_a_delivery_says_how_often_it_was_handed_out(headers: Any, redelivered: bool, count: int) -> None:
    link: Any = None  # a delivery needs none
    subscription = _Subscription(link, MEMPOOL_TXS, 10, threading.Condition())
    method = pika.spec.Basic.Deliver(delivery_tag=1, redelivered=redelivered)
    subscription._message(None, method, pika.BasicProperties(type="tx.submitted", headers=headers), b"{}")
    (delivery,) = subscription.buffer
    assert delivery.delivery_count == count


class Clock:
    """The consumer's clock, which stands still."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rabbit_consumer, "time", clock)
    return clock


@pytest.fixture
def consumed(clock: Clock) -> _Subscription:
    """A queue that is consumed, two messages at a time."""
    link: Any = None
    subscription = _Subscription(link, MEMPOOL_TXS, 2, threading.Condition())
    subscription._consuming(None)
    return subscription


def hand_over(subscription: _Subscription, number: int) -> None:
    method = pika.spec.Basic.Deliver(delivery_tag=number)
    subscription._message(None, method, pika.BasicProperties(type="tx.submitted"), b"{}")


def test_a_consumer_starves_when_messages_have_waited_for_longer_than_ten_seconds(
    clock: Clock, consumed: _Subscription
) -> None:
    clock.now += 10
    assert not consumed.is_starved(1)
    clock.now += 0.1
    assert consumed.is_starved(1)
    hand_over(consumed, 1)
    assert not consumed.is_starved(1)
    clock.now += 10.1
    assert consumed.is_starved(1)


def test_no_consumer_starves_while_nothing_waits(clock: Clock, consumed: _Subscription) -> None:
    clock.now += 60
    assert not consumed.is_starved(0)
    assert not consumed.is_starved(1)  # it waits since a moment
    clock.now += 10
    assert not consumed.is_starved(1)


def test_a_consumer_that_holds_as_much_as_it_may_does_not_starve(clock: Clock, consumed: _Subscription) -> None:
    for number in (1, 2):
        hand_over(consumed, number)
    clock.now += 60
    assert not consumed.is_starved(5)
    del consumed._unsettled[1]
    clock.now += 10.1
    assert consumed.is_starved(5)


def test_a_queue_that_is_not_consumed_yet_does_not_starve_its_consumer(clock: Clock, consumed: _Subscription) -> None:
    consumed.ready.clear()
    clock.now += 60
    assert not consumed.is_starved(5)


@pytest.mark.parametrize(
    ("service", "queue", "is_work"),
    [
        ("mempool", transient_queue("mempool", Topic.TX_ACCEPTED), True),
        ("wallet", transient_queue("wallet", Topic.TX_ACCEPTED), True),
        ("explorer", transient_queue("explorer", Topic.TX_ACCEPTED), False),
        ("warren", MEMPOOL_TXS, True),
    ],
)
def test_a_paused_service_that_consumes_shared_queues_is_missed_soon_whatever_it_consumes_first(
    service: str, queue: Queue, is_work: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats = []

    def start(link: RabbitLink) -> None:
        heartbeats.append(link._params.heartbeat)
        link._thread.start()

    broker = RabbitBroker(f"amqp://127.0.0.1:{free_port()}/", service, patience=0.05)
    monkeypatch.setattr(RabbitLink, "start", start)
    broker.consumer([queue])
    broker.close()
    assert [beat == WORK_HEARTBEAT for beat in heartbeats] == [is_work]
