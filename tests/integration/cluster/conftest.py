"""A whole cluster for each test; the servers are shared by the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.chain.store import connect
from tests.clusters import RedisCluster
from tests.conftest import run_server


@pytest.fixture(scope="module")
def redis_servers() -> Iterator[RedisCluster]:
    yield from run_server(RedisCluster)


@pytest.fixture
def redis_cluster(redis_servers: RedisCluster) -> Iterator[RedisCluster]:
    """A Redis primary with two replicas, empty; each server may be killed or paused."""
    redis_servers.revive()
    with connect(redis_servers.url) as client:
        client.flushall()
    yield redis_servers
    redis_servers.revive()
