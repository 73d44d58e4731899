"""`WARREN_REDIS_REPLICAS`: nobody is told of a change that would be lost with the primary."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis as redis_py

from services.mempool.outbox import Outbox
from services.wallet.errors import WalletExists
from services.wallet.keys.keystore import seal
from services.wallet.store import Record, WalletStore
from shared.chain.commit import Committer, Delta
from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient, check_writable, connect
from shared.consensus.params import REGTEST
from shared.errors import CommitConflict, StoreUnavailable
from shared.process.shutdown import ExitFlag
from tests.clusters import RedisCluster, until
from tests.integration.mempool.conftest import Chain
from tests.unit.bus.fake_broker import FakeBroker

pytestmark = pytest.mark.cluster

KEYS = Keys(REGTEST.name)
TOO_FEW = "0 of 1 replicas of Redis have the change"
RECORD = Record(seal(b"seed", "password", "alice", n=2), "xpub", 1)


@pytest.fixture
def client(redis_cluster: RedisCluster) -> Iterator[StoreClient]:
    """A client whose changes wait for one replica."""
    with connect(redis_cluster.url, replicas=1) as made:
        yield made


def _waits(cluster: RedisCluster) -> int:
    with redis_py.Redis.from_url(cluster.primary().url) as operator:
        return int(operator.info("commandstats").get("cmdstat_wait", {}).get("calls", 0))


def test_a_commit_returns_when_a_replica_has_it(redis_cluster: RedisCluster, client: StoreClient) -> None:
    chain = Chain(client)
    chain.mine(3)
    redis_cluster.primary().pause()
    tips = []
    for node in redis_cluster.replicas():
        with redis_py.Redis.from_url(node.url) as replica:
            tips.append(replica.hget(KEYS.tip, "height"))
    assert b"3" in tips


def test_a_client_that_wants_no_replicas_never_waits(redis_cluster: RedisCluster) -> None:
    with connect(redis_cluster.url) as plain:
        before = _waits(redis_cluster)
        chain = Chain(plain)
        chain.mine(3)
        Outbox(plain, KEYS, FakeBroker(), ExitFlag()).relay()
        assert _waits(redis_cluster) == before


def test_a_commit_without_replicas_is_not_acknowledged_until_they_are_back(
    redis_cluster: RedisCluster, client: StoreClient
) -> None:
    chain = Chain(client)
    chain.mine(1)
    for node in redis_cluster.replicas():
        node.pause()
    with pytest.raises(StoreUnavailable, match=TOO_FEW):
        chain.mine(1)
    with pytest.raises(StoreUnavailable, match=TOO_FEW):  # it has the block, and says nothing about it either
        chain.new_writer()
    assert chain.view.tip().height == 2, "reads go on, and see the block that the primary has"
    redis_cluster.revive()
    chain.node = chain.new_writer()
    assert chain.node.tree.tip.height == 2
    chain.mine(1)


def test_a_server_that_lacks_replicas_does_not_count_as_writable(
    redis_cluster: RedisCluster, client: StoreClient
) -> None:
    check_writable(client, KEYS.heights)
    for node in redis_cluster.replicas():
        node.pause()
    client.set("anything", "that the replicas have yet to get")
    with pytest.raises(StoreUnavailable, match=TOO_FEW):
        check_writable(client, KEYS.heights)
    redis_cluster.revive()
    check_writable(client, KEYS.heights)
    assert not client.exists(KEYS.heights)


def test_a_commit_that_was_lost_with_the_primary_was_told_to_nobody(
    redis_cluster: RedisCluster, client: StoreClient
) -> None:
    chain, broker = Chain(client), FakeBroker()
    outbox = Outbox(client, KEYS, broker, ExitFlag())
    chain.mine(2)
    assert outbox.relay() == 2
    _kill_replicas(redis_cluster)
    with pytest.raises(StoreUnavailable, match=TOO_FEW):
        chain.mine(1)
    with pytest.raises(StoreUnavailable, match=TOO_FEW):
        outbox.relay()
    _lose_primary(redis_cluster)
    chain.node = _patiently(chain.new_writer)
    assert chain.node.tree.tip.height == 2, "the new primary never had the third block"
    assert [event.seq for event in broker.published] == [1, 2]
    chain.mine(1)
    assert outbox.relay() == 1
    assert [event.seq for event in broker.published] == [1, 2, 3]


def test_a_writer_finds_out_that_the_primary_is_another_one_and_lacks_its_last_commits(
    redis_cluster: RedisCluster,
) -> None:
    """Without waiting for replicas: its memory is ahead of the store, which refuses what is built on it."""
    with connect(redis_cluster.url) as plain:
        chain = Chain(plain)
        chain.mine(1)
        with redis_py.Redis.from_url(redis_cluster.primary().url) as operator:
            assert operator.wait(2, 5000) == 2
        _kill_replicas(redis_cluster)
        chain.mine(1)
        _lose_primary(redis_cluster)
        _patiently(plain.ping)
        with pytest.raises(CommitConflict):
            _patiently(lambda: chain.mine(1))
        chain.node = chain.new_writer()
        chain.mine(1)
        assert chain.view.tip().height == 2


def test_events_read_from_a_lost_primary_are_not_published_by_the_next(
    redis_cluster: RedisCluster, client: StoreClient
) -> None:
    chain, broker = Chain(client), FakeBroker()
    outbox = Outbox(client, KEYS, broker, ExitFlag())
    chain.mine(1)
    outbox._redis.set(KEYS.relayed, 0)
    client.delete(KEYS.events)  # as if the new primary had never got them
    assert outbox._confirmed(0) == []


def test_a_wallet_counts_as_made_when_a_replica_has_its_seed(redis_cluster: RedisCluster, client: StoreClient) -> None:
    store = WalletStore(client, KEYS)
    for node in redis_cluster.replicas():
        node.pause()
    with pytest.raises(StoreUnavailable, match=TOO_FEW):
        store.create("alice", RECORD)
    with pytest.raises(WalletExists):
        store.create("alice", RECORD)
    assert store.load("alice").receive_count == 1, "reads do not wait"
    with pytest.raises(StoreUnavailable, match=TOO_FEW):
        store.add_receive_key("alice")
    redis_cluster.revive()
    assert store.add_receive_key("alice") == 2


def test_an_epoch_that_was_lost_with_the_primary_is_no_ones(redis_cluster: RedisCluster, client: StoreClient) -> None:
    """Two writers never write with the same epoch: a writer begins when replicas have its epoch."""
    chain = Chain(client)
    tip = chain.view.tip()
    _kill_replicas(redis_cluster)
    client.incr(KEYS.writer_epoch)
    with pytest.raises(StoreUnavailable, match=TOO_FEW):
        Committer(client, KEYS, 2, tip.hash, tip.seq).confirm()
    _lose_primary(redis_cluster)
    assert _patiently(lambda: client.get(KEYS.writer_epoch)) == b"1"
    Committer(client, KEYS, 1, tip.hash, tip.seq).commit(Delta(clock=5))


def _kill_replicas(cluster: RedisCluster) -> None:
    """Kill them: a paused one would find in its socket what the primary wrote meanwhile."""
    for node in cluster.replicas():
        node.kill()


def _lose_primary(cluster: RedisCluster) -> None:
    """Kill the primary, start the killed replicas, and wait for the next primary."""
    lost = cluster.primary()
    lost.kill()
    for node in cluster.nodes:
        if node is not lost:
            node.start()
    until(lambda: cluster.primary() is not lost, "the Sentinels agree on another primary")


def _patiently(action):
    """Try again while the store is away."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return action()
        except StoreUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)
