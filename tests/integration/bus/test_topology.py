"""RabbitMQ's topology: what is deleted is missed, made again and used again; alarms and timeouts of a real server."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pika
import pika.exceptions
import pytest

from deploy.setup import topology
from shared.bus.events import BlockConnected, TxVerdicts
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.rabbit.topology import EXCHANGE_BINDINGS, EXCHANGES, QUEUES
from shared.bus.topics import FACTS, MEMPOOL_TXS, transient_queue
from shared.errors import BrokerError, BrokerUnavailable
from shared.process.shutdown import ExitFlag
from tests.conftest import run_server
from tests.integration.bus.helpers import PATIENCE, answering, numbers, take, tx, until, verdict
from tests.servers import ContainerRabbitMQ, NativeRabbitMQ, rabbitmq_server

pytestmark = pytest.mark.rabbitmq

RabbitServer = NativeRabbitMQ | ContainerRabbitMQ
FACT = BlockConnected(hash="00" * 32, height=1, time=1, tx_count=1)
SOON = 10.0
"""Seconds within which everything flows again; the parts take one or two each, on a machine that is not busy."""


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitServer]:
    """A RabbitMQ of the module's own: its alarms stop all publishers."""
    yield from run_server(rabbitmq_server)  # type: ignore[arg-type, misc]


@pytest.fixture
def kept_up(server: RabbitServer) -> Iterator[str]:
    """Its URL, while `topology` runs beside it."""
    topology.make(server.url)
    stop = ExitFlag()
    keeper = threading.Thread(target=topology.keep, args=(server.url, stop))
    keeper.start()
    yield server.url
    stop.set()
    keeper.join()


@pytest.fixture
def mempool(kept_up: str) -> Iterator[RabbitBroker]:
    with contextlib.closing(RabbitBroker(kept_up, "mempool", patience=2.0)) as broker:
        yield broker


@pytest.fixture
def explorer(kept_up: str) -> Iterator[RabbitBroker]:
    with contextlib.closing(RabbitBroker(kept_up, "explorer", patience=2.0)) as broker:
        yield broker


@pytest.fixture
def operator(kept_up: str) -> Iterator[pika.BlockingConnection]:
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(kept_up))) as connection:
        channel = connection.channel()
        for queue in QUEUES:
            channel.queue_purge(queue.name)
        channel.close()
        yield connection


def delete_exchanges(operator: pika.BlockingConnection) -> None:
    for exchange in EXCHANGES:
        operator.channel().exchange_delete(exchange)


def delete_queues(operator: pika.BlockingConnection) -> None:
    for queue in QUEUES:
        operator.channel().queue_delete(queue.name)


def delete_bindings(operator: pika.BlockingConnection) -> None:
    channel = operator.channel()
    for queue in QUEUES:
        for key in queue.routing_keys:
            channel.queue_unbind(queue.name, queue.exchange, key)
    for binding in EXCHANGE_BINDINGS:
        channel.exchange_unbind(binding.destination, binding.source, binding.routing_key)
    channel.close()


@pytest.mark.parametrize("delete", [delete_exchanges, delete_queues, delete_bindings])
def test_requests_and_facts_flow_again_soon_after_everything_was_deleted(
    mempool: RabbitBroker, explorer: RabbitBroker, operator: pika.BlockingConnection, delete: object
) -> None:
    work = mempool.consumer([MEMPOOL_TXS])
    news = explorer.consumer([transient_queue("explorer", *FACTS)])
    with answering(mempool, work):
        assert explorer.request(tx(1), PATIENCE) == verdict(1)
        delete(operator)  # type: ignore[operator]
        began = time.monotonic()
        until(lambda: answered(explorer, 2), "a request is answered again")
        until(lambda: told(mempool, news), "a fact is heard again")
        assert time.monotonic() - began < SOON
    until(lambda: mempool.trouble() == explorer.trouble() == "", "all is well again")


def answered(broker: RabbitBroker, number: int) -> bool:
    try:
        return broker.request(tx(number), 1.0) == verdict(number)
    except BrokerError:
        return False


def told(broker: RabbitBroker, consumer: object) -> bool:
    with contextlib.suppress(BrokerError):
        broker.publish(FACT)
    return bool(consumer.receive(1, 0.2))  # type: ignore[attr-defined]


def test_what_is_missing_is_named_until_it_is_there_again(server: RabbitServer) -> None:
    topology.make(server.url)
    with (
        contextlib.closing(RabbitBroker(server.url, "explorer", patience=2.0)) as broker,
        contextlib.closing(pika.BlockingConnection(pika.URLParameters(server.url))) as operator,
    ):
        until(broker.is_connected, "connected")
        operator.channel().queue_delete("wallet.requests")
        until(lambda: "no queue 'wallet.requests'" in broker.trouble(), "the missing queue is named")
        topology.declare(operator)
        until(broker.is_connected, "the queue is there")
        operator.channel().exchange_delete("warren.dead")
        until(lambda: "no exchange 'warren.dead'" in broker.trouble(), "the missing exchange is named")
        topology.declare(operator)
        until(broker.is_connected, "the exchange is there")
        operator.channel().queue_unbind("mempool.txs", "warren.events", "tx.submitted")
        with pytest.raises(BrokerError, match="nobody takes"):
            broker.publish(tx(1))
        assert broker.trouble() == "nobody takes tx.submitted"
        topology.declare(operator)
        broker.publish(tx(1))
        assert broker.trouble() == ""


def test_a_fact_that_reaches_no_queue_is_an_error_for_who_publishes_it(server: RabbitServer) -> None:
    """So the outbox publishes it again, instead of leaving it out."""
    topology.make(server.url)
    with (
        contextlib.closing(RabbitBroker(server.url, "mempool", patience=2.0)) as broker,
        contextlib.closing(pika.BlockingConnection(pika.URLParameters(server.url))) as operator,
    ):
        operator.channel().queue_unbind("wallet.inbox", "warren.events", "block.connected")
        with pytest.raises(BrokerError, match=r"nobody takes block\.connected"):
            broker.publish(FACT)
        topology.declare(operator)
        broker.publish(FACT)


def test_the_dead_letter_exchange_of_an_older_version_is_replaced(server: RabbitServer) -> None:
    topology.make(server.url)
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(server.url))) as operator:
        operator.channel().exchange_delete("warren.dead")
        operator.channel().exchange_declare("warren.dead", "fanout", durable=True)
        topology.declare(operator)
        operator.channel().exchange_declare("warren.dead", "topic", durable=True)


def test_an_alarm_is_named_and_fails_what_would_wait(
    server: RabbitServer, mempool: RabbitBroker, explorer: RabbitBroker, operator: pika.BlockingConnection
) -> None:
    work = mempool.consumer([MEMPOOL_TXS])
    explorer.publish(tx(1))
    server.control("set_vm_memory_high_watermark", "0.00001")
    try:
        until(lambda: refused(explorer), "publishing is refused")
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="takes no messages"):
            explorer.request(tx(2), PATIENCE)
        assert time.monotonic() - began < PATIENCE / 2
        assert "takes no messages" in explorer.trouble()
        assert numbers(take(work, 1)) == [1], "what is there can be consumed"
    finally:
        server.control("set_vm_memory_high_watermark", "0.6")
    until(explorer.is_connected, "the alarm is over")
    with answering(mempool, work):
        until(lambda: answered(explorer, 3), "requests are answered again")


def refused(broker: RabbitBroker) -> bool:
    try:
        broker.publish(tx(9))
    except BrokerUnavailable:
        return "takes no messages" in broker.trouble()
    return False


def test_a_message_held_longer_than_the_consumer_timeout_comes_again(
    server: RabbitServer, mempool: RabbitBroker, operator: pika.BlockingConnection
) -> None:
    """RabbitMQ closes the channel; the consumer opens another, and the ack of the old delivery settles nothing."""
    server.control("eval", "application:set_env(rabbit, consumer_timeout, 1000).")
    server.control("eval", "application:set_env(rabbit, channel_tick_interval, 500).")
    try:
        consumer = mempool.consumer([MEMPOOL_TXS])
        mempool.publish(tx(7))
        (held,) = take(consumer, 1)
        (again,) = take(consumer, 1)
        assert (numbers([again]), again.delivery_count) == ([7], 1)
        assert consumer.was_cut_off()
        consumer.ack([held])
        consumer.ack([again])
        consumer.close()
    finally:
        server.control("eval", "application:set_env(rabbit, consumer_timeout, 7200000).")
        server.control("eval", "application:set_env(rabbit, channel_tick_interval, 60000).")
    assert operator.channel().queue_declare("mempool.txs", passive=True).method.message_count == 0


@pytest.mark.parametrize("reply_to", ["amq.rabbitmq.reply-to.x", "mempool.blocks", "chain.control"])
def test_a_request_that_would_be_answered_elsewhere_gets_no_answer_and_a_log_line(
    mempool: RabbitBroker, operator: pika.BlockingConnection, reply_to: str, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = mempool.consumer([MEMPOOL_TXS])
    properties = pika.BasicProperties(type="tx.submitted", reply_to=reply_to, correlation_id="1")
    operator.channel().basic_publish("warren.events", "tx.submitted", b"{}", properties)
    (delivery,) = take(consumer, 1)
    assert delivery.reply_address is None
    assert [record for record in caplog.records if "gets no reply" in record.message]


def test_a_reply_that_comes_too_late_is_told(
    mempool: RabbitBroker, explorer: RabbitBroker, operator: pika.BlockingConnection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    consumer = mempool.consumer([MEMPOOL_TXS])
    with pytest.raises(BrokerError):
        explorer.request(tx(1), 0.5)
    (delivery,) = take(consumer, 1)
    explorer.close()
    assert delivery.reply_address is not None
    mempool.reply_many([(delivery.reply_address, TxVerdicts(verdicts=()))])
    assert [record for record in caplog.records if "too late" in record.message]


def test_connections_are_named_after_service_and_process(
    server: RabbitServer, mempool: RabbitBroker, operator: pika.BlockingConnection
) -> None:
    import os
    import socket

    mempool.consumer([MEMPOOL_TXS])
    until(mempool.is_connected, "connected")
    listed = server.control("list_connections", "client_properties")
    for what in ("publish", "consume"):
        assert f'"mempool {socket.gethostname()}:{os.getpid()} {what}"' in listed


def test_a_queue_that_cannot_be_declared_keeps_no_other_from_being_there(server: RabbitServer) -> None:
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(server.url))) as operator:
        delete_queues(operator)
        operator.channel().queue_declare(QUEUES[0].name, exclusive=True)
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            topology.make(server.url)
        for queue in QUEUES[1:]:
            operator.channel().queue_declare(queue.name, passive=True)
