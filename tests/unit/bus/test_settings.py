"""Opening the bus: its backend, name and timeouts, and the classification of its errors."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator

import pytest
import redis
from redis._parsers.base import BaseParser

from shared.bus import open_broker
from shared.bus.events import BY_TOPIC, Request, TxSubmitted
from shared.bus.rabbit import link as rabbit_link
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.rabbit.parameters import parameters
from shared.bus.redis_streams import broker as redis_streams
from shared.bus.redis_streams.client import bus_errors, open_client
from shared.bus.topics import CLAIMS, FACTS, Topic, transient_queue
from shared.config import Settings
from shared.errors import BrokerError, BrokerUnavailable, ConfigError
from shared.process.backoff import backoff


@pytest.mark.parametrize(
    ("chain", "prefix"),
    [("regtest", "warren-bus:regtest"), ("/etc/warren/team.toml", "warren-bus:team"), ("team.toml", "warren-bus:team")],
)
def test_chains_that_share_a_redis_have_a_bus_each(chain: str, prefix: str) -> None:
    with contextlib.closing(
        open_broker.connect(Settings(chain=chain, redis_url="redis://127.0.0.1:1/0"), "any")
    ) as broker:
        assert isinstance(broker, redis_streams.RedisStreamsBroker)
        assert broker._keys.queue("q") == f"{prefix}:queue:q"


def test_a_command_fails_within_seconds_and_is_never_sent_twice() -> None:
    """A script that was sent again after its answer was lost would publish twice."""
    options = open_client("redis://127.0.0.1:1/0").connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (10.0, 3.0)
    assert options["socket_keepalive"]
    assert options["retry"].get_retries() == 0


def test_an_outage_of_the_server_is_one_of_the_broker() -> None:
    with pytest.raises(BrokerUnavailable, match=r"^Redis refuses: OOM ") as caught, bus_errors():
        raise BaseParser.parse_error("OOM command not allowed when used memory > 'maxmemory'.")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_command_that_is_wrong_is_no_outage() -> None:
    error = redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
    redis.Redis().pipeline().annotate_exception(error, 1, ("XADD", "body"))
    with pytest.raises(BrokerError, match=r"^Redis: WRONGTYPE ") as caught, bus_errors():
        raise error
    assert not isinstance(caught.value, BrokerUnavailable)


def test_what_a_script_appends_at_once_is_bounded_and_nothing_is_lost() -> None:
    def chunks(sizes: list[int]) -> Iterator[list[int]]:
        messages = [TxSubmitted(txs=("a" * (size - len('{"txs":[""]}')),)) for size in sizes]
        ids = [str(place) for place in range(len(sizes))]
        for chunk in redis_streams._chunks(messages, [f"p{id_}" for id_ in ids], ids):
            assert {topic for topic, _, _, _ in chunk} == {"tx.submitted"}
            assert [traceparent for _, traceparent, _, _ in chunk] == [f"p{id_}" for _, _, id_, _ in chunk]
            assert [len(body) for _, _, _, body in chunk] == [sizes[int(id_)] for _, _, id_, _ in chunk]
            yield [int(id_) for _, _, id_, _ in chunk]

    limit, size = redis_streams._CHUNK_MESSAGES, redis_streams._CHUNK_BYTES
    assert (limit, size) == (256, 1 << 20)
    assert list(chunks([])) == []
    assert [len(chunk) for chunk in chunks([20] * limit)] == [limit]
    assert [chunk[0] for chunk in chunks([20] * (2 * limit + 1))] == [0, limit, 2 * limit]
    assert list(chunks([size, 20])) == [[0], [1]]
    assert list(chunks([size - 1, 20, 20])) == [[0, 1], [2]]


# ── RabbitMQ's ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_connection_that_is_dead_is_noticed_and_a_url_may_say_otherwise() -> None:
    (ours,) = parameters("amqp://u:p@127.0.0.1:5672/%2F")
    assert (ours.heartbeat, ours.blocked_connection_timeout, ours.socket_timeout, ours.stack_timeout) == (20, 60, 5, 8)
    assert ours.client_properties == {"connection_name": "warren"}
    (theirs,) = parameters(
        "amqp://127.0.0.1/%2F?heartbeat=5&blocked_connection_timeout=7&socket_timeout=3&stack_timeout=4"
    )
    assert (theirs.heartbeat, theirs.blocked_connection_timeout) == (5, 7)
    assert (theirs.socket_timeout, theirs.stack_timeout) == (3, 4)


def test_a_server_that_is_back_is_found_before_a_publisher_gives_up() -> None:
    patience = inspect.signature(RabbitBroker.__init__).parameters["patience"].default
    assert backoff(100, cap=rabbit_link._RECONNECT_CAP, jitter=1.0) < patience / 2 <= 2.5


def test_a_malformed_url_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match="malformed") as caught:
        open_broker.connect(Settings(broker="rabbitmq", amqp_url="amqp://someone:hunter2@127.0.0.1:no-port/"), "any")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


# ── topics ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("claim", CLAIMS)
def test_nobody_listens_in_on_claims(claim: Topic) -> None:
    with pytest.raises(ValueError, match=claim):
        transient_queue("page", Topic.BLOCK_CONNECTED, claim)


def test_the_claims_and_nothing_else_are_requests() -> None:
    assert {topic for topic, message in BY_TOPIC.items() if issubclass(message, Request)} == set(CLAIMS)


def test_a_process_has_a_queue_of_its_own_that_does_not_stay() -> None:
    first, second = (transient_queue("page", *FACTS) for _ in range(2))
    assert first.name != second.name
    assert (first.topics, first.durable) == (FACTS, False)
    assert first.name.startswith("page.")
