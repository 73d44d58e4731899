"""How the embedded bus talks to Redis: one client with bounded waits, its scripts, and errors of our own.

No retries and no RESP3 here: the bus decides itself when to try again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from shared.errors import BrokerError, BrokerUnavailable
from shared.servers.open_redis import open_redis
from shared.servers.redis_errors import outage, server_message

GROUP = "warren"
"""The consumer group of every queue."""
GIVEN_BACK = "-"
"""The consumer that holds messages waiting for another try."""

_SCRIPTS = Path(__file__).parent / "lua"


def open_client(url: str) -> redis.Redis:
    """Return a client that answers or fails within seconds; connects when first used."""
    keepalive = {} if url.startswith("unix:") else {"socket_keepalive": True}  # redis-py refuses it for a Unix socket
    return open_redis(
        url,
        redis.Redis,
        protocol=2,
        socket_timeout=10.0,
        socket_connect_timeout=3.0,
        retry=Retry(NoBackoff(), 0),
        **keepalive,
    )


@cache
def _source(name: str) -> str:
    return (_SCRIPTS / f"{name}.lua").read_text(encoding="utf-8")


class BusScripts:
    """The bus's scripts, loaded into the server when first used and again after it restarted."""

    def __init__(self, client: redis.Redis) -> None:
        self.declare: Script = client.register_script(_source("declare"))
        self.publish: Script = client.register_script(_source("publish"))
        self.take: Script = client.register_script(_source("take"))
        self.reclaim: Script = client.register_script(_source("reclaim"))
        self.replay: Script = client.register_script(_source("replay"))


@contextmanager
def bus_errors() -> Iterator[None]:
    """Raise an error of redis-py as `BrokerUnavailable` if it is an `outage` of the server, else as `BrokerError`."""
    try:
        yield
    except redis.RedisError as error:
        if reason := outage(error):
            raise BrokerUnavailable(reason) from None
        raise BrokerError(f"Redis: {server_message(error)}") from None
