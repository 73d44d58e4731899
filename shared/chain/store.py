"""The connection to Redis, and the checks that make it fit to hold a chain."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.backoff import backoff
from shared.chain.server_version import OLDEST, WANTED, parse_version
from shared.errors import StoreUnavailable, UnsafeStore
from shared.shutdown import ExitFlag

log = logging.getLogger(__name__)

SOCKET_TIMEOUT = 10.0
"""Seconds; longer than any script of ours runs."""


def connect(url: str) -> redis.Redis:
    """Return a client for `url`; it connects at the first command."""
    return redis.Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=SOCKET_TIMEOUT,
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[redis.ConnectionError],
        health_check_interval=30,
    )


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what the client raises when the server is away, starting or refusing into `StoreUnavailable`."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StoreUnavailable(f"Redis is away: {type(error).__name__}") from None
    except redis.ResponseError as error:
        # Replies that name a passing state of the server, not a mistake in the command.
        if str(error).startswith(("LOADING", "MASTERDOWN", "READONLY", "OOM", "MISCONF", "CLUSTERDOWN", "TRYAGAIN")):
            raise StoreUnavailable(f"Redis refuses: {error}") from None
        raise


def wait_for_server(client: redis.Redis, stop: ExitFlag) -> None:
    """Wait until the server answers, or `stop` is set, and check that it is fit: `UnsafeStore` if it is not."""
    failures = 0
    while not stop.is_set():
        try:
            check_server(client)
            return
        except StoreUnavailable as error:
            log.info("waiting for Redis: %s", error)
            stop.wait(backoff(failures))
            failures += 1


def check_server(client: redis.Redis) -> None:
    """Refuse a server that is too old or may throw keys away: `UnsafeStore`."""
    with store_errors():
        found = client.info()
    version = str(found.get("redis_version", "of no known version"))
    if parse_version(version) < OLDEST:
        raise UnsafeStore(f"needs {WANTED}; this is Redis {version}")
    policy = found.get("maxmemory_policy", "")
    if policy != "noeviction":
        raise UnsafeStore(f"this Redis may evict keys: maxmemory-policy is {policy!r}, it must be noeviction")
