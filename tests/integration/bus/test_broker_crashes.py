"""Servers that crash, consumers that are killed, handlers that take long: nothing acknowledged is ever lost."""

from __future__ import annotations

import hashlib
import logging
import signal
import subprocess
import sys
import threading
import time

import pytest

from shared.bus.broker import Broker, Consumer, Delivery
from shared.bus.events import BlockConnected
from shared.bus.topics import MEMPOOL_TXS, Topic, transient_queue
from shared.errors import BrokerUnavailable
from tests.integration.bus.conftest import Backend, CrashableBackend, open_broker
from tests.integration.bus.helpers import PATIENCE, numbers, take, tx, until, verdict


def test_a_crash_of_the_server_loses_nothing_that_was_confirmed(crashable: CrashableBackend) -> None:
    publisher, other = crashable.connect(), crashable.connect()
    consumer = other.consumer([MEMPOOL_TXS])
    stop, all_published = threading.Event(), threading.Event()
    give_up_at = time.monotonic() + 5 * PATIENCE
    confirmed: set[int] = set()
    seen: set[int] = set()

    def publish() -> None:
        number = 0
        while not stop.is_set():
            batch = range(number, number + 10)
            try:
                publisher.publish_many([tx(n) for n in batch])
            except BrokerUnavailable:
                continue
            confirmed.update(batch)
            number += 10

    def consume() -> None:
        while not (all_published.is_set() and (seen >= confirmed or time.monotonic() > give_up_at)):
            batch = consumer.receive(50, 0.1)
            seen.update(numbers(batch))
            consumer.ack(batch)

    threads = [threading.Thread(target=publish), threading.Thread(target=consume)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(seen) > 200, "messages before the crash")
        crashable.server.kill()
        until(lambda: not publisher.is_connected(), "the outage is noticed")
        crashable.server.start()
        after = len(confirmed)
        until(lambda: len(confirmed) > after + 200, "publishing goes on")
        until(lambda: len(seen) > after + 200, "consuming goes on")
    finally:
        stop.set()
        threads[0].join()
        all_published.set()
        threads[1].join()
    assert sorted(confirmed - seen) == []


def test_what_was_not_acked_before_a_crash_comes_again(crashable: CrashableBackend) -> None:
    """In any order: see `test_consumers_that_leave_give_back_everything_in_any_order` for why it is no promise."""
    broker = crashable.connect()
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish_many([tx(n) for n in range(5)])
    held = take(consumer, 5)
    assert numbers(held) == [0, 1, 2, 3, 4]
    crashable.server.kill()
    consumer.ack(held[:2])  # reaches nobody
    assert consumer.receive(5, 0.3) == []
    crashable.server.start()
    again = receive_until(consumer, {0, 1, 2, 3, 4}, first_time=set())
    consumer.ack(held)  # from before the crash, and none of the others
    until(lambda: published(broker, 5), "publishing works again")
    broker.publish_many([tx(6), tx(7)])
    again += receive_until(consumer, {5, 6, 7}, first_time={5, 6, 7})
    consumer.ack(again)
    consumer.close()
    assert broker.consumer([MEMPOOL_TXS]).receive(1, 0.3) == []


def receive_until(consumer: Consumer, wanted: set[int], first_time: set[int]) -> list[Delivery]:
    """Receive until all wanted numbers have come; numbers that come for the first time must be in order.

    Messages that a consumer held when it lost its connection may come twice, so more than the wanted numbers may come.
    """
    received: list[Delivery] = []

    def all_came() -> bool:
        received.extend(consumer.receive(1, 0.5))
        return wanted <= set(numbers(received))

    until(all_came, f"all of {wanted}")
    new = [delivery for delivery in received if not delivery.delivery_count]
    assert numbers(new) == sorted(set(numbers(new)))
    assert set(numbers(new)) <= first_time
    return received


def test_consumers_that_leave_give_back_everything_in_any_order(backend: Backend) -> None:
    """RabbitMQ deals returned messages in turn to all registered consumers: here they arrive as 1, 3, 0, 2, 4.

    A consumer whose process, host or server has died stays registered until RabbitMQ notices.
    """
    holder, idle, staying = (backend.connect() for _ in range(3))
    first = holder.consumer([MEMPOOL_TXS])
    staying.publish_many([tx(n) for n in range(5)])
    assert numbers(take(first, 5)) == [0, 1, 2, 3, 4]
    idle.consumer([MEMPOOL_TXS])
    last = staying.consumer([MEMPOOL_TXS])
    holder.close()
    again = take(last, 2)
    idle.close()
    again += take(last, 3)
    assert sorted(numbers(again)) == [0, 1, 2, 3, 4]
    assert all(delivery.delivery_count for delivery in again)
    last.ack(again)
    assert last.receive(1, 0.3) == []


def test_publishing_during_an_outage_is_refused_soon_and_works_again_after_it(crashable: CrashableBackend) -> None:
    broker = crashable.connect()
    broker.consumer([MEMPOOL_TXS])
    broker.publish(tx(1))
    crashable.server.kill()
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        broker.publish(tx(2))
    with pytest.raises(BrokerUnavailable):
        broker.request(tx(2), PATIENCE)
    assert time.monotonic() - started < PATIENCE / 2
    assert not broker.is_connected()
    crashable.server.start()
    until(lambda: published(broker, 3), "publishing works again")


def published(broker: Broker, number: int) -> bool:
    try:
        broker.publish(tx(number))
    except BrokerUnavailable:
        return False
    return True


def test_requests_and_transient_queues_work_again_after_a_crash(crashable: CrashableBackend) -> None:
    server, client = crashable.connect(), crashable.connect()
    work = server.consumer([MEMPOOL_TXS])
    news = client.consumer([transient_queue("page", Topic.BLOCK_CONNECTED)])
    crashable.server.kill()
    crashable.server.start()
    block = BlockConnected(hash="00" * 32, height=1, time=1, tx_count=1)

    def news_comes_through() -> bool:
        try:
            server.publish(block)
        except BrokerUnavailable:
            return False
        return bool(news.receive(1, 0.2))

    until(news_comes_through, "a fact after the crash")
    replies: list[object] = []

    def ask() -> None:
        replies.append(client.request(tx(1), PATIENCE))

    thread = threading.Thread(target=ask)
    thread.start()
    (delivery,) = take(work, 1)
    assert delivery.reply_address is not None
    server.reply_many([(delivery.reply_address, verdict(1))])
    thread.join()
    assert replies == [verdict(1)]


def test_a_service_may_start_before_its_server(crashable: CrashableBackend) -> None:
    crashable.server.kill()
    broker = crashable.connect()
    consumer = broker.consumer([MEMPOOL_TXS])
    assert consumer.receive(1, 0.1) == []
    crashable.server.start()
    receiving = threading.Thread(target=lambda: taken.extend(take(consumer, 1)))
    taken: list[object] = []
    receiving.start()
    until(lambda: routed(broker), "the queue is declared")
    receiving.join()
    assert len(taken) == 1


def routed(broker: Broker) -> bool:
    from shared.errors import Unroutable

    try:
        broker.publish(tx(1))
    except (BrokerUnavailable, Unroutable):
        return False
    return True


_HANGING_CONSUMER = """
import sys, threading
from shared.bus.topics import MEMPOOL_TXS
from tests.integration.bus.conftest import open_broker
consumer = open_broker(sys.argv[1], sys.argv[2]).consumer([MEMPOOL_TXS], prefetch=3)
held = []
while len(held) < 3:
    held += consumer.receive(3 - len(held), 1.0)
print("holding", flush=True)
threading.Event().wait()
"""


def test_the_messages_of_a_killed_consumer_go_to_another(backend: Backend) -> None:
    broker = backend.connect()
    broker.consumer([MEMPOOL_TXS]).close()
    broker.publish_many([tx(n) for n in range(3)])
    child = subprocess.Popen(
        [sys.executable, "-c", _HANGING_CONSUMER, backend.name, backend.url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "holding\n"
        consumer = broker.consumer([MEMPOOL_TXS])
        assert consumer.receive(3, 0.3) == []
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    deliveries = take(consumer, 3)
    assert sorted(numbers(deliveries)) == [0, 1, 2]
    assert {delivery.delivery_count for delivery in deliveries} == {1}


def test_a_handler_that_takes_long_keeps_its_message(backend: Backend) -> None:
    """Longer than a sign of life (Redis) or two heartbeats (RabbitMQ) last, and without a pause of the processor."""
    url = backend.url + "?heartbeat=1" if backend.name == "rabbit" else backend.url
    broker = open_broker(backend.name, url)
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish(tx(1))
    held = take(consumer, 1)
    waiting = backend.connect().consumer([MEMPOOL_TXS])
    came: list[object] = []
    thread = threading.Thread(target=lambda: came.extend(waiting.receive(1, 7.0)))
    thread.start()
    digest = b""
    while thread.is_alive():
        digest = hashlib.sha256(digest).digest()
    thread.join()
    assert came == []
    assert broker.is_connected()
    consumer.ack(held)
    broker.close()
    assert waiting.receive(1, 0.3) == []


def test_a_password_is_never_shown(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("pika").setLevel(logging.DEBUG)
    scheme = "amqp" if backend.name == "rabbit" else "redis"
    somewhere = backend.url.rpartition("@")[2] if backend.name == "rabbit" else backend.url.removeprefix("redis://")
    texts = []
    try:
        for address in (somewhere, "127.0.0.1:1/0"):
            broker = open_broker(backend.name, f"{scheme}://someone:hunter2@{address}")
            with pytest.raises(BrokerUnavailable) as caught:
                broker.publish(tx(1))
            broker.close()
            texts.append(str(caught.value))
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__ or caught.value.__context__ is None
    finally:
        logging.getLogger("pika").setLevel(logging.CRITICAL)
    assert "hunter2" not in " ".join([caplog.text, *texts, repr(broker)])
