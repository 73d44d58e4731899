"""Both backends behind one fixture."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pika
import pytest
import redis

from deploy.setup import topology
from shared.bus.broker import Broker
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.bus.topics import MEMPOOL_TXS, Queue
from tests.conftest import run_server
from tests.servers import Server, rabbitmq_server, redis_server

BACKENDS = [
    pytest.param("redis_streams", marks=pytest.mark.redis),
    pytest.param("rabbit", marks=pytest.mark.rabbitmq),
]


@dataclass(frozen=True)
class Backend:
    name: str
    url: str
    stack: contextlib.ExitStack

    def connect(self) -> Broker:
        """Return one more broker, as another process would have; closed after the test."""
        broker = open_broker(self.name, self.url)
        self.stack.callback(broker.close)
        return broker

    def without(self, queue: Queue) -> Backend:
        """Delete a durable queue."""
        if self.name == "rabbit":
            with contextlib.closing(pika.BlockingConnection(pika.URLParameters(self.url))) as connection:
                connection.channel().queue_delete(queue.name)
        return self


def open_broker(name: str, url: str) -> Broker:
    return RabbitBroker(url, patience=2.0) if name == "rabbit" else RedisStreamsBroker(url)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A backend with no queues yet."""
    request.getfixturevalue("rabbitmq" if request.param == "rabbit" else "redis")
    url = request.getfixturevalue("amqp_url" if request.param == "rabbit" else "redis_url")
    with contextlib.ExitStack() as stack:
        yield Backend(request.param, url, stack)


@pytest.fixture
def broker(backend: Backend) -> Broker:
    return backend.connect()


Connect = Callable[[], RedisStreamsBroker]


@pytest.fixture
def connect_embedded(redis: redis.Redis, redis_url: str) -> Iterator[Connect]:
    """Open one more embedded bus on an empty Redis, as another process would; closed after the test."""
    with contextlib.ExitStack() as stack:

        def connect() -> RedisStreamsBroker:
            return stack.enter_context(contextlib.closing(RedisStreamsBroker(redis_url)))

        yield connect


@pytest.fixture
def embedded(connect_embedded: Connect) -> RedisStreamsBroker:
    return connect_embedded()


@dataclass(frozen=True)
class CrashableBackend(Backend):
    server: Server


@pytest.fixture(scope="module", params=BACKENDS)
def crash_server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Server]]:
    """A server of the module's own, with its durable queues.

    RabbitMQ 3.10 does not find a quorum queue again that was declared only a second before a kill -9: it writes the
    queue into Ra's `names.dets` that much later, or when it stops in order. Without that entry, or without the queue's
    `config` file, the queue answers 541 INTERNAL_ERROR for good; losing `meta.dets` or the log does not break it so.
    """
    for server in run_server(rabbitmq_server if request.param == "rabbit" else redis_server):
        if request.param == "rabbit":
            topology.make(server.url)
        server.stop()
        server.start()
        yield request.param, server


@pytest.fixture
def crashable(crash_server: tuple[str, Server]) -> Iterator[CrashableBackend]:
    """A backend that the test may crash and start again, with no messages yet."""
    name, server = crash_server
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: print(server.log()))  # shown if the test fails: it tells how the server came back
        if name == "rabbit":
            connection = pika.BlockingConnection(pika.URLParameters(server.url))
            connection.channel().queue_purge(MEMPOOL_TXS.name)
            connection.close()
        else:
            with redis.Redis.from_url(server.url) as client:
                client.flushall()
        yield CrashableBackend(name, server.url, stack, server)
