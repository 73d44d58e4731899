"""Metrics of the chain and of its Redis, read when Prometheus asks, in one round trip.

Every mempool instance has them, the writer as well as its standbys, so that they are there when nobody writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient
from shared.errors import StoreUnavailable

GAUGES = {
    "warren_store_up": "Whether Redis answers.",
    "warren_store_used_bytes": "Memory that Redis uses.",
    "warren_store_limit_bytes": "Memory that Redis may use, beyond which it refuses writes; 0 for no limit.",
    "warren_lease_held": "Whether a mempool instance holds the lease, and so writes.",
    "warren_chain_height": "Height of the best chain.",
    "warren_outbox_waiting": "Events that are committed and not yet published.",
    "warren_pool_transactions": "Transactions in the pool.",
    "warren_pool_virtual_bytes": "Virtual size of the transactions in the pool.",
    "warren_pool_fees_satoshis": "Fees of the transactions in the pool.",
}


class ChainCollector(Collector):
    """Reads the gauges; while Redis is away there is `warren_store_up` alone."""

    def __init__(self, client: StoreClient, keys: Keys) -> None:
        self._redis: Any = client
        self._keys = keys

    def describe(self) -> list[Metric]:
        """Return no names: a registration must not read Redis."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        for name, value in self._read().items():
            yield GaugeMetricFamily(name, GAUGES[name], value=value)

    def _read(self) -> dict[str, int]:
        pipe = self._redis.pipeline(transaction=False)
        pipe.info("memory")
        pipe.exists(self._keys.writer)
        pipe.hmget(self._keys.tip, "height", "seq")
        pipe.get(self._keys.relayed)
        pipe.hmget(self._keys.pool_stats, "count", "vsize", "fees")
        try:
            memory, is_held, (height, seq), relayed, (count, vsize, fees) = pipe.execute()
        except StoreUnavailable:
            return {"warren_store_up": 0}
        found = {
            "warren_store_up": 1,
            "warren_store_used_bytes": int(memory["used_memory"]),
            "warren_store_limit_bytes": int(memory["maxmemory"]),
            "warren_lease_held": int(is_held),
            "warren_pool_transactions": int(count or 0),
            "warren_pool_virtual_bytes": int(vsize or 0),
            "warren_pool_fees_satoshis": int(fees or 0),
        }
        if height is not None:
            found["warren_chain_height"] = int(height)
            found["warren_outbox_waiting"] = max(0, int(seq) - int(relayed or 0))
        return found
