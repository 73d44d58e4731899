"""The contract of every broker: this suite runs against RabbitMQ and against Redis Streams."""

from __future__ import annotations

import pytest

from shared.bus import events
from shared.bus.broker import Broker, Consumer
from shared.bus.events import BlockConnected
from shared.bus.topics import FACTS, MEMPOOL_BLOCKS, MEMPOOL_TXS, WALLET_INBOX, WALLET_REQUESTS, Topic, transient_queue
from shared.errors import BrokerUnavailable, Unroutable
from tests.integration.bus.conftest import Backend
from tests.integration.bus.helpers import NOTHING, PATIENCE, mine, numbers, take, tx, until


def connected(height: int) -> BlockConnected:
    return BlockConnected(seq=height, hash="00" * 32, height=height, time=1, tx_count=1)


# ── publishing and consuming ────────────────────────────────────────────────────────────────────────────────────


def test_messages_arrive_whole_and_in_order(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish_many([tx(n) for n in range(900)])
    deliveries = take(consumer, 900)
    assert numbers(deliveries) == list(range(900))
    first = deliveries[0]
    assert (first.queue, first.type, first.delivery_count) == ("mempool.txs", "tx.submitted", 0)
    assert first.reply_address is None
    assert first.body == events.encode(tx(0))
    assert len({delivery.message_id for delivery in deliveries}) == 900


def test_a_batch_is_no_larger_than_asked_for(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish_many([tx(n) for n in range(200)])
    batches: list[list[int]] = []

    def all_came() -> bool:
        batches.append(numbers(consumer.receive(4, 1.0)))
        return sum(map(len, batches)) == 200

    until(all_came, "all of them")
    assert max(map(len, batches)) == 4
    assert [number for batch in batches for number in batch] == list(range(200))


def test_nothing_is_published_by_an_empty_batch(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish_many([])
    assert broker.request_many([], PATIENCE) == []
    assert consumer.receive(1, NOTHING) == []


def test_a_large_message_arrives(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_BLOCKS])
    block = events.BlockMined(block="ab" * 4_000_000)
    broker.publish(block)
    assert take(consumer, 1)[0].body == events.encode(block)


def test_an_earlier_queue_goes_before_a_later_one(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_BLOCKS, MEMPOOL_TXS])
    broker.publish_many([tx(n) for n in range(50)])
    assert {delivery.queue for delivery in take(consumer, 10, 10)} == {"mempool.txs"}
    broker.publish_many([mine(n) for n in range(3)])
    blocks = 0

    def blocks_came() -> bool:
        """Transactions go back whenever they come, so there always are some that wait for longer."""
        nonlocal blocks
        batch = consumer.receive(100, 1.0)
        if batch[0].queue == "mempool.txs":
            consumer.requeue(batch)
        else:
            blocks += len(batch)
        return blocks == 3

    until(blocks_came, "three blocks before the transactions")


def test_a_batch_comes_from_one_queue(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_BLOCKS, MEMPOOL_TXS])
    broker.publish_many([tx(1), mine(1), tx(2), mine(2)])
    batches = []
    while sum(map(len, batches)) < 4:
        batches.append(consumer.receive(100, PATIENCE))
        assert len({delivery.queue for delivery in batches[-1]}) == 1
    assert numbers([d for batch in batches for d in batch]) == [1, 2]


def test_consumers_of_a_durable_queue_share_its_messages(backend: Backend) -> None:
    consumers = [backend.connect().consumer([MEMPOOL_TXS], prefetch=5) for _ in range(3)]
    backend.connect().publish_many([tx(n) for n in range(60)])
    seen: list[int] = []
    shares = [0, 0, 0]

    def all_came() -> bool:
        for place, consumer in enumerate(consumers):
            batch = consumer.receive(5, 0.05)
            consumer.ack(batch)
            shares[place] += len(batch)
            seen.extend(numbers(batch))
        return len(seen) >= 60

    until(all_came, "60 messages")
    assert sorted(seen) == list(range(60))
    assert all(shares)


def test_every_transient_queue_gets_every_fact_in_order(backend: Backend) -> None:
    publisher = backend.connect()
    consumers = [backend.connect().consumer([transient_queue("explorer", *FACTS)]) for _ in range(3)]
    facts = [
        events.TxAccepted(seq=1, txid="aa", wtxid="bb", fee=1, vsize=1),
        connected(2),
        events.TxRemoved(seq=3, txid="aa", why=events.Removal.MINED),
        connected(4),
    ]
    publisher.publish_many(facts)
    for consumer in consumers:
        assert [events.decode(d.type, d.body) for d in take(consumer, 4)] == facts


def test_a_transient_queue_gets_only_its_topics_and_only_from_now_on(broker: Broker) -> None:
    broker.publish(connected(1))
    consumer = broker.consumer([transient_queue("page", Topic.BLOCK_CONNECTED)])
    broker.publish_many([events.TxAccepted(txid="aa", wtxid="bb", fee=1, vsize=1), connected(2)])
    assert [d.body for d in take(consumer, 1)] == [events.encode(connected(2))]
    assert consumer.receive(1, NOTHING) == []


def test_durable_and_transient_queues_go_together_in_one_consumer(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS, transient_queue("page", Topic.BLOCK_CONNECTED)])
    broker.publish_many([connected(1), tx(1)])
    assert sorted(d.type for d in take(consumer, 2)) == ["block.connected", "tx.submitted"]


def test_a_durable_queue_keeps_messages_while_nobody_consumes(backend: Backend) -> None:
    first = backend.connect()
    first.consumer([WALLET_INBOX]).close()
    first.publish_many([connected(n) for n in range(5)])
    first.close()
    consumer = backend.connect().consumer([WALLET_INBOX])
    assert [events.decode(d.type, d.body) for d in take(consumer, 5)] == [connected(n) for n in range(5)]


def test_a_claim_that_no_queue_takes_is_an_error(backend: Backend) -> None:
    broker = backend.without(MEMPOOL_TXS).connect()
    with pytest.raises(Unroutable, match=r"tx\.submitted"):
        broker.publish(tx(1))
    with pytest.raises(Unroutable):
        broker.request(tx(1), PATIENCE)


def test_a_message_that_nobody_needs_to_hear_is_none(broker: Broker) -> None:
    broker.publish(events.TxRejected(txid="aa", reason="bad-txns", detail=""))


# ── settling ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_acked_messages_never_come_again(backend: Backend) -> None:
    broker = backend.connect()
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish_many([tx(n) for n in range(10)])
    deliveries = take(consumer, 10)
    consumer.ack(deliveries[5:])
    consumer.ack(deliveries[:3])
    consumer.close()
    broker.close()
    consumer = backend.connect().consumer([MEMPOOL_TXS])
    assert sorted(numbers(take(consumer, 2))) == [3, 4]
    assert consumer.receive(1, NOTHING) == []


def test_a_requeued_message_comes_again_with_a_higher_count(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish(tx(7))
    for count in range(3):
        (delivery,) = take(consumer, 1)
        assert (numbers([delivery]), delivery.delivery_count) == ([7], count)
        consumer.requeue([delivery])
    consumer.ack(take(consumer, 1))
    assert consumer.receive(1, NOTHING) == []


def test_a_message_that_comes_again_has_the_id_that_it_had(backend: Backend) -> None:
    """Handlers that must do a thing once go by it."""
    consumer = (broker := backend.connect()).consumer([WALLET_REQUESTS])
    request = events.CoinsRequested(script_pubkey="51", amount=1)
    broker.publish_many([request, request])
    deliveries = take(consumer, 2)
    ids = {delivery.message_id for delivery in deliveries}
    assert len(ids) == 2
    consumer.requeue(deliveries)
    assert {delivery.message_id for delivery in take(consumer, 2)} == ids
    consumer.close()
    again = take(backend.connect().consumer([WALLET_REQUESTS]), 2)
    assert {delivery.message_id for delivery in again} == ids
    assert all(delivery.delivery_count for delivery in again)


def test_a_requeued_message_of_a_transient_queue_comes_again_too(broker: Broker) -> None:
    consumer = broker.consumer([transient_queue("page", Topic.BLOCK_CONNECTED)])
    broker.publish(connected(1))
    for count in range(3):
        (delivery,) = take(consumer, 1)
        assert delivery.delivery_count == count
        consumer.requeue([delivery])


def test_another_consumer_may_get_a_requeued_message(backend: Backend) -> None:
    first, second = (backend.connect().consumer([MEMPOOL_TXS], prefetch=1) for _ in range(2))
    backend.connect().publish(tx(1))
    taken: list[Consumer] = []

    def both_had_it() -> bool:
        for consumer in (first, second):
            if batch := consumer.receive(1, 0.1):
                taken.append(consumer)
                consumer.requeue(batch)
        return {id(consumer) for consumer in taken} == {id(first), id(second)}

    until(both_had_it, "the message reached both consumers")


def test_a_dead_letter_does_not_come_again_and_is_kept_with_its_reason(backend: Backend) -> None:
    consumer = (broker := backend.connect()).consumer([MEMPOOL_TXS])
    broker.publish_many([tx(1), tx(2)])
    bad, good = take(consumer, 2)
    consumer.dead_letter([bad], "no such thing")
    consumer.ack([good])
    consumer.close()
    assert broker.consumer([MEMPOOL_TXS]).receive(1, NOTHING) == []
    assert dead_letters(backend) == [(bad.body, "no such thing", "mempool.txs")]


def dead_letters(backend: Backend) -> list[tuple[bytes, str, str]]:
    """Body, reason and queue of everything in the dead-letter queue, read as an operator would."""
    if backend.name == "redis_streams":
        import redis

        with redis.Redis.from_url(backend.url) as client:
            entries = client.xrange("warren-bus:dead.mempool")
        return [(f[b"b"], f[b"reason"].decode(), f[b"queue"].decode()) for _, f in entries]
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(backend.url))
    letters = []
    for method, properties, body in connection.channel().consume("dead.mempool", inactivity_timeout=1.0):
        if method is None:
            break
        letters.append((body, properties.headers["reason"], properties.headers["queue"]))
    connection.close()
    return letters


def test_a_closed_consumer_gives_back_what_it_did_not_ack(backend: Backend) -> None:
    broker = backend.connect()
    first = broker.consumer([MEMPOOL_TXS])
    second = backend.connect().consumer([MEMPOOL_TXS], prefetch=1)
    broker.publish_many([tx(n) for n in range(20)])
    held = numbers(first.receive(5, PATIENCE))
    first.close()
    assert first.receive(1, NOTHING) == []
    seen: list[int] = []
    while len(seen) < 20:
        batch = take(second, 1)
        second.ack(batch)
        seen += numbers(batch)
    assert sorted(seen) == list(range(20))
    assert held


def test_a_body_that_does_not_decode_is_delivered_as_it_is(backend: Backend) -> None:
    broker = backend.connect()
    consumer = broker.consumer([MEMPOOL_TXS])
    publish_raw(backend, b"\xff{not json")
    (delivery,) = take(consumer, 1)
    assert (delivery.type, delivery.body) == ("tx.submitted", b"\xff{not json")


def publish_raw(backend: Backend, body: bytes) -> None:
    """Publish a message that our own publisher would never send."""
    if backend.name == "redis_streams":
        import redis

        with redis.Redis.from_url(backend.url) as client:
            client.xadd("warren-bus:queue:mempool.txs", {"t": "tx.submitted", "b": body})
        return
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(backend.url))
    properties = pika.BasicProperties(type="tx.submitted")
    connection.channel().basic_publish("warren.events", "tx.submitted", body, properties)
    connection.close()


# ── state ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_is_connected_tells_whether_the_broker_answers(broker: Broker) -> None:
    until(broker.is_connected, "connected")
    broker.close()
    assert not broker.is_connected()


def test_a_closed_broker_is_unavailable(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.close()
    broker.close()
    with pytest.raises(BrokerUnavailable):
        broker.publish(tx(1))
    with pytest.raises(BrokerUnavailable):
        broker.request(tx(1), 1.0)
    with pytest.raises(BrokerUnavailable):
        broker.consumer([MEMPOOL_TXS])
    assert consumer.receive(1, 0.1) == []
