"""Both backends behind one fixture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from shared.bus.broker import Broker
from shared.bus.rabbit import RabbitBroker
from shared.bus.redis_streams import RedisStreamsBroker
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


@dataclass(frozen=True)
class CrashableBackend(Backend):
    server: Server


@pytest.fixture(params=BACKENDS)
def crashable(request: pytest.FixtureRequest) -> Iterator[CrashableBackend]:
    """A backend on a server of the test's own, which it may crash and start again."""
    for server in run_server(rabbitmq_server if request.param == "rabbit" else redis_server):
        with contextlib.ExitStack() as stack:
            yield CrashableBackend(request.param, server.url, stack, server)
