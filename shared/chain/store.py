"""The connection to Redis, and the checks that make it fit to hold a chain."""

from __future__ import annotations

import logging
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from shared.chain.reads import READS, ReadingConnections
from shared.chain.server_version import OLDEST, WANTED, parse_version
from shared.errors import StoreUnavailable, UnsafeStore
from shared.process.backoff import backoff
from shared.process.shutdown import ExitFlag
from shared.servers.open_redis import open_redis
from shared.servers.redis_errors import outage

log = logging.getLogger(__name__)

SOCKET_TIMEOUT = 10.0
"""Seconds; no script of Warren's runs so long."""
REPLICA_PATIENCE = 1.0
"""Seconds in which replicas must have a change; they need milliseconds while they are well."""


class StoreClient(redis.Redis):
    """A client whose commands, scripts and pipelines raise `StoreUnavailable` while the server cannot do its work.

    A mistake in a command raises the error of redis-py.
    """

    replicas = 0
    """Number of replicas that must have a `change` before it counts as made."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reading = ReadingConnections(self.connection_pool)

    def close(self) -> None:
        """Close all connections that nobody uses."""
        self._reading.close()
        super().close()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its reply."""
        try:
            if args[0] in READS:
                return self._read(args, options)
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            if reason := outage(error):
                raise StoreUnavailable(reason) from None
            raise

    def _read(self, command: tuple[Any, ...], options: dict[str, Any]) -> Any:
        parse: Any = self.parse_response
        return self._reading.run(
            lambda connection, check_health: connection.send_command(*command, check_health=check_health),
            lambda connection: parse(connection, command[0], **options),
        )

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> StorePipeline:
        """Return a pipeline that raises `StoreUnavailable` as well."""
        pipe = StorePipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.reading = self._reading
        return pipe

    def change(self) -> StorePipeline:
        """Return a transaction that is made when `replicas` replicas have it; until then it is unavailable.

        If too few have it in time, it raises `StoreUnavailable`: the primary has the change, and may be lost with it.
        """
        pipe = self.pipeline()
        pipe.replicas = self.replicas
        return pipe


class StorePipeline(Pipeline):
    """A pipeline of `StoreClient`."""

    reading: ReadingConnections
    transaction: bool  # type: ignore[assignment]  # what the constructor sets, not redis-py's method of that name

    replicas = 0
    """Number of replicas that must have what it wrote, before `execute` returns."""

    def _execute_transaction(self, connection: Any, commands: Any, raise_on_error: Any) -> list[Any]:
        """Add WAIT, which counts the replicas that have everything that *this connection* wrote."""
        replies: list[Any] = super()._execute_transaction(connection, commands, raise_on_error)
        if self.replicas:
            connection.send_command("WAIT", self.replicas, int(REPLICA_PATIENCE * 1000))
            count = connection.read_response()
            if count < self.replicas:
                raise StoreUnavailable(f"{count} of {self.replicas} replicas of Redis have the change")
        return replies

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands and return their replies."""
        try:
            if self._only_reads():
                return self._read(raise_on_error)
            return super().execute(raise_on_error)
        except redis.RedisError as error:
            if reason := outage(error):
                raise StoreUnavailable(reason) from None
            raise

    def _only_reads(self) -> bool:
        is_plain = not (self.transaction or self.explicit_transaction or self.watching or self.scripts)
        return is_plain and all(command[0] in READS for command, _ in self.command_stack)

    def _read(self, raise_on_error: bool) -> list[Any]:
        if not self.command_stack:
            return []
        commands = [command for command, _ in self.command_stack]

        def send(connection: Any, check_health: bool) -> None:
            connection.send_packed_command(connection.pack_commands(commands), check_health=check_health)

        try:
            return self.reading.run(send, lambda connection: self._replies(connection, raise_on_error))
        finally:
            self.reset()

    def _replies(self, connection: Any, raise_on_error: bool) -> list[Any]:
        replies: list[Any] = []
        for command, options in self.command_stack:
            try:
                replies.append(self.parse_response(connection, command[0], **options))  # type: ignore[no-untyped-call]
            except redis.ResponseError as error:
                replies.append(error)
        if raise_on_error:
            self.raise_first_error(self.command_stack, replies)  # type: ignore[no-untyped-call]
        return replies

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its reply: WATCH, and reads between it and MULTI."""
        try:
            return super().immediate_execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            if reason := outage(error):
                raise StoreUnavailable(reason) from None
            raise

    def annotate_exception(self, exception: Exception, number: int, command: Any) -> None:
        """Name the failed command in a note to the error, without its arguments, and keep the server's message."""
        exception.add_note(f"command {number} of the pipeline: {command[0]}")


def connect(url: str, replicas: int = 0, timeout: float = SOCKET_TIMEOUT) -> StoreClient:
    """Return a client for `url`, whose changes wait for `replicas` replicas; it connects at the first command.

    `timeout`: seconds to wait for an answer.
    """
    client = open_redis(
        url,
        StoreClient,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[redis.ConnectionError],
        health_check_interval=30,
    )
    client.replicas = replicas
    return client


def wait_for_server(client: StoreClient, stop: ExitFlag) -> None:
    """Wait until the server answers or `stop` is set, then check it; raises `UnsafeStore` if it must hold no chain."""
    failures = 0
    while not stop.is_set():
        try:
            check_server(client)
            return
        except StoreUnavailable as error:
            log.info("waiting for Redis: %s", error)
            stop.wait(backoff(failures))
            failures += 1


def check_writable(client: StoreClient, key: str) -> None:
    """Raise `StoreUnavailable` if a change could not be made: the server is full, a replica, or lacks replicas.

    Writing no bytes into the string `key`, which may not exist, changes nothing, and is refused when a write would be.
    With `replicas` it then waits, up to `REPLICA_PATIENCE`, until so many have everything that the server has.
    """
    pipe = client.change()
    pipe.setrange(key, 0, "")
    pipe.execute()


def check_server(client: redis.Redis) -> None:
    """Raise `UnsafeStore` for a server that is too old or may evict keys."""
    found: dict[str, Any] = client.info()
    version = str(found.get("redis_version", "of no known version"))
    if parse_version(version) < OLDEST:
        raise UnsafeStore(f"needs {WANTED}; this is Redis {version}")
    policy = found.get("maxmemory_policy", "")
    if policy != "noeviction":
        raise UnsafeStore(f"this Redis may evict keys: maxmemory-policy is {policy!r}, it must be noeviction")
