"""The present state of chain and pool as every websocket is shown it: read once per change, however many look at it.

Each part is what the REST resource of the same name answers, byte for byte, so that the two cannot disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from flask import Response

from services.explorer import serialize
from services.explorer.fees import MIN_FEERATE, feerate
from services.explorer.mempool_space import MempoolSpace
from services.explorer.reads import ChainReads
from shared.chain.view import PoolStats, TxRecord
from shared.web.threads import Threads

INITIAL_BLOCKS = 8
LATEST_TXS = 6
MAX_POOL = 300_000_000
"""Bytes, as `getmempoolinfo` has it."""
_SATOSHIS_PER_KVB = 100_000
"""Of 1 BTC/kvB in sat/vB."""

Parts = Mapping[str, msgspec.Raw]


@dataclass(slots=True)
class Board:
    """Reads the state when it is asked for and has changed."""

    reads: ChainReads
    api: MempoolSpace
    threads: Threads
    position: Callable[[], int]
    """Number of the newest fact."""
    _parts: Parts = field(default_factory=dict)
    _read_at: int = -1
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def parts(self) -> Parts:
        """Return the state: JSON by the key under which it is sent."""
        async with self._lock:
            position = self.position()
            if position != self._read_at:
                self._parts = await self.threads.run(self._read)
                self._read_at = position
            return self._parts

    def _read(self) -> Parts:
        stats, recent = self.reads.snapshot(lambda: (self.reads.pool_stats(), self.reads.recent(LATEST_TXS)))
        blocks = msgspec.json.decode(self.api.blocks().get_data(), type=list[msgspec.Raw])
        return {
            "mempoolInfo": _raw(pool_info(stats)),
            "blocks": _raw(blocks[:INITIAL_BLOCKS][::-1]),
            "mempool-blocks": _body(self.api.projected()),
            "transactions": _raw([_latest(record) for record in recent]),
            "da": _body(self.api.difficulty_adjustment()),
            "fees": _body(self.api.recommended()),
            "rbfLatest": _body(self.api.replacements()),
            "fullRbfLatest": _body(self.api.replacements()),
        }


def pool_info(stats: PoolStats) -> dict[str, Any]:
    """Return the pool's totals in the form of Core's getmempoolinfo: fees in BTC, feerates in BTC/kvB."""
    least = MIN_FEERATE / _SATOSHIS_PER_KVB
    return {
        "loaded": True,
        "size": stats.count,
        "bytes": stats.vsize,
        "usage": stats.size,
        "total_fee": stats.fees / 100_000_000,
        "maxmempool": MAX_POOL,
        "mempoolminfee": least,
        "minrelaytxfee": least,
    }


def _latest(record: TxRecord) -> dict[str, Any]:
    if record.pool is None:
        return {"txid": record.tx.txid_hex}
    return serialize.recent_json(record.tx, record.pool) | {"rate": feerate(record.pool), "time": record.pool.time}


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _body(response: Response) -> msgspec.Raw:
    return msgspec.Raw(response.get_data())
