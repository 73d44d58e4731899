"""RPC `estimatesmartfee` (rpc/fees.cpp): from what waits in the pool now, for there is no history of it."""

from __future__ import annotations

from collections.abc import Iterable

from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, btc, integer
from shared.consensus.limits import MAX_BLOCK_WEIGHT, WITNESS_SCALE_FACTOR
from shared.policy import MIN_RELAY_FEERATE

_MAX_TARGET = 1008
_MODES = ("unset", "economical", "conservative")
_BLOCK_VSIZE = MAX_BLOCK_WEIGHT // WITNESS_SCALE_FACTOR


def estimatesmartfee(node: NodeContext, target: object, mode: str | None) -> Json:
    """Return the feerate in BTC/kvB with which a transaction is among the first `target` blocks' worth of the pool."""
    blocks = integer(target)
    if not 1 <= blocks <= _MAX_TARGET:
        message = f"Invalid conf_target, must be between 1 and {_MAX_TARGET}"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    if mode is not None and mode.lower() not in _MODES:
        shown = ", ".join(f'"{name}"' for name in _MODES)
        raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid estimate_mode parameter, must be one of: {shown}")
    entries = node.view.pool_entries().values()
    feerate = feerate_for(((entry.fee, entry.vsize) for entry in entries), blocks)
    return {"feerate": btc(feerate), "blocks": blocks}


def feerate_for(pool: Iterable[tuple[int, int]], blocks: int) -> int:
    """Return satoshis per 1,000 vbytes: just above what would not fit into `blocks` blocks, at least the relay minimum.

    `pool` has fee and virtual size of each transaction.
    """
    room = blocks * _BLOCK_VSIZE
    for fee, vsize in sorted(pool, key=lambda entry: entry[0] / entry[1], reverse=True):
        room -= vsize
        if room < 0:
            return max(MIN_RELAY_FEERATE, fee * 1000 // vsize + 1)
    return MIN_RELAY_FEERATE


METHODS = (
    Method(
        "estimatesmartfee",
        "Util",
        "Estimates the feerate, in BTC/kvB, for a transaction to be mined within a number of blocks.",
        (
            Arg("conf_target", Kind.NUMBER, f"Blocks, 1 to {_MAX_TARGET}"),
            Arg("estimate_mode", Kind.STRING, "unset, economical or conservative: all the same here", "economical"),
        ),
        estimatesmartfee,
    ),
)
