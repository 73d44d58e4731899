"""The embedded bus when a single step fails, and when two of its consumers interleave.

The server itself never fails here: a command or its answer is lost on the way, or another process acts in between.
`test_broker_contract` has the tests for both backends, `test_broker_crashes` the crashes of the server.
"""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
import redis as redis_py

from shared.bus.events import BlockConnected
from shared.bus.redis_streams import broker as redis_streams
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.bus.redis_streams.consumer import SIGN_OF_LIFE_MS
from shared.bus.topics import MEMPOOL_BLOCKS, MEMPOOL_TXS, Topic, transient_queue
from shared.errors import BrokerUnavailable, RequestTimeout, Unroutable
from tests.integration.bus.conftest import Connect
from tests.integration.bus.helpers import PATIENCE, answering, mine, numbers, signs_of_life, take, tx, until, verdict

TXS = "warren-bus:queue:mempool.txs"
BLOCK = BlockConnected(hash="00" * 32, height=1, time=1, tx_count=1)


def lose_once(
    monkeypatch: pytest.MonkeyPatch,
    target: Any,
    name: str,
    *,
    after: bool = False,
    error: Exception = redis_py.ConnectionError("lost on the way"),  # noqa: B008
) -> None:
    """Let one call of a command fail: before the server saw it, or after it did, when only the answer is lost."""
    real = getattr(target, name)
    calls = iter([True])

    def lossy(*args: Any, **kwargs: Any) -> Any:
        if next(calls, False):
            if after:
                real(*args, **kwargs)
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(target, name, lossy)


def no_beats(embedded: RedisStreamsBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only the test decide when this process writes heartbeats for its consumers."""
    monkeypatch.setattr(embedded, "_beat", embedded._closed.wait)


# ── one step fails alone ────────────────────────────────────────────────────────────────────────────────────────


def test_what_came_from_a_lower_queue_in_the_same_read_comes_next(
    embedded: RedisStreamsBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = embedded.consumer([MEMPOOL_BLOCKS, MEMPOOL_TXS])
    client = consumer._client
    read = client.xreadgroup

    def both_are_filled_first(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(client, "xreadgroup", read)
        embedded.publish_many([tx(1), mine(1), tx(2)])
        return read(*args, **kwargs)

    monkeypatch.setattr(client, "xreadgroup", both_are_filled_first)
    batches = [consumer.receive(10, PATIENCE) for _ in range(2)]
    assert [delivery.queue for delivery in batches[0]] == ["mempool.blocks"]
    rest = [*batches[1], *take(consumer, 1)]
    assert (numbers(rest), {delivery.delivery_count for delivery in rest}) == ([1, 2], {0})


@pytest.mark.parametrize("after", [False, True])
def test_a_message_whose_ack_was_lost_comes_again(
    embedded: RedisStreamsBroker, monkeypatch: pytest.MonkeyPatch, redis: redis_py.Redis, after: bool
) -> None:
    consumer = embedded.consumer([MEMPOOL_TXS])
    embedded.publish_many([tx(1), tx(2)])
    first, second = take(consumer, 2)
    lose_once(monkeypatch, redis_py.client.Pipeline, "execute", after=after)
    consumer.ack([first])
    again = take(consumer, 1 if after else 2)
    assert numbers(again) == ([2] if after else [1, 2])
    assert {delivery.delivery_count for delivery in again} == {1}
    consumer.ack([second])  # from before the fault, and not done by whoever has it now
    consumer.ack(again)
    assert redis.xlen(TXS) == 0


def test_a_message_that_could_not_be_requeued_comes_again(
    embedded: RedisStreamsBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = embedded.consumer([MEMPOOL_TXS])
    embedded.publish(tx(1))
    held = take(consumer, 1)
    lose_once(monkeypatch, consumer._client, "xclaim")
    consumer.requeue(held)
    assert numbers(take(consumer, 1)) == [1]


def test_a_message_that_could_not_be_dead_lettered_comes_again(
    embedded: RedisStreamsBroker, monkeypatch: pytest.MonkeyPatch, redis: redis_py.Redis
) -> None:
    consumer = embedded.consumer([MEMPOOL_TXS])
    embedded.publish(tx(1))
    held = take(consumer, 1)
    lose_once(monkeypatch, redis_py.client.Pipeline, "execute")
    consumer.dead_letter(held, "no such thing")
    assert numbers(take(consumer, 1)) == [1]
    assert redis.xlen("warren-bus:dead.mempool") == 0


@pytest.mark.parametrize("queue", [MEMPOOL_TXS, transient_queue("page", Topic.BLOCK_CONNECTED)])
@pytest.mark.parametrize("step", ["take", "wait"])
def test_what_was_handed_out_with_an_answer_that_was_lost_comes_again(
    embedded: RedisStreamsBroker, monkeypatch: pytest.MonkeyPatch, queue: Any, step: str
) -> None:
    consumer = embedded.consumer([queue])
    message = tx(1) if queue is MEMPOOL_TXS else BLOCK
    if step == "take":
        embedded.publish(message)
        lose_once(monkeypatch, consumer._scripts, "take", after=True)
    else:
        read = consumer._client.xreadgroup

        def read_and_lose(*args: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(consumer._client, "xreadgroup", read)
            embedded.publish(message)
            read(*args, **kwargs)
            raise redis_py.TimeoutError("lost on the way back")

        monkeypatch.setattr(consumer._client, "xreadgroup", read_and_lose)
    (delivery,) = take(consumer, 1)
    assert delivery.delivery_count == 1


@pytest.mark.parametrize("queue", [MEMPOOL_TXS, transient_queue("page", Topic.BLOCK_CONNECTED)])
def test_a_consumer_that_cannot_give_back_at_once_does_so_later(
    embedded: RedisStreamsBroker, monkeypatch: pytest.MonkeyPatch, queue: Any
) -> None:
    no_beats(embedded, monkeypatch)
    consumer = embedded.consumer([queue])
    embedded.publish(tx(1) if queue is MEMPOOL_TXS else BLOCK)
    held = take(consumer, 1)
    lose_once(monkeypatch, redis_py.client.Pipeline, "execute")
    consumer.ack(held)
    lose_once(monkeypatch, consumer._scripts, "reclaim")
    assert take(consumer, 1)[0].body == held[0].body


def test_a_consumer_out_of_touch_asks_again_and_again_but_not_all_the_time(
    embedded: RedisStreamsBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = embedded.consumer([MEMPOOL_TXS])
    tries: list[float] = []

    def away(*args: Any, **kwargs: Any) -> Any:
        tries.append(time.monotonic())
        raise redis_py.ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(consumer._scripts, "declare", away)
        patch.setattr(consumer._scripts, "take", away)
        assert consumer.receive(1, 1.0) == []
    assert 4 <= len(tries) <= 40
    assert sum("lost touch" in record.message for record in caplog.records) == 1
    embedded.publish(tx(1))
    assert numbers(take(consumer, 1)) == [1]
    assert consumer._failures == 0


def test_closing_without_the_server_harms_nobody_and_others_get_the_messages(
    connect_embedded: Connect, monkeypatch: pytest.MonkeyPatch, redis: redis_py.Redis
) -> None:
    leaving, staying = connect_embedded(), connect_embedded()
    consumer = leaving.consumer([MEMPOOL_TXS])
    staying.publish(tx(1))
    take(consumer, 1)
    lose_once(monkeypatch, consumer._client, "delete")
    consumer.close()
    consumer.close()
    redis.delete(*signs_of_life(redis))  # its time is up
    other = staying.consumer([MEMPOOL_TXS])
    other.reclaim()
    assert numbers(take(other, 1)) == [1]


def test_scripts_that_the_server_forgot_are_loaded_again(embedded: RedisStreamsBroker, redis: redis_py.Redis) -> None:
    consumer = embedded.consumer([MEMPOOL_TXS])
    redis.script_flush()
    embedded.publish(tx(1))
    redis.script_flush()
    assert numbers(take(consumer, 1)) == [1]


def test_a_server_that_lost_its_data_gets_its_queues_back(
    embedded: RedisStreamsBroker, redis: redis_py.Redis, connect_embedded: Connect
) -> None:
    client = connect_embedded()
    with answering(embedded, embedded.consumer([MEMPOOL_TXS])):
        assert client.request(tx(1), PATIENCE) == verdict(1)
        redis.flushall()

        def answered() -> bool:
            try:
                return client.request(tx(2), 1.0) == verdict(2)
            except (Unroutable, RequestTimeout):
                return False

        until(answered, "claims are routed and answered again")


def test_replies_that_nobody_understands_do_not_end_the_listening(
    embedded: RedisStreamsBroker, redis: redis_py.Redis
) -> None:
    with answering(embedded, embedded.consumer([MEMPOOL_TXS])):
        for fields in ({"x": "y"}, {"c": b"\xff", "t": b"\xff", "b": b"\xff"}):
            assert embedded.request(tx(1), PATIENCE) == verdict(1)
            redis.xadd(embedded._reply_key, fields)
        assert embedded.request(tx(2), PATIENCE) == verdict(2)


def test_a_client_that_cannot_read_its_replies_tries_again_with_pauses(
    embedded: RedisStreamsBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(embedded, embedded.consumer([MEMPOOL_TXS])):
        embedded.request(tx(1), PATIENCE)
        tries: list[float] = []

        def away(*args: Any, **kwargs: Any) -> Any:
            tries.append(time.monotonic())
            raise redis_py.ConnectionError("away")

        with monkeypatch.context() as patch:
            patch.setattr(embedded._client, "xread", away)
            until(lambda: len(tries) >= 4, "tries")
        assert tries[3] - tries[0] >= 0.3
        assert embedded.request(tx(2), PATIENCE) == verdict(2)


# ── two consumers interleave ────────────────────────────────────────────────────────────────────────────────────


def test_after_an_outage_nobody_is_taken_for_dead_before_its_time(
    connect_embedded: Connect, monkeypatch: pytest.MonkeyPatch, redis: redis_py.Redis
) -> None:
    """All heartbeats expire in an outage; the first consumer with a new one must not take the others for dead."""
    now = [0.0]
    monkeypatch.setattr(redis_streams, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(redis_streams, "_BEAT", 0.02)
    first, second = connect_embedded(), connect_embedded()
    no_beats(first, monkeypatch)
    holder, other = first.consumer([MEMPOOL_TXS]), second.consumer([MEMPOOL_TXS])
    second.publish(tx(1))
    held = take(holder, 1)
    beats, looks = counted(monkeypatch, other, "declare"), counted(monkeypatch, other, "reclaim")

    def more(calls: list[int], count: int = 3) -> None:
        goal = len(calls) + count
        until(lambda: len(calls) >= goal, "beats")

    life = SIGN_OF_LIFE_MS / 1000
    more(beats)
    assert looks == [], "whoever starts when an outage ends waits, too"
    now[0] = life + 0.1
    (sign,) = (key for key in signs_of_life(redis) if holder._name.encode() in key)
    redis.persist(sign)
    more(looks)
    assert other.receive(1, 0) == [], "whoever shows a sign of life keeps its messages"
    lose_once(monkeypatch, other, "declare", error=BrokerUnavailable("the outage"))
    more(beats)
    looks.clear()
    redis.delete(*signs_of_life(redis))
    now[0] += life
    more(beats)
    assert looks == []
    assert other.receive(1, 0) == []
    now[0] += 0.1
    again = take(other, 1)
    assert (numbers(again), again[0].delivery_count) == (numbers(held), 1)


def counted(monkeypatch: pytest.MonkeyPatch, target: Any, name: str) -> list[int]:
    """Return a list that grows with every call of a method."""
    real, calls = getattr(target, name), []

    def counting(*args: Any) -> Any:
        calls.append(1)
        return real(*args)

    monkeypatch.setattr(target, name, counting)
    return calls


def test_a_waiting_consumer_soon_gets_what_another_gave_back(
    connect_embedded: Connect,
) -> None:
    giver, waiter = connect_embedded(), connect_embedded()
    first, second = giver.consumer([MEMPOOL_TXS]), waiter.consumer([MEMPOOL_TXS])
    giver.publish(tx(1))
    held = take(first, 1)
    gave_back_at: list[float] = []

    def give_back() -> None:
        until(lambda: blocked_clients(giver) == 1, "the other one waits")
        first.requeue(held)
        gave_back_at.append(time.monotonic())

    thread = threading.Thread(target=give_back)
    thread.start()
    assert numbers(second.receive(1, PATIENCE)) == [1]
    arrived = time.monotonic()
    thread.join()
    assert arrived - gave_back_at[0] < 2.0


def blocked_clients(embedded: RedisStreamsBroker) -> int:
    return int(embedded._client.info("clients")["blocked_clients"])


def test_a_message_that_was_handed_out_before_comes_alone_and_first_in_its_queue(
    embedded: RedisStreamsBroker,
) -> None:
    consumer = embedded.consumer([MEMPOOL_BLOCKS, MEMPOOL_TXS])
    embedded.publish_many([tx(n) for n in range(3)])
    consumer.requeue(take(consumer, 2))
    embedded.publish_many([tx(3), mine(1)])
    assert {delivery.queue for delivery in consumer.receive(10, PATIENCE)} == {"mempool.blocks"}
    assert [numbers(consumer.receive(10, PATIENCE)) for _ in range(3)] == [[0], [1], [2, 3]]


def test_a_consumer_that_died_with_many_messages_gives_back_all(
    connect_embedded: Connect, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying, living = connect_embedded(), connect_embedded()
    no_beats(dying, monkeypatch)
    consumer = dying.consumer([MEMPOOL_TXS])
    dying.publish_many([tx(n) for n in range(1_200)])
    take(consumer, 1_200, max_messages=1_200)
    redis.delete(*signs_of_life(redis))
    other = living.consumer([MEMPOOL_TXS])
    other.reclaim()
    assert redis.xpending(TXS, "warren")["pending"] == 1_200
    assert [info["name"] for info in redis.xinfo_consumers(TXS, "warren")] == [b"-"]
    assert numbers(take(other, 3)) == [0, 1, 2]
