"""One process holds the lease, for as long as it renews it, and a clean stop gives it back at once."""

from __future__ import annotations

import redis as redis_py

from shared.chain.lease import RENEW_EVERY, TIME_LIMIT, Lease
from shared.chain.redis_keys import Keys
from shared.consensus.params import REGTEST

KEYS = Keys(REGTEST.name)
LIMIT_MS = int(TIME_LIMIT * 1000)


def test_the_limits_are_as_documented() -> None:
    assert (TIME_LIMIT, RENEW_EVERY) == (5.0, 1.0)


def test_a_lease_runs_out_unless_it_is_renewed(redis: redis_py.Redis) -> None:
    lease = Lease(redis, KEYS)
    assert lease.take() == 1
    assert LIMIT_MS / 2 < redis.pttl(KEYS.writer) <= LIMIT_MS
    redis.pexpire(KEYS.writer, 1_000)
    assert lease.renew()
    assert LIMIT_MS / 2 < redis.pttl(KEYS.writer) <= LIMIT_MS


def test_a_lease_that_ran_out_is_not_renewed(redis: redis_py.Redis) -> None:
    lease = Lease(redis, KEYS)
    lease.take()
    redis.delete(KEYS.writer)
    assert not lease.renew()
    assert not redis.exists(KEYS.writer)


def test_whoever_asks_meanwhile_changes_nothing(redis: redis_py.Redis) -> None:
    holder, other = Lease(redis, KEYS), Lease(redis, KEYS)
    holder.take()
    redis.pexpire(KEYS.writer, 1_000)
    token = redis.get(KEYS.writer)
    assert other.take() is None
    assert not other.renew()
    other.release()
    assert holder.take() is None, "not even its holder takes a lease that is held"
    assert redis.get(KEYS.writer) == token
    assert redis.pttl(KEYS.writer) <= 1_000
    assert redis.get(KEYS.writer_epoch) == b"1"


def test_a_lease_that_is_given_back_is_gone_and_its_epoch_stays(redis: redis_py.Redis) -> None:
    first, second = Lease(redis, KEYS), Lease(redis, KEYS)
    first.take()
    first.release()
    assert not redis.exists(KEYS.writer)
    assert redis.get(KEYS.writer_epoch) == b"1"
    assert second.take() == 2
    first.release()
    assert redis.exists(KEYS.writer), "another's lease is not given back"


def test_chains_that_share_a_server_have_a_lease_each(redis: redis_py.Redis) -> None:
    assert [Lease(redis, Keys(name)).take() for name in ("regtest", "signet")] == [1, 1]
