"""A Redis that is full, a replica, away or strict: the store's client says so, and keeps a wrong command apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis as redis_py

from shared.chain.commit import Committer, Delta
from shared.chain.redis_keys import Keys
from shared.chain.store import connect
from shared.chain.view import ChainView
from shared.errors import StoreUnavailable
from tests.conftest import run_server
from tests.servers import Server, redis_server

Call = Callable[[Any], object]

KEYS = Keys("regtest")


def command(client: Any) -> object:
    return client.set("key", "value")


def pipeline(client: Any) -> object:
    return client.pipeline(transaction=False).set("key", "value").get("key").execute()


def transaction(client: Any) -> object:
    return client.pipeline().set("key", "value").get("key").execute()


def watched(client: Any) -> object:
    with client.pipeline() as pipe:
        pipe.watch("key")
        pipe.set("key", "value")
        return pipe.get("key")


def script(client: Any) -> object:
    return client.register_script("return redis.call('SET', KEYS[1], ARGV[1])")(keys=["key"], args=["value"])


def commit(client: Any) -> object:
    return Committer(client, KEYS, 0, b"", 0).commit(Delta(clock=1))


WRITES = [command, pipeline, transaction, watched, script, commit]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    yield from run_server(redis_server)


@pytest.fixture
def operator(server: Server) -> Iterator[redis_py.Redis]:
    """A plain client of a server that is as it was at its start, to make it worse with."""
    with redis_py.Redis.from_url(server.url) as client:
        client.flushall()
        yield client
        client.replicaof("NO", "ONE")
        for name, value in (("maxmemory", "0"), ("min-replicas-to-write", "0"), ("replica-serve-stale-data", "yes")):
            client.config_set(name, value)


@pytest.mark.parametrize("write", WRITES)
def test_a_full_server_is_unavailable(server: Server, operator: redis_py.Redis, write: Call) -> None:
    operator.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match=r"^Redis refuses: OOM command not allowed"):
        write(connect(server.url))


@pytest.mark.parametrize("write", WRITES)
def test_a_replica_is_unavailable(server: Server, operator: redis_py.Redis, write: Call) -> None:
    operator.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreUnavailable, match=r"^Redis refuses: READONLY You can't write against a read only replica"):
        write(connect(server.url))


@pytest.mark.parametrize("write", WRITES)
def test_a_server_without_the_replicas_it_wants_is_unavailable(
    server: Server, operator: redis_py.Redis, write: Call
) -> None:
    operator.config_set("min-replicas-to-write", "1")
    with pytest.raises(StoreUnavailable, match=r"^Redis refuses: NOREPLICAS "):
        write(connect(server.url))


def test_a_replica_that_lost_its_master_is_unavailable_to_readers(server: Server, operator: redis_py.Redis) -> None:
    operator.config_set("replica-serve-stale-data", "no")
    operator.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreUnavailable, match=r"^Redis refuses: MASTERDOWN "):
        ChainView(connect(server.url), KEYS).tip()


@pytest.mark.parametrize("write", WRITES)
def test_a_user_without_the_permission_is_refused(server: Server, operator: redis_py.Redis, write: Call) -> None:
    reads = ["+@read", "+ping", "+evalsha", "+script", "+multi", "+exec", "+watch", "+unwatch"]
    operator.acl_setuser("reader", enabled=True, passwords=["+not-a-secret-4711"], commands=reads, keys=["*"])
    client = connect(server.url.replace("redis://", "redis://reader:not-a-secret-4711@"))
    with pytest.raises(
        StoreUnavailable,
        match=r"^Redis refuses: (NOPERM (this u|U)ser|The user executing the script|ACL failure in script)",
    ):
        write(client)


def test_a_wrong_password_is_refused_and_not_shown(server: Server, operator: redis_py.Redis) -> None:
    client = connect(server.url.replace("redis://", "redis://reader:hunter2@"))
    with pytest.raises(StoreUnavailable, match=r"^Redis refuses: WRONGPASS ") as caught:
        client.get("key")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("write", WRITES)
def test_a_server_that_is_away_is_unavailable_until_it_is_back(write: Call) -> None:
    for server in run_server(redis_server):
        client = connect(server.url)
        server.kill()
        with pytest.raises(StoreUnavailable, match=r"^Redis is away: ConnectionError$") as caught:
            write(client)
        assert caught.value.__suppress_context__
        server.start()
        assert client.ping()


def read_many(client: Any) -> object:
    return client.pipeline(transaction=False).hget("hash", "field").get("key").execute()


@pytest.mark.parametrize("read", [lambda client: client.get("key"), read_many])
def test_reads_fail_while_the_server_is_away_and_go_on_at_once_when_it_is_back(read: Call) -> None:
    for server in run_server(redis_server):
        client = connect(server.url)
        before = read(client)
        server.kill()
        with pytest.raises(StoreUnavailable, match=r"^Redis is away: ConnectionError$"):
            read(client)
        server.start()
        assert read(client) == before
        server.kill()
        server.start()
        assert read(client) == before, "nobody has noticed the restart"


def test_a_script_that_the_server_has_lost_is_loaded_again(server: Server, operator: redis_py.Redis) -> None:
    client = connect(server.url)
    write: Any = client.register_script("return redis.call('SET', KEYS[1], ARGV[1])")
    assert write(keys=["key"], args=["value"]) == b"OK"
    operator.script_flush()
    assert write(keys=["key"], args=["value"]) == b"OK"


def wrong_command(client: Any) -> object:
    return client.get("list")


def wrong_pipeline(client: Any) -> object:
    return client.pipeline(transaction=False).set("key", "caused error: MISCONF ").get("list").execute()


def wrong_reads(client: Any) -> object:
    return client.pipeline(transaction=False).hget("hash", "caused error: MISCONF ").get("list").execute()


def wrong_transaction(client: Any) -> object:
    return client.pipeline().set("key", "caused error: MISCONF ").get("list").execute()


def wrong_script(client: Any) -> object:
    return client.register_script("return redis.call('GET', KEYS[1])")(keys=["list"])


@pytest.mark.parametrize("read", [wrong_command, wrong_pipeline, wrong_reads, wrong_transaction, wrong_script])
def test_a_wrong_command_stays_an_error_of_its_own(server: Server, operator: redis_py.Redis, read: Call) -> None:
    operator.lpush("list", "item")
    with pytest.raises(redis_py.ResponseError, match="WRONGTYPE Operation against a key") as caught:
        read(connect(server.url))
    assert "MISCONF" not in str(caught.value)
    assert [note.split(" ")[0:2] for note in getattr(caught.value, "__notes__", [])] in ([], [["command", "2"]])
