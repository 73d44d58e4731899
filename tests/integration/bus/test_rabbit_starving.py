"""A consumer of RabbitMQ that gets no messages any more, though they wait and there is room for them.

So it goes on a channel that has lost touch with the leader of a quorum queue. Here its subscription is not made in the
first place: to the server and to the consumer it looks the same.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from shared.bus.rabbit import broker as rabbit_broker
from shared.bus.rabbit import consumer as rabbit_consumer
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.rabbit.consumer import RabbitConsumer
from shared.bus.topics import MEMPOOL_TXS, WALLET_NAMES
from tests.integration.bus.helpers import numbers, take, tx, until

STARVED = 1.5


@pytest.fixture
def bus(rabbitmq: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RabbitBroker]:
    monkeypatch.setattr(rabbit_consumer, "STARVED_SECONDS", STARVED)
    monkeypatch.setattr(rabbit_broker, "_WATCH_PERIOD", 0.05)
    with contextlib.closing(RabbitBroker(rabbitmq, "page", patience=2.0)) as broker:
        yield broker


def deaf_consumer(bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch, prefetch: int = 10) -> RabbitConsumer:
    """A consumer of transactions on a channel that the server hands nothing."""
    with monkeypatch.context() as patch:
        patch.setattr(
            rabbit_consumer._Subscription,
            "_subscribe",
            lambda self, channel: channel.basic_qos(prefetch_count=1, callback=self._consuming),
        )
        consumer = bus.consumer([WALLET_NAMES, MEMPOOL_TXS], prefetch)
    assert consumer.wait_ready(1.0)
    return consumer


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "hands out no messages" in record.message]


def test_a_consumer_that_messages_wait_for_in_vain_opens_another_connection(
    bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = deaf_consumer(bus, monkeypatch)
    connection = bus._connection
    began = time.monotonic()
    bus.publish_many([tx(1), tx(2)])
    assert sorted(numbers(take(consumer, 2))) == [1, 2]
    assert time.monotonic() - began >= STARVED
    assert bus._connection is not connection
    assert len(warnings(caplog)) == 1
    until(bus.is_connected, "all is well again")


def test_only_what_was_not_handed_out_counts_as_waiting(bus: RabbitBroker) -> None:
    consumer = bus.consumer([MEMPOOL_TXS], prefetch=2)
    bus.publish_many([tx(number) for number in range(5)])
    held = take(consumer, 2)
    until(lambda: bus._publisher.waiting(MEMPOOL_TXS.name) == 3, "the rest is known to wait")
    consumer.ack(held[:1])
    assert numbers(take(consumer, 1)) == [2]
    until(lambda: bus._publisher.waiting(MEMPOOL_TXS.name) == 2, "one less waits")


def test_what_waits_is_not_known_while_a_look_gets_no_answer(bus: RabbitBroker) -> None:
    bus.consumer([MEMPOOL_TXS], prefetch=1)
    bus.publish_many([tx(1), tx(2)])
    until(lambda: bus._publisher.waiting(MEMPOOL_TXS.name) == 1, "one waits")
    assert bus._publisher.waiting(WALLET_NAMES.name) == 0  # not consumed here, not counted
    bus._publisher._link.call(bus._publisher._link._drop)
    until(lambda: bus._publisher.waiting(MEMPOOL_TXS.name) == 0, "the count is forgotten with the connection")
    until(lambda: bus._publisher.waiting(MEMPOOL_TXS.name) == 1, "one waits, by a new connection")
