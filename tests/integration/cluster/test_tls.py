"""TLS to Redis, Sentinels and RabbitMQ by an authority of our own: both sides show certificates, wrong ones fail."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from deploy.errors import LaunchError
from deploy.launcher.preflight import check_rabbitmq, check_redis
from deploy.setup import topology
from shared.bus.broker import Broker
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.bus.topics import MEMPOOL_TXS
from shared.chain.store import connect
from shared.errors import BrokerUnavailable, StoreUnavailable
from tests.certificates import Authority, Certificate
from tests.clusters import RedisCluster
from tests.conftest import run_server
from tests.integration.bus.helpers import answering, tx, until, verdict
from tests.servers import NativeRabbitMQ, NativeRedis, NoServer, uses_docker

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Trust:
    """What the servers use, and what clients have: right, or wrong in one respect."""

    authority: Authority
    server: Certificate
    client: Certificate
    other: Authority
    stranger: Certificate

    def query(self, authority: Authority | None = None, client: Certificate | None = None) -> str:
        """Return a URL's parameters, with our authority and client unless others are given."""
        chosen = client or self.client
        trusted = (authority or self.authority).file
        return f"?cacertfile={trusted}&certfile={chosen.certificate}&keyfile={chosen.key}"

    def redis_settings(self) -> list[str]:
        return [
            "port 0",
            "tls-port {port}",
            f"tls-ca-cert-file {self.authority.file}",
            f"tls-cert-file {self.server.certificate}",
            f"tls-key-file {self.server.key}",
            "tls-replication yes",
        ]

    def rabbitmq_settings(self) -> str:
        return (
            "listeners.tcp = none\nlisteners.ssl.default = 127.0.0.1:{port}\n"
            f"ssl_options.cacertfile = {self.authority.file}\n"
            f"ssl_options.certfile = {self.server.certificate}\nssl_options.keyfile = {self.server.key}\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true"
        )


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    folder: Path = tmp_path_factory.mktemp("certificates")
    authority, other = Authority(folder), Authority(folder, "other")
    server = authority.issue("server", "127.0.0.1")
    return Trust(authority, server, authority.issue("client"), other, other.issue("stranger"))


def _native(make: Callable[[], S]) -> S:
    if uses_docker():
        raise NoServer("certificates are given to native servers: WARREN_TEST_SERVERS=native")
    return make()


@pytest.fixture(scope="module")
def redis_tls(trust: Trust) -> Iterator[str]:
    """URL of a Redis that speaks TLS only and asks for a certificate, without parameters."""
    options = [word for line in trust.redis_settings() for word in f"--{line}".split(" ", 1)]
    url = f"rediss://127.0.0.1:{{port}}/0{trust.query()}"
    for server in run_server(lambda: _native(lambda: NativeRedis(*options, url=url))):
        yield server.url.partition("?")[0]


@pytest.fixture(scope="module")
def rabbitmq_tls(trust: Trust) -> Iterator[str]:
    """URL of a RabbitMQ that speaks TLS only and asks for a certificate, without parameters."""
    url = f"amqps://test:not-a-secret-4711@127.0.0.1:{{port}}/%2F{trust.query()}"
    for server in run_server(lambda: _native(lambda: NativeRabbitMQ(trust.rabbitmq_settings(), url=url))):
        yield server.url.partition("?")[0]


def _carries_a_request(broker: Broker) -> bool:
    consumer = broker.consumer([MEMPOOL_TXS])
    with contextlib.closing(consumer), answering(broker, consumer):
        return broker.request(tx(7), timeout=20) == verdict(7)


# ── Redis ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_store_and_bus_reach_a_redis_by_tls(redis_tls: str, trust: Trust) -> None:
    url = redis_tls + trust.query()
    check_redis(url)
    with connect(url) as client:
        assert client.set("x", "1")
    with contextlib.closing(RedisStreamsBroker(url)) as broker:
        assert _carries_a_request(broker)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url, trust: url + trust.query(trust.other), "CERTIFICATE_VERIFY_FAILED.*certificate verify failed"),
        (
            lambda url, trust: url.replace("127.0.0.1", "localhost") + trust.query(),
            "CERTIFICATE_VERIFY_FAILED.*Hostname",
        ),
        (lambda url, trust: f"{url}?cacertfile={trust.authority.file}", "ALERT|away"),
        (lambda url, trust: url + trust.query(client=trust.stranger), "ALERT|away"),
    ],
    ids=["wrong authority", "wrong host name", "no client certificate", "client certificate of a stranger"],
)
def test_a_redis_is_refused_or_refuses_with_the_reason(redis_tls, trust, change, words) -> None:
    url = change(redis_tls, trust)
    with connect(url) as client, pytest.raises(StoreUnavailable, match=words):
        client.ping()
    with pytest.raises(LaunchError, match="does not answer as Redis"):
        check_redis(url)


def test_a_primary_and_its_sentinels_are_reached_by_tls(trust: Trust) -> None:
    for cluster in run_server(lambda: RedisCluster(trust.redis_settings(), "rediss", trust.query())):
        with connect(cluster.url) as client:
            assert client.set("x", "1")
            assert client.wait(2, 10_000) == 2
        with contextlib.closing(RedisStreamsBroker(cluster.url)) as broker:
            assert _carries_a_request(broker)
        wrong = cluster.url.replace(trust.query(), trust.query(trust.other))
        with connect(wrong) as client, pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            client.ping()


# ── RabbitMQ ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_bus_reaches_a_rabbitmq_by_tls(rabbitmq_tls: str, trust: Trust) -> None:
    url = rabbitmq_tls + trust.query()
    check_rabbitmq(url)
    topology.make(url)
    with contextlib.closing(RabbitBroker(url)) as broker:
        assert _carries_a_request(broker)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url, trust: url + trust.query(trust.other), "certificate verify failed"),
        (lambda url, trust: url.replace("127.0.0.1", "localhost") + trust.query(), "Hostname mismatch"),
        (lambda url, trust: f"{url}?cacertfile={trust.authority.file}", "certificate required|alert|lost|reset|EOF"),
        (lambda url, trust: url + trust.query(client=trust.stranger), "unknown ca|alert|lost|reset|EOF"),
    ],
    ids=["wrong authority", "wrong host name", "no client certificate", "client certificate of a stranger"],
)
def test_a_rabbitmq_is_refused_or_refuses_with_the_reason(rabbitmq_tls, trust, change, words, caplog) -> None:
    url = change(rabbitmq_tls, trust)
    with caplog.at_level(logging.WARNING), contextlib.closing(RabbitBroker(url, patience=0.0)) as broker:
        until(lambda: bool(caplog.records), "the broker says that it was refused")
        with pytest.raises(BrokerUnavailable, match=words):
            broker.publish(tx(1))
    assert "not-a-secret" not in caplog.text
    with pytest.raises(LaunchError, match="does not let us in or does not answer"):
        check_rabbitmq(url)
