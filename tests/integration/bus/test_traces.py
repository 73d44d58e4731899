"""Every message carries the traceparent of the request that caused it, and the schema version: on both backends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence

import pika
import pytest
import redis

from shared import trace
from shared.bus.broker import Broker
from shared.bus.events import SCHEMA_VERSION, BlockConnected, Message, TxSubmitted
from shared.bus.topics import FACTS, MEMPOOL_TXS, transient_queue
from shared.bus.worker import Incoming, Worker
from shared.process.shutdown import ExitFlag
from tests.integration.bus.conftest import Backend
from tests.integration.bus.helpers import PATIENCE, take, tx, verdict

ONE, TWO = f"00-{'1' * 32}-{'a' * 16}-01", f"00-{'2' * 32}-{'b' * 16}-00"


def test_a_message_carries_the_traceparent_of_the_present_work(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    with trace.within(ONE):
        broker.publish_many([tx(1), tx(2)])
    with trace.within(TWO):
        broker.publish(tx(3))
    assert [delivery.traceparent for delivery in take(consumer, 3)] == [ONE, ONE, TWO]


def test_each_message_of_a_batch_can_have_its_own(broker: Broker) -> None:
    consumer = broker.consumer([transient_queue("page", *FACTS)])
    facts = [BlockConnected(seq=n, hash="00", height=n, time=1, tx_count=1) for n in range(600)]
    traceparents = [f"00-{n:032x}-{'c' * 16}-01" for n in range(1, 601)]
    broker.publish_many(facts, traceparents)
    assert [delivery.traceparent for delivery in take(consumer, 600)] == traceparents


def test_a_message_of_no_request_begins_a_trace_that_stays_the_same_when_it_comes_again(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish(tx(1))
    (first,) = take(consumer, 1)
    assert trace.parse(first.traceparent) == first.traceparent != ""
    consumer.requeue([first])
    (again,) = take(consumer, 1)
    assert again.traceparent == first.traceparent


def test_the_work_for_a_request_and_its_reply_belong_to_the_requests_trace(backend: Backend) -> None:
    seen: list[tuple[str, str]] = []
    stop = ExitFlag()

    def handle(batch: Sequence[Incoming[TxSubmitted]]) -> list[Message]:
        seen.extend((incoming.traceparent, trace.current()) for incoming in batch)
        addresses = [incoming.reply_address for incoming in batch]
        assert [address and address.traceparent for address in addresses] == [item.traceparent for item in batch]
        return [verdict(int(incoming.message.txs[0], 16)) for incoming in batch]

    server = backend.connect()
    worker = Worker(server, server.consumer([MEMPOOL_TXS]), {TxSubmitted: handle}, name="test", stop=stop)
    thread = threading.Thread(target=worker.run)
    thread.start()
    with trace.within(ONE):
        assert backend.connect().request(tx(5), PATIENCE) == verdict(5)
    stop.set()
    thread.join()
    assert seen == [(ONE, ONE)]


def test_both_are_headers_on_rabbitmq_and_fields_on_redis_streams(backend: Backend) -> None:
    backend.connect().consumer([MEMPOOL_TXS]).close()
    with trace.within(ONE):
        backend.connect().publish(tx(1))
    if backend.name == "rabbit":
        with contextlib.closing(pika.BlockingConnection(pika.URLParameters(backend.url))) as connection:
            _, properties, _ = connection.channel().basic_get(MEMPOOL_TXS.name, auto_ack=True)
        assert properties.headers | {"traceparent": ONE, "schema-version": SCHEMA_VERSION} == properties.headers
        assert set(properties.headers) - {"x-delivery-count"} == {"traceparent", "schema-version"}
    else:
        with redis.Redis.from_url(backend.url) as client:
            ((_, fields),) = client.xrange("warren-bus:queue:mempool.txs")
        assert (fields[b"p"], fields[b"v"]) == (ONE.encode(), str(SCHEMA_VERSION).encode())


@pytest.mark.parametrize("given", [None, "", "x trace=forged"])
def test_a_message_of_others_without_a_traceparent_begins_a_trace(backend: Backend, given: str | None) -> None:
    consumer = backend.connect().consumer([MEMPOOL_TXS])
    headers = {} if given is None else {"traceparent": given}
    if backend.name == "rabbit":
        properties = pika.BasicProperties(type="tx.submitted", headers=headers or None)
        with contextlib.closing(pika.BlockingConnection(pika.URLParameters(backend.url))) as connection:
            connection.channel().basic_publish("warren.events", "tx.submitted", b"{}", properties)
    else:
        with redis.Redis.from_url(backend.url) as client:
            fields = {"t": "tx.submitted", "p": headers.get("traceparent", ""), "b": "{}"}
            client.xadd("warren-bus:queue:mempool.txs", {key: value for key, value in fields.items() if value})
    (delivery,) = take(consumer, 1)
    assert trace.parse(delivery.traceparent) == delivery.traceparent != ""
    consumer.ack([delivery])
