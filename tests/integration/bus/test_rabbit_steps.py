"""RabbitMQ when a single step fails: a channel, a connection, a confirm; and the queues that are declared.

The server itself never fails here. `test_broker_contract` has the tests for both backends, `test_broker_crashes` the
crashes of the server.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pika
import pika.exceptions
import pytest

from deploy.setup.topology import declare
from shared.bus.broker import Delivery
from shared.bus.events import BlockConnected
from shared.bus.rabbit import publisher as rabbit_publisher
from shared.bus.rabbit import topology_check
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.rabbit.consumer import RabbitConsumer
from shared.bus.topics import MEMPOOL_TXS, REPLY_EXCHANGE, WALLET_REQUESTS, Topic, transient_queue
from shared.errors import BrokerUnavailable, RequestTimeout, Unroutable
from tests.integration.bus.helpers import NOTHING, PATIENCE, answering, numbers, take, tx, until, verdict

FACT = BlockConnected(hash="00" * 32, height=1, time=1, tx_count=1)
DURABLE = {
    "x-queue-type": "quorum",
    "x-dead-letter-exchange": "warren.dead",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


@pytest.fixture
def bus(rabbitmq: str) -> Iterator[RabbitBroker]:
    with contextlib.closing(RabbitBroker(rabbitmq, "page", patience=2.0)) as broker:
        yield broker


@pytest.fixture
def operator(rabbitmq: str) -> Iterator[pika.BlockingConnection]:
    """A connection of somebody else's."""
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq))
    yield connection
    connection.close()


def published(bus: RabbitBroker, number: int) -> bool:
    try:
        bus.publish(tx(number))
    except (BrokerUnavailable, Unroutable):
        return False
    return True


def on_link(consumer: RabbitConsumer, action: Callable[[], None]) -> None:
    assert consumer._link.call(action)


# ── a channel or a connection is lost ───────────────────────────────────────────────────────────────────────────


def test_a_consumer_whose_channel_the_server_closed_goes_on_with_another(bus: RabbitBroker) -> None:
    consumer = bus.consumer([MEMPOOL_TXS])
    bus.publish_many([tx(n) for n in range(3)])
    held = take(consumer, 2)
    channel = held[0].tag.channel  # type: ignore[attr-defined]
    on_link(consumer, lambda: channel.basic_ack(4711))  # no such delivery: the server closes the channel
    until(lambda: not channel.is_open, "the channel is closed")
    assert sorted(numbers(take(consumer, 3))) == [0, 1, 2]
    assert_settled_by_none(bus, consumer, held)


def assert_settled_by_none(bus: RabbitBroker, consumer: RabbitConsumer, old: list[Delivery]) -> None:
    """Settle deliveries of a closed channel: other deliveries have their tags now, and must stay unsettled."""
    consumer.ack(old)
    consumer.requeue(old)
    assert consumer.receive(1, NOTHING) == []
    consumer.close()
    assert sorted(numbers(take(bus.consumer([MEMPOOL_TXS]), 3))) == [0, 1, 2]


def test_a_consumer_that_is_closed_is_forgotten(bus: RabbitBroker) -> None:
    consumer = bus.consumer([MEMPOOL_TXS])
    assert bus._consumers == [consumer]
    consumer.close()
    until(lambda: bus._consumers == [], "no connection opens it again")


def test_a_consumer_whose_queue_was_deleted_goes_on_when_it_is_there_again(
    bus: RabbitBroker, operator: pika.BlockingConnection
) -> None:
    consumer = bus.consumer([MEMPOOL_TXS])
    operator.channel().queue_delete(MEMPOOL_TXS.name)
    until(lambda: "mempool.txs" in bus.trouble(), "the loss is noticed")
    declare(operator)
    until(lambda: published(bus, 1), "the queue is there again")
    assert numbers(take(consumer, 1)) == [1]


def test_a_missing_queue_is_tried_again_but_not_all_the_time_and_told_once(
    bus: RabbitBroker, operator: pika.BlockingConnection, caplog: pytest.LogCaptureFixture
) -> None:
    operator.channel().queue_delete(MEMPOOL_TXS.name)
    began = time.monotonic()
    consumer = bus.consumer([MEMPOOL_TXS])  # returns when its patience is over
    assert 1.5 < time.monotonic() - began < PATIENCE / 2
    assert 2 <= consumer._subscriptions[MEMPOOL_TXS.name]._failures <= 12
    assert len([record for record in caplog.records if "opening another" in record.message]) == 1
    declare(operator)
    until(lambda: published(bus, 1), "the queue is declared")
    assert numbers(take(consumer, 1)) == [1]
    assert consumer._subscriptions[MEMPOOL_TXS.name]._failures == 0


def test_a_publisher_whose_channel_the_server_closed_fails_what_waits_and_goes_on(bus: RabbitBroker) -> None:
    consumer = bus.consumer([MEMPOOL_TXS])
    publisher = bus._publisher
    timer = threading.Timer(0.5, lambda: publisher._link.call(lambda: publisher._channel.basic_ack(4711)))
    timer.start()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        bus.request(tx(1), PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    timer.join()
    until(lambda: published(bus, 2), "publishing works again")
    assert bus.is_connected()
    assert numbers(take(consumer, 2)) == [1, 2]


def test_a_channel_that_confirms_nothing_more_is_replaced(
    bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does that has lost the leader of a quorum queue; its connection stays."""
    monkeypatch.setattr(rabbit_publisher, "_WATCH_PERIOD", 0.05)
    publisher = bus._publisher
    bus.publish(tx(1))
    deaf, confirmed = publisher._channel, publisher._confirmed
    with monkeypatch.context() as patch:
        patch.setattr(rabbit_publisher.RabbitPublisher, "_confirmed", lambda *_: None)
        publisher._link.call(publisher._link._drop)
        until(lambda: publisher._channel not in (None, deaf), "there is a channel that confirms nothing")
        deaf = publisher._channel
    assert confirmed == publisher._confirmed
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        bus.request(tx(2), PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    until(lambda: published(bus, 3), "publishing works again")
    assert publisher._channel is not deaf
    assert [record for record in caplog.records if "does not confirm, opening another" in record.message]


def test_a_check_that_gets_no_answer_goes_on_with_another_channel(
    bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the queue for replies is bound again all the same."""
    monkeypatch.setattr(topology_check, "_PATIENCE", 1.5)
    check, all_there = bus._publisher._check, topology_check.TopologyCheck._all_there
    with answering(bus, bus.consumer([MEMPOOL_TXS])):
        assert bus.request(tx(1), PATIENCE) == verdict(1)
        deaf = check._channel
        monkeypatch.setattr(
            topology_check.TopologyCheck,
            "_all_there",
            lambda self, channel, waiting: None if channel is deaf else all_there(self, channel, waiting),
        )
        until(lambda: check._channel not in (None, deaf), "it looks on another channel")
        queue = bus._publisher._reply_queue
        unbound = threading.Event()
        bus._publisher._link.call(
            lambda: check._channel.queue_unbind(queue, REPLY_EXCHANGE, queue, callback=lambda _: unbound.set())
        )
        assert unbound.wait(PATIENCE)
        until(lambda: answered(bus), "the queue for replies is bound again")


def test_a_late_timer_of_an_attempt_to_connect_does_not_end_the_connection(bus: RabbitBroker) -> None:
    """pika closes an attempt that has taken too long even if it is over, and fails."""
    publisher, fired = bus._publisher, threading.Event()

    def fire() -> None:
        fired.set()
        raise pika.exceptions.ConnectionWrongStateError("Illegal close(320)")

    with answering(bus, bus.consumer([MEMPOOL_TXS])):
        assert bus.request(tx(1), PATIENCE) == verdict(1)
        session = publisher._session
        publisher._link._loop.add_callback_threadsafe(fire)
        assert fired.wait(PATIENCE)
        assert bus.request(tx(2), PATIENCE) == verdict(2)
        assert publisher._session == session


def answered(bus: RabbitBroker) -> bool:
    with contextlib.suppress(RequestTimeout):
        return bus.request(tx(2), 1.0) == verdict(2)
    return False


def test_messages_published_after_a_new_connection_have_ids_of_their_own(bus: RabbitBroker) -> None:
    """Handlers that must do a thing once go by the id."""
    consumer = bus.consumer([WALLET_REQUESTS, MEMPOOL_TXS])
    bus.publish_many([tx(1), tx(2)])
    bus._publisher._link.call(bus._publisher._link._drop)
    until(lambda: not bus.is_connected(), "the connection is lost")
    until(lambda: published(bus, 3), "publishing works again")
    assert bus._publisher._link._failures == 0, "the next loss is told and mended as soon as this one"
    bus.publish(tx(4))
    deliveries = take(consumer, 4)
    assert numbers(deliveries) == [1, 2, 3, 4]
    assert len({delivery.message_id for delivery in deliveries}) == 4


def test_a_consumer_that_lost_its_connection_alone_gets_everything_again(bus: RabbitBroker) -> None:
    consumer = bus.consumer([MEMPOOL_TXS])
    bus.publish_many([tx(n) for n in range(3)])
    held = take(consumer, 2)
    on_link(consumer, consumer._link._drop)
    until(lambda: not bus.is_connected(), "the connection is lost")
    assert sorted(numbers(take(consumer, 3))) == [0, 1, 2]
    assert_settled_by_none(bus, consumer, held)


def test_closing_while_a_server_hangs_in_the_greeting_is_quick_and_quiet(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = RabbitBroker(f"amqp://a:b@127.0.0.1:{silent.getsockname()[1]}/%2F", patience=0.2)
        with pytest.raises(BrokerUnavailable):
            broker.publish(tx(1))
        began = time.monotonic()
        broker.close()
        assert time.monotonic() - began < 4.0
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


# ── a confirm ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_that_a_queue_refuses_is_not_published(bus: RabbitBroker, operator: pika.BlockingConnection) -> None:
    bus.consumer([MEMPOOL_TXS])
    channel = operator.channel()
    full = channel.queue_declare(
        "", exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    ).method.queue
    channel.queue_bind(full, "warren.events", "tx.submitted")
    with pytest.raises(BrokerUnavailable, match="refused"):
        bus.publish_many([tx(n) for n in range(10)])
    channel.queue_delete(full)
    bus.publish(tx(11))


def test_a_server_that_does_not_confirm_is_not_waited_for_without_end(
    bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.consumer([MEMPOOL_TXS])
    assert rabbit_publisher._CONFIRM_TIMEOUT == 30.0
    monkeypatch.setattr(rabbit_publisher, "_CONFIRM_TIMEOUT", 0.5)
    monkeypatch.setattr(bus._publisher, "_submit", lambda chunk: None)
    with pytest.raises(BrokerUnavailable, match="does not confirm"):
        bus.publish(tx(1))


def test_a_request_that_the_server_did_not_confirm_was_perhaps_not_made(
    bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.consumer([MEMPOOL_TXS])
    monkeypatch.setattr(bus._publisher, "_submit", lambda chunk: None)
    with pytest.raises(BrokerUnavailable, match="does not confirm"):
        bus.request(tx(1), 0.2)


def test_a_request_whose_publishing_fails_is_not_waited_for(bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    bus.consumer([MEMPOOL_TXS])
    refused = BrokerUnavailable("RabbitMQ refused a message")
    monkeypatch.setattr(bus._publisher, "_submit", lambda chunk: chunk.fail(refused))
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable, match="refused"):
        bus.request(tx(1), 2 * PATIENCE)
    assert time.monotonic() - began < PATIENCE
    assert not bus._box._waiting


def test_what_waits_for_a_confirm_fails_with_its_connection(bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    bus.consumer([MEMPOOL_TXS])
    publisher = bus._publisher
    until(bus.is_connected, "connected")
    monkeypatch.setattr(publisher._channel, "basic_publish", lambda *args, **options: None)  # lost on the way
    timer = threading.Timer(0.3, lambda: publisher._link.call(publisher._link._drop))
    timer.start()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        bus.publish(tx(1))
    assert time.monotonic() - began < PATIENCE / 2
    timer.join()
    until(lambda: published(bus, 2), "publishing works again")


def test_a_refusal_of_the_first_of_many_is_not_lost(bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[rabbit_publisher._Chunk] = []

    def submit(chunk: rabbit_publisher._Chunk) -> None:
        submitted.append(chunk)
        if len(submitted) == 1:
            chunk.fail(BrokerUnavailable("RabbitMQ refused a message"))
        else:
            chunk.done.set_result(None)

    monkeypatch.setattr(bus._publisher, "_submit", submit)
    with pytest.raises(BrokerUnavailable, match="refused"):
        bus.publish_many([tx(n) for n in range(3_000)])


def test_no_more_than_2000_messages_wait_for_their_confirms(bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[rabbit_publisher._Chunk] = []
    most: list[int] = []

    def confirm_all() -> None:
        while waiting:
            waiting.pop().done.set_result(None)

    def submit(chunk: rabbit_publisher._Chunk) -> None:
        waiting.append(chunk)
        most.append(sum(len(one.messages) for one in waiting))
        if most[-1] == 2_000 or len(most) == 12:
            threading.Timer(0.1, confirm_all).start()

    monkeypatch.setattr(bus._publisher, "_submit", submit)
    bus.publish_many([tx(n) for n in range(3_000)])
    assert max(most) == 2_000


def test_a_message_that_could_not_be_dead_lettered_comes_again(
    bus: RabbitBroker, monkeypatch: pytest.MonkeyPatch, operator: pika.BlockingConnection
) -> None:
    consumer = bus.consumer([MEMPOOL_TXS])
    bus.publish(tx(1))
    held = take(consumer, 1)

    def away(_letters: object) -> None:
        raise BrokerUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(bus._publisher, "publish", away)
        consumer.dead_letter(held, "no such thing")
    again = take(consumer, 1)
    assert (numbers(again), again[0].delivery_count) == ([1], 1)
    assert operator.channel().basic_get("dead.mempool")[0] is None


# ── what is declared, and what a message carries ────────────────────────────────────────────────────────────────


def test_durable_queues_are_quorum_queues_whose_dead_letters_are_safe(
    bus: RabbitBroker, operator: pika.BlockingConnection
) -> None:
    """Declaring a queue again is an error unless all its properties are equal."""
    bus.consumer([MEMPOOL_TXS])
    channel = operator.channel()
    channel.queue_declare(MEMPOOL_TXS.name, durable=True, arguments=DURABLE)
    channel.queue_declare("dead.mempool", durable=True, arguments={"x-queue-type": "quorum"})
    channel.exchange_declare("warren.events", "topic", durable=True)
    channel.exchange_declare("warren.replies", "topic", durable=True)
    channel.exchange_declare("warren.dead", "topic", durable=True)


def test_a_queue_of_a_process_is_its_own_and_goes_with_it(bus: RabbitBroker, operator: pika.BlockingConnection) -> None:
    queue = transient_queue("page", Topic.BLOCK_CONNECTED)
    consumer = bus.consumer([queue])
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="RESOURCE_LOCKED"):
        operator.channel().queue_declare(queue.name, passive=True)
    consumer.close()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
        operator.channel().queue_declare(queue.name, passive=True)


@pytest.mark.parametrize("prefetch", [1, 3])
def test_no_more_than_the_prefetch_is_handed_over_ahead(bus: RabbitBroker, prefetch: int) -> None:
    consumer = bus.consumer([MEMPOOL_TXS], prefetch=prefetch)
    bus.publish_many([tx(n) for n in range(5)])
    held = take(consumer, prefetch)
    assert consumer.receive(5, NOTHING) == []
    consumer.ack(held[:1])
    assert numbers(take(consumer, 1)) == [prefetch]
    assert consumer.receive(5, NOTHING) == []


def test_a_message_says_what_it_is_and_is_durable(bus: RabbitBroker, operator: pika.BlockingConnection) -> None:
    channel = operator.channel()
    copy = channel.queue_declare("", exclusive=True).method.queue
    consumer = bus.consumer([MEMPOOL_TXS])
    channel.queue_bind(copy, "warren.events", "tx.submitted")
    before = int(time.time())
    with answering(bus, consumer):
        assert bus.request(tx(1), PATIENCE) == verdict(1)
    method, properties, _ = channel.basic_get(copy, auto_ack=True)
    assert method.routing_key == "tx.submitted"
    assert (properties.type, properties.app_id, properties.content_type) == (
        "tx.submitted",
        "warren",
        "application/json",
    )
    assert properties.delivery_mode == 2
    assert before <= properties.timestamp <= time.time()
    assert re.fullmatch(r"page\.[0-9a-f]{32}", properties.reply_to)
    assert properties.correlation_id
    assert properties.message_id


def test_a_dead_letter_says_all_that_is_known_of_it(bus: RabbitBroker, operator: pika.BlockingConnection) -> None:
    consumer = bus.consumer([MEMPOOL_TXS])
    bus.publish(tx(1))
    (bad,) = take(consumer, 1)
    consumer.dead_letter([bad], "no such thing")
    _, properties, body = operator.channel().basic_get("dead.mempool", auto_ack=True)
    assert (properties.type, body) == ("tx.submitted", bad.body)
    ours = {"queue": "mempool.txs", "reason": "no such thing", "message_id": bad.message_id}
    assert {name: properties.headers.get(name) for name in ours} == ours
