"""The present state of chain and pool for all websockets: read once per change, for any number of clients.

Each part is the answer of the REST resource of its name, so that the two cannot disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from services.explorer.api.esplora.answers import RecentTransaction
from services.explorer.api.esplora.build import recent_of
from services.explorer.api.mempool_space import MempoolSpace
from services.explorer.chain.fee_estimates import feerate
from services.explorer.chain.queries import ChainQueries
from shared.chain.view import PoolStats, TxRecord
from shared.consensus.limits import COIN
from shared.policy import MAX_POOL_VSIZE, MIN_RELAY_FEERATE
from shared.web.threads import Threads

INITIAL_BLOCKS = 8
LATEST_TXS = 6

Parts = Mapping[str, msgspec.Raw]

T = TypeVar("T")


class _Cached(Generic[T]):
    """A value that is read again once the chain has moved on, by the first caller for all that call meanwhile."""

    def __init__(self, read: Callable[[], T], threads: Threads, position: Callable[[], int]) -> None:
        self._read = read
        self._threads = threads
        self._position = position
        self._found: tuple[int, T] | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> T:
        async with self._lock:
            position = self._position()
            if self._found is None or self._found[0] != position:
                self._found = position, await self._threads.run(self._read)
            return self._found[1]


class Snapshot:
    """Reads each part of the state when it is asked for and `position`, the number of the newest fact, has changed."""

    def __init__(self, chain: ChainQueries, api: MempoolSpace, threads: Threads, position: Callable[[], int]) -> None:
        self._chain = chain
        self._api = api
        self._parts = _Cached(self._read, threads, position)
        self._replacements = {
            "all": _Cached(lambda: _raw(api.replacements()), threads, position),
            "fullRbf": _Cached(lambda: _raw(api.full_replacements()), threads, position),
        }

    async def parts(self) -> Parts:
        """Return the parts that any client may ask for: JSON by the key that it is sent with. Raises `StoreError`."""
        return await self._parts.get()

    async def replacements(self, kind: str) -> msgspec.Raw:
        """Return the latest replacements as JSON: `all`, or `fullRbf`. Raises `StoreError`."""
        return await self._replacements[kind].get()

    def _read(self) -> Parts:
        stats, recent = self._chain.at_tip(lambda _: (self._chain.pool.stats(), self._chain.pool.newest(LATEST_TXS)))
        return {
            "mempoolInfo": _raw(pool_info(stats)),
            "blocks": _raw(self._api.blocks()[:INITIAL_BLOCKS][::-1]),
            "mempool-blocks": _raw(self._api.projected()),
            "transactions": _raw(_latest(recent)),
            "da": _raw(self._api.difficulty_adjustment()),
            "fees": _raw(self._api.recommended()),
        }


def pool_info(stats: PoolStats) -> dict[str, Any]:
    """Return the pool's totals in the form of Core's getmempoolinfo: fees in BTC, feerates in BTC/kvB."""
    least = MIN_RELAY_FEERATE / COIN
    return {
        "loaded": True,
        "size": stats.count,
        "bytes": stats.vsize,
        "usage": stats.size,
        "total_fee": stats.fees / COIN,
        "maxmempool": MAX_POOL_VSIZE,
        "mempoolminfee": least,
        "minrelaytxfee": least,
    }


class LatestTransaction(RecentTransaction, frozen=True):
    """One of the transactions that entered the pool last."""

    rate: float
    time: int


def _latest(records: Iterable[TxRecord]) -> list[LatestTransaction]:
    return [
        LatestTransaction(
            **msgspec.structs.asdict(recent_of(record.tx, record.pool)),
            rate=feerate(record.pool),
            time=record.pool.time,
        )
        for record in records
        if record.pool is not None
    ]


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
