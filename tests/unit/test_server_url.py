"""URLs of servers: lists of hosts, Sentinels, certificates; and no error that shows a password."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import redis
from redis.connection import Connection, SSLConnection
from redis.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection

from shared.bus import open_broker
from shared.bus.rabbit.link import RabbitLink
from shared.bus.rabbit.parameters import WORK_HEARTBEAT, parameters
from shared.chain.lease import TIME_LIMIT
from shared.chain.store import StoreClient, connect
from shared.config import Settings
from shared.errors import ConfigError
from shared.servers.open_redis import FAILOVER_TIMEOUT, SENTINEL_TIMEOUT, open_redis
from shared.servers.url import AMQP_PORTS, REDIS_PORTS, ServerUrl, parse_server_url

PASSWORD = "p%40ss%2C%2F%3Aword"
THREE = f"amqp://warren:{PASSWORD}@one:1001,two,[::1]:1003/my%2Fhost"
SENTINELS = f"redis+sentinel://warren:{PASSWORD}@one:1001,two,[::1]:1003/primary/2"


def test_a_list_of_hosts_is_read_with_ports_and_one_login():
    assert parse_server_url(f"{THREE}?heartbeat=7", AMQP_PORTS) == ServerUrl(
        scheme="amqp",
        addresses=(("one", 1001), ("two", 5672), ("::1", 1003)),
        username="warren",
        password="p@ss,/:word",
        path="my%2Fhost",
        query={"heartbeat": "7"},
    )


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://:password@10.0.0.1:7000/0", ("10.0.0.1", 7000)),
        ("redis://localhost", ("localhost", 6379)),
        ("redis:///3", ("127.0.0.1", 6379)),
        ("rediss+sentinel://localhost/primary", ("localhost", 26379)),
        ("amqps://user:password@[::1]/vhost", ("::1", 5671)),
    ],
)
def test_where_a_server_listens_is_read_from_its_url(url, address):
    assert parse_server_url(url, AMQP_PORTS | REDIS_PORTS).addresses == (address,)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "one:1001",
        f"http://u:{PASSWORD}@one/",
        f"amqp://u:{PASSWORD}@one:no-port/",
        f"amqp://u:{PASSWORD}@one:0/",
        f"amqp://u:{PASSWORD}@one:70000,two/",
        f"amqp://u:{PASSWORD}@[::1/",
        f"amqp://u:{PASSWORD}@:1001@one:x/",
        f"amqp://u:{PASSWORD}@one/?novalue",
        f"amqp://u:{PASSWORD}@one/?heartbeat=1&heartbeat=2",
        f"amqp://u:{PASSWORD}@one/?cacertfile=/nowhere/ca.pem",
    ],
)
def test_a_malformed_url_is_refused_without_showing_it(url):
    with pytest.raises(ConfigError) as caught:
        parse_server_url(url, AMQP_PORTS, "--amqp-url")
    assert str(caught.value).startswith("--amqp-url")
    assert "ss" not in str(caught.value).replace("password", "")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_url_in_an_error_or_a_log_hides_password_and_query():
    shown = repr(parse_server_url(f"{SENTINELS}?sentinel_password=secret-word", REDIS_PORTS))
    assert "one" in shown
    assert "p@ss" not in shown
    assert "secret-word" not in shown


# ── RabbitMQ ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_host_of_a_cluster_gets_the_same_login_virtual_host_and_query():
    for found, place in zip(
        parameters(f"{THREE}?channel_max=9"), [("one", 1001), ("two", 5672), ("::1", 1003)], strict=True
    ):
        assert (found.host, found.port) == place
        assert (found.credentials.username, found.credentials.password) == ("warren", "p@ss,/:word")
        assert (found.virtual_host, found.channel_max) == ("my/host", 9)


def test_a_host_that_has_others_beside_it_is_given_up_sooner():
    (alone,) = parameters("amqp://one/")
    assert (alone.heartbeat, alone.socket_timeout, alone.stack_timeout) == (20, 5, 8)
    for found in parameters(THREE):
        assert (found.heartbeat, found.socket_timeout, found.stack_timeout) == (4, 2, 3)
    for found in parameters(f"{THREE}?heartbeat=30&socket_timeout=6&stack_timeout=9"):
        assert (found.heartbeat, found.socket_timeout, found.stack_timeout) == (30, 6, 9)


def test_what_a_silent_process_holds_comes_free_within_the_writers_lease():
    """RabbitMQ closes a connection after two heartbeats of silence."""
    assert 2 * WORK_HEARTBEAT < TIME_LIMIT
    assert {found.heartbeat for found in parameters(THREE, heartbeat=WORK_HEARTBEAT)} == {WORK_HEARTBEAT}
    assert {found.heartbeat for found in parameters(f"{THREE}?heartbeat=9", heartbeat=WORK_HEARTBEAT)} == {9}


def test_connections_begin_at_different_hosts_and_then_try_all_in_turn():
    tried = []
    for _ in range(200):
        link = RabbitLink(parameters(THREE), "test", lambda _: None, lambda _: None)
        link._loop.close()
        tried.append((link._params.host, *(next(link._hosts).host for _ in range(3))))
    assert {first for first, *_ in tried} == {"one", "two", "::1"}
    assert all({*hosts} == {"one", "two", "::1"} and hosts[0] == hosts[3] for hosts in tried)


# ── Redis ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_is_reached_as_its_url_says():
    pool = connect(f"redis://warren:{PASSWORD}@one:7000/3?socket_timeout=4").connection_pool
    assert pool.connection_class is Connection
    assert (
        pool.connection_kwargs.items()
        >= {
            "host": "one",
            "port": 7000,
            "db": 3,
            "username": "warren",
            "password": "p@ss,/:word",
            "socket_timeout": 4.0,
        }.items()
    )


def test_sentinels_are_asked_for_the_primary_by_store_and_bus_alike():
    with contextlib.closing(open_broker.connect(Settings(redis_url=SENTINELS), "any")) as broker:
        for client in (connect(SENTINELS), broker._client):
            pool = client.connection_pool
            assert isinstance(pool, SentinelConnectionPool)
            assert pool.service_name == "primary"
            ours = {"username": "warren", "password": "p@ss,/:word", "db": 2, "socket_timeout": FAILOVER_TIMEOUT}
            assert pool.connection_kwargs.items() >= ours.items()
            assert pool.connection_kwargs["retry"].get_retries() == 0  # by another server, or not at all
            places = []
            for sentinel in pool.sentinel_manager.sentinels:
                options = sentinel.connection_pool.connection_kwargs
                places.append((options["host"], options["port"]))
                assert (options["username"], options["password"]) == (None, None)
                assert options["socket_timeout"] == options["socket_connect_timeout"] == SENTINEL_TIMEOUT
            assert places == [("one", 1001), ("two", 26379), ("::1", 1003)]
    assert isinstance(connect(SENTINELS), StoreClient)


def test_sentinels_have_a_login_and_certificates_of_their_own(tmp_path):
    pem = _file(tmp_path)
    url = SENTINELS.replace("redis", "rediss", 1)
    url += f"?sentinel_username=watch&sentinel_password=w%26rd&cacertfile={pem}&certfile={pem}&keyfile={pem}"
    pool = connect(url).connection_pool
    files = {"ssl_ca_certs": pem, "ssl_certfile": pem, "ssl_keyfile": pem}
    assert pool.connection_class is SentinelManagedSSLConnection
    assert pool.connection_kwargs.items() >= files.items()
    assert not pool.connection_kwargs.keys() & {"sentinel_username", "sentinel_password", "cacertfile"}
    for sentinel in pool.sentinel_manager.sentinels:
        options = sentinel.connection_pool.connection_kwargs
        assert sentinel.connection_pool.connection_class is SSLConnection
        assert options.items() >= (files | {"username": "watch", "password": "w&rd"}).items()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://one,two", "lacks the name"),
        ("redis+sentinel://one,two//0", "lacks the name"),
        ("redis+sentinel://one,two/primary/zero", "malformed"),
        ("redis://one,two/0", "a list of hosts"),
        ("redis://one/zero", "malformed"),
        ("redis://one/0?socket_timeout=hunter2", "malformed"),
        ("redis://one/0?cacertfile={pem}", "does not ask for TLS"),
        ("memcached://one/0", "starts with redis:// or rediss://"),
    ],
)
def test_a_redis_url_that_cannot_be_meant_is_refused(url, words, tmp_path):
    with pytest.raises(ConfigError, match=words) as caught:
        open_redis(url.format(pem=_file(tmp_path)), redis.Redis)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [("amqp://one/?cacertfile={pem}", "does not ask for TLS"), ("amqps://one/?cacertfile={pem}", "of no use")],
)
def test_certificates_that_cannot_be_meant_are_refused(url, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        parameters(url.format(pem=_file(tmp_path)))


def _file(folder: Path) -> str:
    path = folder / "not-a-certificate.pem"
    path.write_text("nothing\n")
    return str(path)
