"""Entries of the pool as `getmempoolentry` and its like show them (rpc/mempool.cpp: entryToJSON)."""

from __future__ import annotations

from collections.abc import Iterable

from services.mempool.rpc.server.values import Json, btc
from shared.chain.pool_snapshot import PoolPart
from shared.policy import signals_replacement
from shared.primitives.hex import display_hash


def pool_json(pool: PoolPart, height: int) -> dict[str, Json]:
    """Return every transaction's entry by its displayed txid, in the order given; `height` is the tip's."""
    return {display_hash(txid): entry_json(pool, txid, height) for txid in pool.txs}


def entry_json(pool: PoolPart, txid: bytes, height: int) -> dict[str, Json]:
    """Return the entry of a transaction, whose whole cluster `pool` has; `height` is the tip's."""
    entry, fees = pool.txs[txid].entry, pool.modified_fees
    above, below = pool.graph.ancestors([txid]), pool.graph.descendants([txid])
    chunk = pool.chunk(txid)
    return {
        "vsize": entry.vsize,
        "weight": entry.weight,
        "time": entry.time,
        "height": height,
        "descendantcount": len(below),
        "descendantsize": _vsize(pool, below),
        "ancestorcount": len(above),
        "ancestorsize": _vsize(pool, above),
        "wtxid": display_hash(entry.wtxid),
        "chunkweight": chunk.size,
        "fees": {
            "base": btc(entry.fee),
            "modified": btc(fees[txid]),
            "ancestor": btc(sum([fees[each] for each in above])),
            "descendant": btc(sum([fees[each] for each in below])),
            "chunk": btc(chunk.fee),
        },
        "depends": sorted(map(display_hash, pool.graph.parents(txid))),
        "spentby": sorted(map(display_hash, pool.graph.children(txid))),
        "bip125-replaceable": any(signals_replacement(pool.txs[each].tx) for each in above),
        "unbroadcast": False,
    }


def _vsize(pool: PoolPart, txids: Iterable[bytes]) -> int:
    return sum([pool.txs[txid].entry.vsize for txid in txids])
