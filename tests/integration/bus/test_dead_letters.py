"""Dead letters as an operator sees them, on both backends: looked at, given back, removed, and never lost."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from shared.bus.broker import Delivery
from shared.bus.dead_letters import DeadLetter, DeadLetters
from shared.bus.events import TxRejected
from shared.bus.open_broker import open_dead_letters
from shared.bus.rabbit.dead_letters import RabbitDeadLetters
from shared.bus.redis_streams.dead_letters import RedisDeadLetters
from shared.bus.topics import EXCHANGE, MEMPOOL_TXS, WALLET_INBOX, Topic, transient_queue
from shared.config import Settings
from shared.errors import BrokerUnavailable
from tests.integration.bus.conftest import Backend
from tests.integration.bus.helpers import PATIENCE, tx
from tests.servers import free_port


def open_dead(backend: Backend) -> contextlib.closing[DeadLetters]:
    return contextlib.closing(
        RabbitDeadLetters(backend.url) if backend.name == "rabbit" else RedisDeadLetters(backend.url)
    )


@pytest.fixture
def dead(backend: Backend) -> Iterator[DeadLetters]:
    with open_dead(backend) as found:
        yield found


def read_all(backend: Backend, count: int) -> list[DeadLetter]:
    """Open, read and close, as one command does; RabbitMQ gives messages back a moment after the last reader closed."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with open_dead(backend) as found:
            letters = found.read()
        if len(letters) >= count:
            return letters
        assert time.monotonic() < deadline, f"{len(letters)} of {count} dead letters"


def take(backend: Backend, queue, count: int, reason: str = "") -> list[Delivery]:
    """Receive messages, and dead-letter them for a reason or ack them."""
    consumer = backend.connect().consumer([queue])
    taken: list[Delivery] = []
    while len(taken) < count:
        batch = consumer.receive(count - len(taken), PATIENCE)
        assert batch, f"{len(taken)} of {count} messages"
        taken += batch
    if reason:
        consumer.dead_letter(taken, reason)
    else:
        consumer.ack(taken)
    consumer.close()
    return taken


def bury(backend: Backend, count: int, reason: str = "its handler keeps failing") -> list[Delivery]:
    """Dead-letter some messages of `mempool.txs`."""
    broker = backend.connect()
    broker.consumer([MEMPOOL_TXS]).close()
    broker.publish_many([tx(number) for number in range(count)])
    return take(backend, MEMPOOL_TXS, count, reason)


def everything(_letter: DeadLetter) -> bool:
    return True


def test_dead_letters_are_shown_with_their_reasons_as_often_as_one_likes(backend: Backend, dead: DeadLetters) -> None:
    assert dead.read() == []
    buried = bury(backend, 3)
    first = dead.read()
    assert [(letter.service, letter.queue, letter.topic) for letter in first] == [
        ("mempool", "mempool.txs", "tx.submitted")
    ] * 3
    assert {letter.reason for letter in first} == {"its handler keeps failing"}
    assert [letter.message_id for letter in first] == [delivery.message_id for delivery in buried]
    assert [letter.body for letter in first] == [delivery.body for delivery in buried]
    assert [letter.traceparent for letter in first] == [delivery.traceparent for delivery in buried]
    assert len({letter.id for letter in first}) == 3
    assert all(abs(letter.time - first[0].time) < 60 and letter.time > 1_600_000_000 for letter in first)
    assert dead.read() == first
    dead.close()
    for _ in range(25):  # RabbitMQ 4 drops a message that came back 20 times
        assert read_all(backend, 3) == first


def test_the_chosen_ones_go_back_to_their_queue_as_they_were(backend: Backend, dead: DeadLetters) -> None:
    buried = bury(backend, 3)
    chosen = dead.read()[1]
    done, stay = dead.replay(lambda letter: letter.id == chosen.id)
    assert (done, stay) == ([chosen], [])
    [delivery] = take(backend, MEMPOOL_TXS, 1)
    original = buried[1]
    assert (delivery.type, delivery.body) == (original.type, original.body)
    assert (delivery.message_id, delivery.traceparent) == (original.message_id, original.traceparent)
    assert delivery.delivery_count == 0
    assert delivery.reply_address is None
    assert chosen.id not in [letter.id for letter in dead.read()]
    assert len(dead.read()) == 2
    assert dead.replay(lambda letter: letter.id == chosen.id) == ([], []), "repeated, nothing happens"


def test_removed_ones_are_gone_and_the_others_stay(backend: Backend, dead: DeadLetters) -> None:
    bury(backend, 2, reason="one")
    bury(backend, 3, reason="other")
    assert len(dead.purge(lambda letter: letter.reason == "one")) == 2
    assert [letter.reason for letter in dead.read()] == ["other"] * 3
    assert len(dead.purge(everything)) == 3
    assert dead.read() == []
    assert dead.purge(everything) == []


def test_a_message_whose_queue_is_gone_stays(backend: Backend, dead: DeadLetters) -> None:
    queue = transient_queue("explorer", Topic.BLOCK_TEMPLATE, Topic.TX_REJECTED)
    broker = backend.connect()
    consumer = broker.consumer([queue])
    broker.publish(TxRejected(txid="00" * 32, reason="r"))
    consumer.dead_letter(consumer.receive(1, PATIENCE), "undecodable")
    consumer.close()
    bury(backend, 1)
    done, stay = dead.replay(everything)
    assert [letter.service for letter in done] == ["mempool"]
    assert [(letter.service, letter.queue) for letter in stay] == [("explorer", queue.name)]
    assert dead.read() == stay


@pytest.mark.rabbitmq
def test_a_crash_between_publishing_and_removing_doubles_and_loses_nothing(
    rabbitmq: str, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as stack:
        backend = Backend("rabbit", amqp_url, stack)
        buried = [delivery.message_id for delivery in bury(backend, 2)]
        with open_dead(backend) as dead, monkeypatch.context() as patch:
            patch.setattr(BlockingChannel, "basic_ack", lambda *_: sys.exit("crashed"))
            with pytest.raises(SystemExit):
                dead.replay(everything)
        assert [letter.message_id for letter in read_all(backend, 2)] == buried
        with open_dead(backend) as dead:
            assert len(dead.replay(everything)[0]) == 2
            assert dead.read() == []
        taken = [delivery.message_id for delivery in take(backend, MEMPOOL_TXS, 3)]
        assert sorted(taken) == sorted([*buried, buried[0]])


@pytest.mark.rabbitmq
def test_a_message_that_the_broker_itself_moved_is_shown_and_goes_back(rabbitmq: str, amqp_url: str) -> None:
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(amqp_url))) as connection:
        channel = connection.channel()
        properties = pika.BasicProperties(message_id="own-1", type="block.connected", expiration="1", delivery_mode=2)
        channel.basic_publish(EXCHANGE, "block.connected", b'{"hash": "00"}', properties)
    with contextlib.ExitStack() as stack:
        backend = Backend("rabbit", amqp_url, stack)
        [letter] = read_all(backend, 1)
        assert (letter.service, letter.queue, letter.topic) == ("wallet", "wallet.inbox", "block.connected")
        assert (letter.message_id, letter.reason) == ("own-1", "waited too long in its queue")
        assert letter.time > 1_600_000_000
        with open_dead(backend) as dead:
            dead.replay(everything)
        [delivery] = take(backend, WALLET_INBOX, 1)
        assert (delivery.message_id, delivery.body) == ("own-1", b'{"hash": "00"}')


@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"])
def test_a_broker_that_is_away_is_an_error_without_its_password(broker: str) -> None:
    port = free_port()
    settings = Settings(
        broker=broker,
        redis_url=f"redis://:hidden-word@127.0.0.1:{port}/0",
        amqp_url=f"amqp://operator:hidden-word@127.0.0.1:{port}/warren",
    )
    with pytest.raises(BrokerUnavailable) as error, contextlib.closing(open_dead_letters(settings)) as dead:
        dead.read()
    assert "hidden-word" not in str(error.value)
