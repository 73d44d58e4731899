"""The present state of chain and pool as every websocket is shown it: read once per change, however many look at it.

Each part is what the REST resource of the same name answers, byte for byte, so that the two cannot disagree.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from flask import Response

from services.explorer.api import esplora_json
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
    """Something that is read again once the chain has moved on, by one who asks for all who ask meanwhile."""

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
            kind: _Cached(functools.partial(_read_body, resource), threads, position)
            for kind, resource in (("all", api.replacements), ("fullRbf", api.full_replacements))
        }

    async def parts(self) -> Parts:
        """Return what everybody may ask for: JSON by the key under which it is sent. Raises `StoreError`."""
        return await self._parts.get()

    async def replacements(self, kind: str) -> msgspec.Raw:
        """Return the latest replacements as JSON: `all`, or `fullRbf`. Raises `StoreError`."""
        return await self._replacements[kind].get()

    def _read(self) -> Parts:
        stats, recent = self._chain.at_tip(lambda _: (self._chain.pool.stats(), self._chain.pool.newest(LATEST_TXS)))
        blocks = msgspec.json.decode(self._api.blocks().get_data(), type=list[msgspec.Raw])
        return {
            "mempoolInfo": _raw(pool_info(stats)),
            "blocks": _raw(blocks[:INITIAL_BLOCKS][::-1]),
            "mempool-blocks": _body(self._api.projected()),
            "transactions": _raw([_latest(record) for record in recent]),
            "da": _body(self._api.difficulty_adjustment()),
            "fees": _body(self._api.recommended()),
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


def _latest(record: TxRecord) -> dict[str, Any]:
    if record.pool is None:
        return {"txid": record.tx.txid_hex}
    return esplora_json.recent_json(record.tx, record.pool) | {"rate": feerate(record.pool), "time": record.pool.time}


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _body(response: Response) -> msgspec.Raw:
    return msgspec.Raw(response.get_data())


def _read_body(resource: Callable[[], Response]) -> msgspec.Raw:
    return _body(resource())
