"""Which servers may hold a chain."""

import pytest

from shared.chain.store import check_server
from shared.errors import UnsafeStore


class Announcing:
    """A client whose server says this of itself."""

    def __init__(self, version, policy="noeviction"):
        self._info = {"redis_version": version, "maxmemory_policy": policy}

    def info(self):
        return self._info


@pytest.mark.parametrize("version", ["7.0.0", "7.0.15", "7.2.4", "8.0.2", "10.1.0", "7.4.0-v8", "255.255.255"])
def test_redis_from_7_on_is_taken(version):
    check_server(Announcing(version))


@pytest.mark.parametrize("version", ["6.2.14", "6.9.241", "5.0.3", "", "unstable"])
def test_an_older_redis_is_refused_by_its_version(version):
    with pytest.raises(UnsafeStore) as refused:
        check_server(Announcing(version))
    assert str(refused.value) == f"needs Redis 7.0 or newer, or Valkey; this is Redis {version}"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", ""])
def test_a_server_that_may_evict_is_refused(policy):
    with pytest.raises(UnsafeStore, match="may evict keys"):
        check_server(Announcing("7.2.4", policy))
