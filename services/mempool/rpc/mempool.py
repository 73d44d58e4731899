"""RPC methods about the pool of unconfirmed transactions (rpc/mempool.cpp)."""

from __future__ import annotations

from services.mempool.policy import MAX_DATACARRIER_BYTES, MAX_POOL_VSIZE, MIN_RELAY_FEERATE
from services.mempool.rpc.errors import RpcCode, RpcError
from services.mempool.rpc.methods import Arg, Kind, Method
from services.mempool.rpc.node import Node
from services.mempool.rpc.pool_graph import PoolGraph, family
from services.mempool.rpc.values import Json, block_or_tx_hash, btc
from shared.primitives.hexes import display_hash

_CATEGORY = "Mempool"


def getrawmempool(node: Node, verbose: bool | None, with_sequence: bool | None) -> Json:
    """Return the pool's txids, or an entry for each."""
    if verbose:
        if with_sequence:
            message = "Verbose results cannot contain mempool sequence values."
            raise RpcError(RpcCode.INVALID_PARAMETER, message)
        return PoolGraph(reversed(node.view.pool_records()), node.view.tip().height).all_json()
    if with_sequence:
        txids, sequence = node.view.consistent(lambda: (node.view.pool_txids(), node.view.tip().seq))
        return {"txids": _shown(txids), "mempool_sequence": sequence}
    return _shown(node.view.pool_txids())


def _shown(newest_first: list[bytes]) -> list[str]:
    return [display_hash(txid) for txid in reversed(newest_first)]


def getmempoolentry(node: Node, txid_hex: str) -> Json:
    """Return what is known of one unconfirmed transaction."""
    txid = block_or_tx_hash(txid_hex, "txid")
    return node.view.consistent(lambda: _entry(node, txid))


def _entry(node: Node, txid: bytes) -> Json:
    graph = PoolGraph(family(node.view, txid), node.view.tip().height)
    if txid not in graph:
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Transaction not in mempool")
    return graph.entry_json(txid)


def getmempoolinfo(node: Node) -> Json:
    """Return the pool's totals and what it asks for."""
    stats = node.view.pool_stats()
    return {
        "loaded": True,
        "size": stats.count,
        "bytes": stats.vsize,
        "usage": stats.size,
        "total_fee": btc(stats.fees),
        "maxmempool": MAX_POOL_VSIZE,
        "mempoolminfee": btc(MIN_RELAY_FEERATE),
        "minrelaytxfee": btc(MIN_RELAY_FEERATE),
        "incrementalrelayfee": btc(MIN_RELAY_FEERATE),
        "unbroadcastcount": 0,
        "fullrbf": True,
        "permitbaremultisig": True,
        "maxdatacarriersize": MAX_DATACARRIER_BYTES,
    }


METHODS = (
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
