"""The keys that the embedded bus keeps in Redis: none for settled messages, and none for consumers that left."""

from __future__ import annotations

import contextlib
import time

import pytest
import redis as redis_py

from shared.bus.broker import ReplyAddress
from shared.bus.events import BlockConnected, Failure
from shared.bus.redis_streams import broker as redis_streams
from shared.bus.redis_streams import consumer as redis_consumer
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.bus.redis_streams.consumer import SIGN_OF_LIFE_MS, TRANSIENT_LIFE_MS
from shared.bus.topics import MEMPOOL_TXS, Topic, transient_queue
from shared.errors import Unroutable
from tests.integration.bus.helpers import NOTHING, PATIENCE, answering, numbers, signs_of_life, take, tx, until

TXS = "warren-bus:queue:mempool.txs"
BLOCK = BlockConnected(hash="00" * 32, height=1, time=1, tx_count=1)


def test_the_dead_are_known_within_seconds_and_the_living_have_beats_to_spare() -> None:
    assert (SIGN_OF_LIFE_MS, TRANSIENT_LIFE_MS, redis_streams._BEAT) == (4_000, 60_000, 1.0)


def test_what_is_settled_leaves_nothing_in_its_stream(embedded: RedisStreamsBroker, redis: redis_py.Redis) -> None:
    """The length of a stream is its backlog."""
    consumer = embedded.consumer([MEMPOOL_TXS])
    embedded.publish_many([tx(n) for n in range(3)])
    done, bad, back = take(consumer, 3)
    consumer.ack([done])
    consumer.dead_letter([bad], "no such thing")
    consumer.requeue([back])
    assert redis.xlen(TXS) == redis.xpending(TXS, "warren")["pending"] == 1


def test_a_dead_letter_says_all_that_is_known_of_it(embedded: RedisStreamsBroker, redis: redis_py.Redis) -> None:
    consumer = embedded.consumer([MEMPOOL_TXS])
    embedded.publish(tx(1))
    (bad,) = take(consumer, 1)
    before = int(time.time())
    consumer.dead_letter([bad], "no such thing")
    ((_, fields),) = redis.xrange("warren-bus:dead.mempool")
    assert before <= int(fields.pop(b"time")) <= time.time()
    assert fields == {
        b"t": b"tx.submitted",
        b"i": bad.message_id.encode(),
        b"p": bad.traceparent.encode(),
        b"b": bad.body,
        b"queue": b"mempool.txs",
        b"reason": b"no such thing",
    }


def test_only_the_newest_dead_letters_are_kept(
    embedded: RedisStreamsBroker, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redis_consumer._DEAD_LETTERS == 10_000
    monkeypatch.setattr(redis_consumer, "_DEAD_LETTERS", 100)
    consumer = embedded.consumer([MEMPOOL_TXS])
    embedded.publish_many([tx(n) for n in range(500)])
    consumer.dead_letter(take(consumer, 500), "no such thing")
    letters = redis.xrange("warren-bus:dead.mempool")
    assert 100 <= len(letters) <= 200  # Redis trims whole nodes of 100 entries
    assert letters[-1][1][b"b"] == b'{"txs":["000001f3"]}'


def test_a_process_that_lives_keeps_its_own_queue_its_signs_and_its_replies(
    embedded: RedisStreamsBroker, redis: redis_py.Redis
) -> None:
    queue = transient_queue("page", Topic.BLOCK_CONNECTED)
    consumer = embedded.consumer([queue, MEMPOOL_TXS])
    with answering(embedded, consumer):
        embedded.request(tx(1), PATIENCE)
    (sign,) = signs_of_life(redis)
    lives = {f"warren-bus:queue:{queue.name}": TRANSIENT_LIFE_MS, embedded._reply_key: TRANSIENT_LIFE_MS}
    lives[sign.decode()] = SIGN_OF_LIFE_MS
    for key, life in lives.items():
        assert 0 < redis.pttl(key) <= life
        redis.pexpire(key, life // 2)
    for key, life in lives.items():
        until(lambda key=key, life=life: redis.pttl(key) > life * 0.6, f"{key} lives on")  # type: ignore[misc]
    assert redis.pttl(TXS) == -1, "a durable queue stays"
    assert redis.xlen(embedded._reply_key) == 0, "a reply that was read is gone"


def test_a_process_that_leaves_takes_its_own_keys_with_it(embedded: RedisStreamsBroker, redis: redis_py.Redis) -> None:
    consumer = embedded.consumer([transient_queue("page", Topic.BLOCK_CONNECTED), MEMPOOL_TXS])
    with answering(embedded, consumer):
        embedded.request(tx(1), PATIENCE)
    embedded.close()
    consumer.declare()  # a beat that was under way
    keys = {key.decode() for key in redis.scan_iter("*")}
    assert keys == {TXS, "warren-bus:topic:tx.submitted", "warren-bus:topic:block.connected"}


def test_a_consumer_that_was_closed_is_forgotten_even_if_its_queue_has_gone(
    embedded: RedisStreamsBroker, redis: redis_py.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = embedded.consumer([MEMPOOL_TXS])
    redis.delete(TXS)
    consumer.close()
    assert embedded._consumers == []
    assert not caplog.records


def test_a_reply_to_whoever_has_gone_leaves_nothing_behind(embedded: RedisStreamsBroker, redis: redis_py.Redis) -> None:
    embedded.reply_many([(ReplyAddress("warren-bus:replies:gone", "1"), Failure(error="too late"))])
    assert redis.keys("*") == []


def test_a_binding_whose_queue_has_gone_is_removed(embedded: RedisStreamsBroker, redis: redis_py.Redis) -> None:
    gone, there = (transient_queue("page", Topic.BLOCK_CONNECTED) for _ in range(2))
    embedded.consumer([gone]).close()
    consumer = embedded.consumer([there])
    embedded.publish(BLOCK)
    assert redis.smembers("warren-bus:topic:block.connected") == {f"warren-bus:queue:{there.name}".encode()}
    assert len(take(consumer, 1)) == 1


def test_buses_with_other_prefixes_know_nothing_of_each_other(embedded: RedisStreamsBroker, redis_url: str) -> None:
    mine_ = embedded.consumer([MEMPOOL_TXS])
    with contextlib.closing(RedisStreamsBroker(redis_url, prefix="another-bus")) as other:
        with pytest.raises(Unroutable):
            other.publish(tx(1))
        theirs = other.consumer([MEMPOOL_TXS])
        other.publish(tx(2))
        embedded.publish(tx(3))
        assert (numbers(take(theirs, 1)), numbers(take(mine_, 1))) == ([2], [3])
        assert mine_.receive(1, NOTHING) == theirs.receive(1, 0) == []


def test_a_moment_that_is_shorter_than_redis_can_wait_is_no_wait_without_an_end(embedded: RedisStreamsBroker) -> None:
    consumer = embedded.consumer([MEMPOOL_TXS])
    began = time.monotonic()
    for _ in range(20):
        assert consumer.receive(1, 0.0009) == []
    assert time.monotonic() - began < 5.0
