"""RPC methods for tests and operators: the clock, logs, memory, indexes (rpc/node.cpp, rpc/server.cpp)."""

from __future__ import annotations

import logging as python_logging
from typing import Any

from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.orders import order
from services.mempool.rpc.server.values import Json, expect, integer
from shared.bus.events import ControlAction

_CATEGORY = "Control"

_LOGGERS = {
    "bus": "shared.bus",
    "chain": "shared.chain",
    "http": "uvicorn.error",
    "mempool": "services.mempool",
    "rpc": "services.mempool.rpc",
}
"""Categories of `logging`, and the loggers that they turn to DEBUG and back."""
_EVERYTHING = ("all", "1", "")
_NOTHING = ("none", "0")
_MAX_TIME = 0xFFFFFFFF
_MAX_SCHEDULER_DELTA = 3600


def getmemoryinfo(node: NodeContext, mode: str | None) -> Json:
    """Return the use of locked memory, of which there is none."""
    if mode in (None, "stats"):
        names = ("used", "free", "total", "locked", "chunks_used", "chunks_free")
        return {"locked": dict.fromkeys(names, 0)}
    if mode == "mallocinfo":
        raise RpcError(RpcCode.INVALID_PARAMETER, "mallocinfo mode not available")
    raise RpcError(RpcCode.INVALID_PARAMETER, f"unknown mode {mode}")


def logging(node: NodeContext, include: list[Any] | None, exclude: list[Any] | None) -> Json:
    """Turn debug logs of categories on, then off, and return which are on."""
    for names, level in ((include, python_logging.DEBUG), (exclude, python_logging.NOTSET)):
        for logger in _loggers(names or []):
            python_logging.getLogger(logger).setLevel(level)
    return {name: python_logging.getLogger(logger).level == python_logging.DEBUG for name, logger in _LOGGERS.items()}


def _loggers(names: list[Any]) -> list[str]:
    chosen: list[str] = []
    for name in names:
        expect(name, str)
        if name in _EVERYTHING:
            chosen += _LOGGERS.values()
        elif name in _LOGGERS:
            chosen.append(_LOGGERS[name])
        elif name not in _NOTHING:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"unknown logging category {name}")
    return chosen


def setmocktime(node: NodeContext, timestamp: object) -> None:
    """Let the node's clock stand at a time; 0 lets it run again."""
    _require_mockable(node, "setmocktime")
    seconds = integer(timestamp, -(1 << 63), (1 << 63) - 1)
    if not 0 <= seconds <= _MAX_TIME:
        message = f"Mocktime must be in the range [0, {_MAX_TIME}], not {seconds}."
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    order(node, RpcCode.MISC_ERROR, action=ControlAction.SET_TIME, time=seconds)


def mockscheduler(node: NodeContext, delta: object) -> None:
    """Check the argument as bitcoind does; there is no scheduler to move forward."""
    _require_mockable(node, "mockscheduler")
    if not 0 < integer(delta, -(1 << 63), (1 << 63) - 1) <= _MAX_SCHEDULER_DELTA:
        message = f"delta_time must be between 1 and {_MAX_SCHEDULER_DELTA} seconds (1 hr)"
        raise RpcError(RpcCode.MISC_ERROR, message)


def _require_mockable(node: NodeContext, method: str) -> None:
    """Refuse on chains where proof of work costs something: their time is everybody's."""
    if not node.params.pow_no_retargeting:
        message = f"{method} is for regression testing (-regtest mode) only"
        raise RpcError(RpcCode.MISC_ERROR, message)


def getindexinfo(node: NodeContext, index_name: str | None) -> Json:
    """Return the state of the indexes: they are written in the commit of the block itself, so always up to date."""
    if index_name not in (None, "", "txindex"):
        return {}
    return {"txindex": {"synced": True, "best_block_height": node.view.tip().height}}


def getrpcinfo(node: NodeContext) -> Json:
    """Return what is being answered: this call."""
    return {"active_commands": [{"method": "getrpcinfo", "duration": 0}], "logpath": ""}


_CATEGORIES = Arg("include", Kind.ARRAY, f"Categories to turn on: {', '.join(_LOGGERS)}, all", "")

METHODS = (
    Method(
        "getindexinfo",
        "Util",
        "Returns the state of the indexes.",
        (Arg("index_name", Kind.STRING, "Only this index", ""),),
        getindexinfo,
    ),
    Method(
        "getmemoryinfo",
        _CATEGORY,
        "Returns the use of locked memory.",
        (Arg("mode", Kind.STRING, "stats", "stats"),),
        getmemoryinfo,
    ),
    Method("getrpcinfo", _CATEGORY, "Returns the state of the RPC server.", (), getrpcinfo),
    Method(
        "logging",
        _CATEGORY,
        "Turns debug logs of this instance on and off, and returns which are on.",
        (_CATEGORIES, Arg("exclude", Kind.ARRAY, "Categories to turn off", "")),
        logging,
    ),
    Method(
        "mockscheduler",
        _CATEGORY,
        "Does nothing: there is no scheduler.",
        (Arg("delta_time", Kind.NUMBER, "Seconds, 1 to 3600"),),
        mockscheduler,
        is_hidden=True,
    ),
    Method(
        "setmocktime",
        _CATEGORY,
        "Lets the node's clock stand at a time.",
        (Arg("timestamp", Kind.NUMBER, "Seconds since 1970; 0 lets the clock run again"),),
        setmocktime,
        is_hidden=True,
    ),
)
