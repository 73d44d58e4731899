"""The contract of every broker about time and order, about settling twice, and about batches that fail in part."""

from __future__ import annotations

import threading
import time

import pytest

from shared import metrics
from shared.bus.broker import Broker
from shared.bus.events import BlockConnected
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.bus.topics import MEMPOOL_BLOCKS, MEMPOOL_TXS
from shared.errors import BrokerUnavailable, RequestTimeout, Unroutable
from tests.integration.bus.conftest import Backend
from tests.integration.bus.helpers import NOTHING, PATIENCE, answering, mine, numbers, take, tx, until

FACT = BlockConnected(hash="00" * 32, height=1, time=1, tx_count=1)


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_receive_waits_as_long_as_it_is_told_if_nothing_comes(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    for wait in (0.0, 0.4):
        began = time.monotonic()
        assert consumer.receive(1, wait) == []
        assert wait <= time.monotonic() - began < wait + 2.0


def test_a_message_that_comes_meanwhile_ends_the_wait(backend: Backend) -> None:
    consumer, publisher = backend.connect().consumer([MEMPOOL_BLOCKS, MEMPOOL_TXS]), backend.connect()
    timer = threading.Timer(0.3, lambda: publisher.publish(tx(1)))
    timer.start()
    began = time.monotonic()
    assert numbers(consumer.receive(1, PATIENCE)) == [1]
    assert time.monotonic() - began < PATIENCE / 2
    timer.join()


def test_closing_a_consumer_ends_its_wait(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    timer = threading.Timer(0.3, consumer.close)
    timer.start()
    began = time.monotonic()
    assert consumer.receive(1, PATIENCE) == []
    assert time.monotonic() - began < PATIENCE / 2
    timer.join()


def test_a_consumer_that_was_closed_takes_nothing_any_more(
    broker: RedisStreamsBroker | RabbitBroker, caplog: pytest.LogCaptureFixture
) -> None:
    closed, other = (broker.consumer([MEMPOOL_TXS]) for _ in range(2))
    closed.close()
    closed.close()
    assert other.receive(1, 2 * NOTHING) == []  # long enough to come back by mistake
    broker.publish_many([tx(n) for n in range(10)])
    assert numbers(take(other, 10)) == list(range(10))
    assert list(broker._consumers) == [other]
    assert not caplog.records


def test_closing_the_bus_ends_the_wait_for_a_reply(backend: Backend) -> None:
    backend.connect().consumer([MEMPOOL_TXS])
    client = backend.connect()
    until(lambda: client.is_connected(), "connected")
    timer = threading.Timer(0.5, client.close)
    timer.start()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        client.request(tx(1), PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    timer.join()


def test_a_timeout_says_how_many_replies_are_missing(backend: Backend) -> None:
    server, client = backend.connect(), backend.connect()
    consumer = server.consumer([MEMPOOL_TXS])

    def answer_the_first() -> None:
        with answering(server, consumer, limit=1):
            pass

    thread = threading.Thread(target=answer_the_first)
    thread.start()
    with pytest.raises(RequestTimeout, match="2 of 3"):
        client.request_many([tx(n) for n in range(3)], 1.0)
    thread.join()


# ── settling ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_settling_twice_does_no_harm(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish_many([tx(n) for n in range(3)])
    done, back, held = take(consumer, 3)
    consumer.ack([done])
    consumer.ack([done])
    consumer.requeue([done])
    consumer.requeue([back])
    consumer.requeue([back])
    (again,) = take(consumer, 1)
    assert (numbers([again]), again.delivery_count) == ([1], 1)
    assert consumer.receive(1, NOTHING) == [], "what is held stays held"
    consumer.ack([held, again])
    consumer.close()
    assert broker.consumer([MEMPOOL_TXS]).receive(1, NOTHING) == []


def test_nothing_is_settled_by_an_empty_batch(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish(tx(1))
    held = take(consumer, 1)
    consumer.ack([])
    consumer.requeue([])
    consumer.dead_letter([], "nothing")
    assert consumer.receive(1, NOTHING) == []
    consumer.ack(held)


# ── publishing ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_of_thousands_arrives_in_order(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish_many([tx(n) for n in range(2_600)])
    seen: list[int] = []
    while len(seen) < 2_600:
        batch = take(consumer, 1) + consumer.receive(1_000, 0)
        consumer.ack(batch)
        seen += numbers(batch)
    assert seen == list(range(2_600))


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_a_claim_that_no_queue_takes_is_named_and_the_rest_of_its_batch_arrives(
    backend: Backend, order: list[int]
) -> None:
    broker = backend.without(MEMPOOL_BLOCKS).connect()
    consumer = broker.consumer([MEMPOOL_TXS])
    batch = [mine(1), tx(1), FACT]
    with pytest.raises(Unroutable) as caught:
        broker.publish_many([batch[place] for place in order])
    assert str(caught.value) == "nobody takes mine.requested"
    assert numbers(take(consumer, 1)) == [1]


def test_a_request_that_could_not_be_published_is_waited_for_no_more(backend: Backend) -> None:
    broker = backend.without(MEMPOOL_TXS).connect()
    assert isinstance(broker, (RedisStreamsBroker, RabbitBroker))
    with pytest.raises(Unroutable):
        broker.request(tx(1), PATIENCE)
    assert not broker._box._waiting


def test_what_was_published_is_counted_by_topic(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    counters = [metrics.BUS_PUBLISHED.labels(topic) for topic in ("tx.submitted", "block.connected")]
    before = [counter._value.get() for counter in counters]
    broker.publish_many([tx(1), tx(2), FACT])
    with answering(broker, consumer):
        broker.request(tx(3), PATIENCE)
    assert [counter._value.get() - was for counter, was in zip(counters, before, strict=True)] == [3, 1]
