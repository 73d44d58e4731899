"""RPC methods about the pool of unconfirmed transactions (rpc/mempool.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.mempool.rpc.json.mempool_entry import entry_json, pool_json
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, block_or_tx_hash, btc, expect, integer
from shared.chain.pool_snapshot import PoolPart, read_cluster, read_pool
from shared.chain.redis_keys import Keys
from shared.policy import (
    INCREMENTAL_RELAY_FEERATE,
    MAX_CLUSTER_COUNT,
    MAX_CLUSTER_VSIZE,
    MAX_DATACARRIER_BYTES,
    MAX_POOL_VSIZE,
    MIN_RELAY_FEERATE,
)
from shared.pool.graph import Graph
from shared.primitives.hex import display_hash
from shared.primitives.transaction import OutPoint

_CATEGORY = "Mempool"


def getrawmempool(node: NodeContext, verbose: bool | None, with_sequence: bool | None) -> Json:
    """Return the pool's txids, or an entry for each."""
    if verbose:
        if with_sequence:
            message = "Verbose results cannot contain mempool sequence values."
            raise RpcError(RpcCode.INVALID_PARAMETER, message)
        return pool_json(read_pool(node.view), node.view.tip().height)
    if with_sequence:
        txids, sequence = node.view.pool.txids_and_seq()
        return {"txids": _shown(txids), "mempool_sequence": sequence}
    return _shown(node.view.pool.txids())


def _shown(newest_first: list[bytes]) -> list[str]:
    return [display_hash(txid) for txid in reversed(newest_first)]


def getmempoolentry(node: NodeContext, txid_hex: str) -> Json:
    """Return the entry of one unconfirmed transaction."""
    txid = block_or_tx_hash(txid_hex, "txid")
    pool, height = _cluster(node, txid)
    return entry_json(pool, txid, height)


def getmempoolancestors(node: NodeContext, txid_hex: str, verbose: bool | None) -> Json:
    """Return the unconfirmed transactions that one depends on."""
    return _relatives(node, txid_hex, Graph.ancestors, bool(verbose))


def getmempooldescendants(node: NodeContext, txid_hex: str, verbose: bool | None) -> Json:
    """Return the unconfirmed transactions that depend on one."""
    return _relatives(node, txid_hex, Graph.descendants, bool(verbose))


def _relatives(
    node: NodeContext, txid_hex: str, related: Callable[[Graph, list[bytes]], set[bytes]], with_entries: bool
) -> Json:
    txid = block_or_tx_hash(txid_hex, "txid")
    pool, height = _cluster(node, txid)
    found = sorted(related(pool.graph, [txid]) - {txid}, key=display_hash)
    if not with_entries:
        return list(map(display_hash, found))
    return {display_hash(relative): entry_json(pool, relative, height) for relative in found}


def _cluster(node: NodeContext, txid: bytes) -> tuple[PoolPart, int]:
    """Return a transaction's cluster, enough for the entries of all its relatives, and the height of the tip."""
    pool, tip = node.view.at_tip(lambda tip: (read_cluster(node.view, txid), tip))
    if txid not in pool:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Transaction not in mempool")
    return pool, tip.height


def gettxspendingprevout(node: NodeContext, outputs: list[Any]) -> Json:
    """Return which unconfirmed transaction spends each output, if any."""
    if not outputs:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, outputs are missing")
    wanted = [_spendable(item) for item in outputs]
    shown = []
    for place, spend in zip(wanted, node.view.pool.spends(wanted), strict=True):
        entry: dict[str, Json] = {"txid": display_hash(place.txid), "vout": place.vout}
        if spend is not None:
            entry["spendingtxid"] = display_hash(spend.txid)
        shown.append(entry)
    return shown


def _spendable(item: Any) -> OutPoint:
    expect(item, dict)
    for name in ("txid", "vout"):
        if name not in item:
            raise RpcError(RpcCode.TYPE_ERROR, f"Missing {name}")
    if unexpected := item.keys() - {"txid", "vout"}:
        raise RpcError(RpcCode.TYPE_ERROR, f"Unexpected key {min(unexpected)}")
    expect(item["txid"], str)
    txid = block_or_tx_hash(item["txid"], "txid")
    vout = integer(item["vout"])
    if vout < 0:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, vout cannot be negative")
    return OutPoint(txid, vout)


def savemempool(node: NodeContext) -> Json:
    """Return where the pool is stored: in Redis, by every commit, so that there is nothing left to do."""
    node.view.pool.stats()  # an error if Redis is away
    return {"filename": f"redis:{Keys(node.params.name).pool_txs}"}


def getmempoolinfo(node: NodeContext) -> Json:
    """Return the pool's totals and limits."""
    stats = node.view.pool.stats()
    return {
        "loaded": True,
        "size": stats.count,
        "bytes": stats.vsize,
        "usage": stats.size,
        "total_fee": btc(stats.fees),
        "maxmempool": MAX_POOL_VSIZE,
        "mempoolminfee": btc(MIN_RELAY_FEERATE),
        "minrelaytxfee": btc(MIN_RELAY_FEERATE),
        "incrementalrelayfee": btc(INCREMENTAL_RELAY_FEERATE),
        "unbroadcastcount": 0,
        "fullrbf": True,
        "permitbaremultisig": True,
        "maxdatacarriersize": MAX_DATACARRIER_BYTES,
        "limitclustercount": MAX_CLUSTER_COUNT,
        "limitclustersize": MAX_CLUSTER_VSIZE,
    }


_TXID = Arg("txid", Kind.STRING, "The transaction id, which must be in the pool")
_VERBOSE = Arg("verbose", Kind.BOOL, "true for an object with an entry for each", "false")

METHODS = (
    Method(
        "getmempoolancestors",
        _CATEGORY,
        "Returns the unconfirmed transactions that a transaction depends on.",
        (_TXID, _VERBOSE),
        getmempoolancestors,
    ),
    Method(
        "getmempooldescendants",
        _CATEGORY,
        "Returns the unconfirmed transactions that depend on a transaction.",
        (_TXID, _VERBOSE),
        getmempooldescendants,
    ),
    Method(
        "gettxspendingprevout",
        _CATEGORY,
        "Returns which unconfirmed transactions spend outputs.",
        (Arg("outputs", Kind.ARRAY, "Objects with txid and vout"),),
        gettxspendingprevout,
    ),
    Method("savemempool", _CATEGORY, "Returns where the pool is stored; it always is.", (), savemempool),
    Method(
        "getmempoolentry",
        _CATEGORY,
        "Returns what is known of a transaction in the pool.",
        (Arg("txid", Kind.STRING, "The transaction id"),),
        getmempoolentry,
    ),
    Method("getmempoolinfo", _CATEGORY, "Returns the totals of the pool.", (), getmempoolinfo),
    Method(
        "getrawmempool",
        _CATEGORY,
        "Returns the txids of the pool, oldest first.",
        (
            Arg("verbose", Kind.BOOL, "true for an object with an entry for each", "false"),
            Arg("mempool_sequence", Kind.BOOL, "Whether to return the sequence number too", "false"),
        ),
        getrawmempool,
    ),
)
