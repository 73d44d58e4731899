"""The writer's life: one at a time, the next takes over, and nothing that was committed goes untold."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis as redis_py

from services.mempool.intake.router import ClaimRouter
from services.mempool.lease_keeper import LeaseKeeper
from services.mempool.outbox import GATHER_SECONDS, KEEP_EVENTS, Outbox
from services.mempool.transactions.submit import submit
from services.mempool.writer import Writer
from shared import trace
from shared.bus import events
from shared.bus.events import TxSubmitted, TxVerdicts
from shared.bus.topics import FACTS, transient_queue
from shared.chain.lease import TIME_LIMIT, Lease
from shared.chain.redis_keys import Keys
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.errors import BrokerUnavailable, StaleWriter
from shared.process.shutdown import ExitFlag
from tests.builders import key, make_block, output_of, p2wpkh, pay
from tests.conftest import run_server
from tests.integration.mempool.conftest import Chain
from tests.integration.mempool.instance import Instance, eventually, submit_blocks
from tests.servers import redis_server
from tests.unit.bus.fake_broker import FakeBroker

KEYS = Keys(REGTEST.name)
DELIVERY_LIMIT = 5
"""Attempts after which a message is dead-lettered because its handler fails."""


def test_a_standby_takes_over_when_the_writer_stops(start, redis: redis_py.Redis) -> None:
    first = start()
    eventually(lambda: redis.exists(KEYS.tip))
    second = start()
    assert [verdict.accepted for verdict in submit_blocks(second.broker, 3)] == [True] * 3
    assert redis.get(KEYS.writer_epoch) == b"1", "the standby consumes nothing"
    began = time.monotonic()
    first.close()
    eventually(lambda: redis.get(KEYS.writer_epoch) == b"2")
    assert time.monotonic() - began < TIME_LIMIT, "a clean stop gives the lease back"
    verdicts = submit_blocks(second.broker, 4)
    assert [verdict.reason for verdict in verdicts] == ["duplicate"] * 3 + [""]
    first.close = lambda: None  # type: ignore[method-assign]


def test_a_writer_that_another_fenced_off_writes_no_more(start, redis: redis_py.Redis) -> None:
    first = start()
    eventually(lambda: redis.exists(KEYS.tip))
    redis.set(KEYS.writer, "somebody else", px=1_500)
    redis.incr(KEYS.writer_epoch)
    verdicts = submit_blocks(first.broker, 2)
    assert [verdict.accepted for verdict in verdicts] == [True, True]
    assert redis.get(KEYS.writer_epoch) == b"3", "it wrote only after it had the lease again"


def test_a_refusal_is_not_answered_by_a_writer_that_another_has_replaced_meanwhile(
    start, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal commits nothing that Redis could fence off, and what the next writer has accepted makes it wrong."""
    instance = start()
    assert submit_blocks(instance.broker, 1)[0].accepted
    keeper, epochs = instance.writer._keeper, []

    def paused_at_first(*arguments):
        epochs.append(redis.get(KEYS.writer_epoch))
        result = submit(*arguments)
        if len(epochs) == 1:
            redis.set(KEYS.writer, "the next writer", px=3_000)
            redis.incr(KEYS.writer_epoch)
            eventually(lambda: keeper.lost)
            keeper._runs_out = time.monotonic()
        return result

    monkeypatch.setattr("services.mempool.handlers.submit", paused_at_first)
    assert isinstance(instance.broker.request(TxSubmitted(txs=("00",)), timeout=30), TxVerdicts)
    assert epochs == [b"1", b"3"]


def test_requests_wait_for_a_writer_and_are_not_lost(start, redis: redis_py.Redis, redis_url: str) -> None:
    redis.set(KEYS.writer, "a writer that has just died", px=700)
    instance = start()
    assert [verdict.accepted for verdict in submit_blocks(instance.broker, 2)] == [True, True]


def test_a_store_that_is_full_loses_no_block(redis_url: str) -> None:
    for server in run_server(redis_server):
        instance = Instance(server.url, f"test-bus-{uuid.uuid4().hex}", bus_url=redis_url)
        with redis_py.Redis.from_url(server.url) as operator, ThreadPoolExecutor() as threads:
            try:
                assert submit_blocks(instance.broker, 1)[0].accepted
                operator.config_set("maxmemory", "1")
                asked = threads.submit(submit_blocks, instance.broker, 2)
                eventually(lambda: _refusals(operator) > DELIVERY_LIMIT)
                assert not asked.done()
                operator.config_set("maxmemory", "0")
                assert [verdict.reason for verdict in asked.result()] == ["duplicate", ""]
            finally:
                instance.close()


@pytest.fixture
def own_redis() -> Iterator[str]:
    """URL of a Redis that a test may spoil."""
    for server in run_server(redis_server):
        yield server.url


def test_after_a_failover_of_redis_events_are_published_and_the_lease_is_held(redis_url: str, own_redis: str) -> None:
    instance = Instance(own_redis, f"test-bus-{uuid.uuid4().hex}", bus_url=redis_url)
    with redis_py.Redis.from_url(own_redis) as operator:
        try:
            assert submit_blocks(instance.broker, 1)[0].accepted
            operator.replicaof("127.0.0.1", "1")
            refused = _refusals(operator, "READONLY")
            eventually(lambda: _refusals(operator, "READONLY") > refused + 2, 20)
            operator.replicaof("NO", "ONE")
            assert [verdict.reason for verdict in submit_blocks(instance.broker, 3)] == ["duplicate", "", ""]
            eventually(lambda: operator.get(KEYS.relayed) == b"3")
            assert 0 < operator.pttl(KEYS.writer) <= TIME_LIMIT * 1000
            eventually(lambda: not (instance.writer.trouble() or instance.writer.outbox_trouble()))
        finally:
            instance.close()


def test_a_wrong_command_ends_the_writer_and_is_not_tried_again(
    redis: redis_py.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.lpush(KEYS.tip, "no hash")
    stop = ExitFlag()
    with pytest.raises(redis_py.ResponseError, match="WRONGTYPE"):
        Writer(Settings(redis_url=redis_url), REGTEST, ClaimRouter(FakeBroker()), stop).run()
    stop.set()


def test_a_writer_and_a_standby_are_ready_and_say_so(start) -> None:
    instances = [start(), start()]
    eventually(lambda: not any(instance.writer.trouble() for instance in instances))
    assert not any(instance.writer.outbox_trouble() for instance in instances)


def test_a_writer_without_redis_says_what_it_waits_for() -> None:
    stop = ExitFlag()
    writer = Writer(Settings(redis_url="redis://127.0.0.1:1"), REGTEST, ClaimRouter(FakeBroker()), stop)
    assert writer.trouble() == "it has not asked for the lease yet"
    thread = threading.Thread(target=writer.run)
    thread.start()
    eventually(lambda: writer.trouble() == "Redis is away: ConnectionError")
    stop.set()
    thread.join(20)


def test_facts_that_wait_too_long_are_trouble_until_they_are_published(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.mempool.outbox.STALE_SECONDS", 0.2)
    chain.mine(1)
    broker, stop = FakeBroker(), ExitFlag()
    broker.away = True
    outbox = Outbox(chain.client, KEYS, broker, stop)
    assert not outbox.trouble()
    outbox.start()
    eventually(outbox.trouble)
    assert outbox.trouble().startswith("facts have waited 0 s to be published: the fake broker")
    broker.away = False
    eventually(lambda: not outbox.trouble())
    assert outbox.waiting() == 0
    stop.set()
    outbox.join()


def _refusals(operator: redis_py.Redis, code: str = "OOM") -> int:
    return operator.info("errorstats").get(f"errorstat_{code}", {}).get("count", 0)


def test_a_reply_comes_after_the_commit(start, redis: redis_py.Redis) -> None:
    instance = start()
    for verdict in submit_blocks(instance.broker, 101):
        assert verdict.accepted
    chain_height = int(redis.hget(KEYS.tip, "height"))
    assert chain_height == 101
    block = make_block(REGTEST.genesis.header, 1, p2wpkh(key("miner")))
    tx = pay(output_of(block.transactions[0], 0, key("miner")), key("alice"), 1_000)
    reply = instance.broker.request(TxSubmitted(txs=(tx.serialize().hex(),)), timeout=10)
    assert isinstance(reply, TxVerdicts)
    assert reply.verdicts[0].accepted, reply
    assert redis.hexists(KEYS.pool_txs, tx.txid)


def test_facts_reach_every_listener_in_order_with_their_seq(start, redis: redis_py.Redis) -> None:
    instance = start()
    consumer = instance.broker.consumer([transient_queue("test", *FACTS)])
    submit_blocks(instance.broker, 5)
    heard: list[events.Message] = []

    def listen() -> bool:
        deliveries = consumer.receive(100, 0.1)
        heard.extend(events.decode(delivery.type, delivery.body) for delivery in deliveries)
        consumer.ack(deliveries)
        return len(heard) >= 5

    eventually(listen)
    assert [(message.seq, message.height) for message in heard] == [(n, n) for n in range(1, 6)]


def test_events_that_were_committed_and_not_published_are_published_later(chain: Chain) -> None:
    chain.mine(3)
    broker = FakeBroker()
    outbox = Outbox(chain.client, KEYS, broker, ExitFlag())
    broker.away = True
    with pytest.raises(BrokerUnavailable):
        outbox.relay()
    assert chain.client.get(KEYS.relayed) is None
    broker.away = False
    chain.mine(1)
    assert Outbox(chain.client, KEYS, broker, ExitFlag()).relay() == 4
    assert [message.seq for message in broker.published] == [1, 2, 3, 4]
    assert outbox.relay() == 0
    assert chain.client.get(KEYS.relayed) == b"4"


def test_events_that_come_close_together_are_published_together(chain: Chain) -> None:
    class Gathering(ExitFlag):
        """A flag that keeps the outbox waiting for more events until the test lets it go on."""

        def __init__(self) -> None:
            super().__init__()
            self.gathers, self.enough = threading.Event(), threading.Event()

        def wait(self, seconds: float | None = None) -> bool:
            assert seconds == GATHER_SECONDS
            self.gathers.set()
            return self.enough.wait(20) and self.is_set()

    batches: list[int] = []
    broker, stop = FakeBroker(), Gathering()
    broker.publish_many = lambda messages, traceparents: batches.append(len(messages))  # type: ignore[method-assign]
    outbox = Outbox(chain.client, KEYS, broker, stop)
    outbox.start()
    chain.mine(1)
    assert stop.gathers.wait(20)
    chain.mine(3)
    assert batches == [1], "the first does not wait"
    stop.enough.set()
    eventually(lambda: batches == [1, 3])
    stop.set()
    outbox.join()


def test_the_outbox_publishes_each_event_with_the_traceparent_of_its_request(chain: Chain) -> None:
    given = trace.new()
    with trace.within(given):
        chain.mine(1)
    old = {"topic": "block.connected", "body": b'{"hash":"00","height":1,"time":1,"tx_count":1}'}
    chain.client.xadd(KEYS.events, old, id="9-0")  # written by a version that knew no traces
    broker = FakeBroker()
    assert Outbox(chain.client, KEYS, broker, ExitFlag()).relay() == 2
    first, second = broker.traceparents
    assert first == given
    assert trace.parse(second) == second not in ("", given)


def test_published_events_are_kept_for_a_while_only(chain: Chain) -> None:
    with chain.client.pipeline() as pipe:
        for seq in range(1, KEEP_EVENTS + 3_000):
            body = b'{"hash":"00","height":1,"time":1,"tx_count":1}'
            pipe.xadd(KEYS.events, {"topic": "block.connected", "body": body}, id=f"{seq}-0")
        pipe.execute()
    outbox = Outbox(chain.client, KEYS, FakeBroker(), ExitFlag())
    while outbox.relay():
        pass
    assert KEEP_EVENTS <= chain.client.xlen(KEYS.events) < KEEP_EVENTS + 500


def test_only_one_lease_is_given_and_each_has_a_new_epoch(redis: redis_py.Redis) -> None:
    first, second = Lease(redis, KEYS), Lease(redis, KEYS)
    assert first.take() == 1
    assert second.take() is None
    assert not second.renew()
    second.release()
    assert first.renew()
    assert 0 < redis.pttl(KEYS.writer) <= TIME_LIMIT * 1000
    first.release()
    assert second.take() == 2
    assert not first.renew()


def test_a_lease_that_ran_out_is_taken_again_unless_another_has_it(redis: redis_py.Redis) -> None:
    stop = ExitFlag()
    keeper = LeaseKeeper(Lease(redis, KEYS), stop)
    assert keeper.take()
    assert keeper.hold() == 1
    redis.delete(KEYS.writer)
    eventually(lambda: keeper.lost)
    assert keeper.hold() == 2
    assert not keeper.lost
    redis.set(KEYS.writer, "another")
    with pytest.raises(StaleWriter):
        keeper.hold()
    stop.set()


def test_a_writer_that_stops_leaves_no_lease_behind(start, redis: redis_py.Redis) -> None:
    first = start()
    eventually(lambda: redis.exists(KEYS.writer))
    first.close()
    assert not redis.exists(KEYS.writer)
    first.close = lambda: None  # type: ignore[method-assign]
