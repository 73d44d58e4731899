"""Opens clients of the Redis that a URL names: a server, or the primary that Sentinels name.

| URL | |
|---|---|
| `redis://user:password@host:6379/0` | one server; `rediss://` with TLS |
| `unix:///path/of/socket?db=0` | one server of this machine |
| `redis+sentinel://user:password@host:26379,host:26379/primary/0` | `rediss+sentinel://` with TLS to all |

Store and embedded bus use the same URL, and this module, with clients and timeouts of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection, parse_url
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from shared.errors import ConfigError
from shared.servers.redis_errors import NoPrimary, why_away
from shared.servers.url import REDIS_PORTS, TLS_FILES, ServerUrl, parse_server_url

C = TypeVar("C", bound=redis.Redis)

SENTINEL_TIMEOUT = 1.0
"""Seconds to wait for a Sentinel before the next one is asked."""
FAILOVER_TIMEOUT = 5.0
"""The most seconds to wait for an answer of a primary that can be replaced; a single server may get more."""

_WHAT = "the Redis URL"
_OPTIONS = dict(zip(TLS_FILES, ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"), strict=True))
"""redis-py's names of the PEM files."""


def open_redis(url: str, client_class: type[C], **options: Any) -> C:
    """Return a client for `url`, which connects when first used; the URL's query goes before `options`.

    Raises `ConfigError`, which shows no password, for a malformed URL.
    """
    try:
        if url.startswith("unix:"):
            return client_class.from_url(url, **options)  # type: ignore[return-value]
        pool = _pool(parse_server_url(url, REDIS_PORTS, _WHAT), options)
    except ValueError:
        raise ConfigError(f"{_WHAT} is malformed (not shown: it may hold a password)") from None
    return client_class.from_pool(pool)  # type: ignore[return-value]


class _SentinelClient(redis.Redis):
    """A client of one Sentinel, which keeps the error of the last command which says why no primary is known."""

    error: redis.RedisError | None = None

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.error = None
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            self.error = error
            raise


class _Sentinels(Sentinel):
    """The Sentinels of a URL; if none names a primary, the error says why."""

    def __init__(self, addresses: Sequence[tuple[str, int]], **options: Any) -> None:
        super().__init__([], sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        self.sentinels: list[redis.Redis] = [_SentinelClient(host, port, **options) for host, port in addresses]

    def discover_master(self, service_name: str) -> Any:
        try:
            return super().discover_master(service_name)  # type: ignore[no-untyped-call]
        except MasterNotFoundError:
            errors = [each.error for each in self.sentinels if isinstance(each, _SentinelClient) and each.error]
            raise NoPrimary(service_name, [why_away(error) for error in errors]) from None


def _pool(server: ServerUrl, options: dict[str, Any]) -> ConnectionPool:
    has_tls = server.scheme.startswith("rediss")
    if not has_tls and any(name in server.query for name in TLS_FILES):
        raise ConfigError(f"{_WHAT} names certificates, and does not ask for TLS: rediss://…")
    query: dict[str, Any] = parse_url(f"redis://?{urlencode(server.query)}")  # type: ignore[no-untyped-call]
    asked = {_OPTIONS.get(name, name): value for name, value in query.items()}
    login = {"username": server.username, "password": server.password}
    if server.scheme.endswith("+sentinel"):
        return _pool_by_sentinels(server, options, login, asked)
    if len(server.addresses) > 1:
        raise ConfigError(f"{_WHAT}: a list of hosts is one of Sentinels: redis+sentinel://…/primary/0")
    host, port = server.addresses[0]
    place = {"host": host, "port": port, "db": int(server.path.strip("/") or 0)}
    connection = SSLConnection if has_tls else Connection
    return ConnectionPool(connection_class=connection, **(options | place | login | asked))


def _pool_by_sentinels(
    server: ServerUrl, options: dict[str, Any], login: dict[str, Any], asked: dict[str, Any]
) -> ConnectionPool:
    """Return connections to the primary; each new one asks the Sentinels where it is."""
    name, _, database = server.path.rstrip("/").partition("/")
    if not name:
        raise ConfigError(
            f"{_WHAT} lacks the name that the Sentinels know the primary by: redis+sentinel://…/primary/0"
        )
    to_sentinels = {
        "username": asked.pop("sentinel_username", None),
        "password": asked.pop("sentinel_password", None),
        "socket_timeout": SENTINEL_TIMEOUT,
        "socket_connect_timeout": SENTINEL_TIMEOUT,
    }
    tls = {"ssl": True} if server.scheme.startswith("rediss") else {}
    tls |= {option: value for option, value in asked.items() if option.startswith("ssl_")}
    patience = {
        limit: min(options[limit], FAILOVER_TIMEOUT)
        for limit in ("socket_timeout", "socket_connect_timeout")
        if limit in options
    }
    no_retry = {"retry": Retry(NoBackoff(), 0)}  # redis-py tries the same server again, without asking the Sentinels
    sentinels = _Sentinels(server.addresses, **(to_sentinels | tls))
    place = {"db": int(database or 0)}
    chosen = options | patience | no_retry | place | login | tls | asked
    return SentinelConnectionPool(name, sentinels, **chosen)  # type: ignore[no-untyped-call]
