"""A chain that another version of Warren stored in another format is refused and not changed."""

from __future__ import annotations

import pytest
import redis as redis_py

from services.mempool.state import NodeState
from shared.chain.codec import FORMAT
from shared.chain.lease import Lease
from shared.chain.redis_keys import Keys
from shared.chain.view import ChainView
from shared.consensus.params import REGTEST
from shared.errors import UnsafeStore

KEYS = Keys(REGTEST.name)


@pytest.mark.parametrize("stored", [None, FORMAT - 1, FORMAT + 1])
def test_a_chain_in_another_format_is_refused_and_stays_as_it_is(redis: redis_py.Redis, stored: int | None) -> None:
    epoch = Lease(redis, KEYS).take()
    assert epoch is not None
    NodeState(redis, KEYS, REGTEST).load(epoch)
    assert ChainView(redis, KEYS).tip().height == 0
    if stored is None:
        redis.hdel(KEYS.tip, "format")
    else:
        redis.hset(KEYS.tip, "format", stored)
    before = redis.hgetall(KEYS.tip)
    with pytest.raises(
        UnsafeStore, match=f"stored in format {stored or 1}, and this version of Warren reads .* {FORMAT}"
    ):
        NodeState(redis, KEYS, REGTEST).load(epoch)
    with pytest.raises(UnsafeStore):
        ChainView(redis, KEYS).tip()
    assert redis.hgetall(KEYS.tip) == before
