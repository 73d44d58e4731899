"""The part of `ChainView` that looks back and looks up: fees of blocks, the pool's past, scripts by address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from shared.chain import codec
from shared.chain.codec import BlockFees, PoolSample
from shared.chain.redis_keys import Keys
from shared.chain.store import store_errors


class IndexView:
    """Reads one chain of one Redis server."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._redis: Any = client
        self._keys = keys

    def block_fees(self, hashes: Sequence[bytes]) -> list[BlockFees | None]:
        """Return what the payments of each block paid; None if it has none, or was never on the best chain."""
        if not hashes:
            return []
        with store_errors():
            values = self._redis.hmget(self._keys.block_fees, hashes)
        return [None if value is None else codec.decode_block_fees(value) for value in values]

    def pool_history(self, since: int) -> list[PoolSample]:
        """Return what was in the pool at the end of each minute that had a commit, oldest first.

        Minutes that began before `since` (seconds since 1970) are left out. What was in the pool stays there until the
        next sample.
        """
        with store_errors():
            values = self._redis.zrangebyscore(self._keys.pool_history, since, "+inf")
        return [codec.decode_pool_sample(value) for value in values]

    def scripts_with_prefix(self, ranges: Sequence[tuple[bytes, bytes]], limit: int) -> list[bytes]:
        """Return up to `limit` known scriptPubKeys that have an address and lie within any of these ranges.

        A range is its first and its last script, compared as bytes. Known is what the best chain has paid to.
        """
        with store_errors():
            pipe = self._redis.pipeline(transaction=False)
            for low, high in ranges:
                pipe.zrangebylex(self._keys.scripts, b"[" + low, b"[" + high, start=0, num=limit)
            return [script for found in pipe.execute() for script in found][:limit]
