"""RPC methods about the RPC interface and the process: help, clock, logs, memory (rpc/server.cpp, rpc/node.cpp)."""

from __future__ import annotations

import logging as python_logging
import time
from itertools import groupby
from typing import Any

from services.mempool.rpc.server.claims import order
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, expect, integer
from shared.bus.events import ControlAction
from shared.durations import HOUR
from shared.primitives.block import MAX_TIME

_CATEGORY = "Control"

_LOGGERS = {
    "bus": "shared.bus",
    "chain": "shared.chain",
    "http": "uvicorn.error",
    "mempool": "services.mempool",
    "rpc": "services.mempool.rpc",
}
"""The categories of RPC `logging`, and the logger that each one turns to DEBUG and back."""
_EVERYTHING = ("all", "1", "")
_NOTHING = ("none", "0")
_MAX_SCHEDULER_DELTA = HOUR


def help_(node: NodeContext, command: str | None) -> str:
    """Return all methods by category, or the help of one."""
    if command:
        method = node.methods.get(command)
        return method.help if method else f"help: unknown command: {command}\n"
    listed = sorted(
        (method.category, method.name, method.usage) for method in node.methods.values() if not method.is_hidden
    )
    parts = []
    for category, methods in groupby(listed, key=lambda item: item[0]):
        parts.append("\n".join([f"== {category} ==", *(usage for _, _, usage in methods)]))
    return "\n\n".join(parts)


def stop(node: NodeContext) -> str:
    """Ask this process to stop in order."""
    node.stop.set()
    return "Warren stopping"


def uptime(node: NodeContext) -> int:
    """Return the seconds since this process began to answer."""
    return int(time.monotonic() - node.started)


def echo(node: NodeContext, *args: object) -> Json:
    """Return the arguments, up to the last one given."""
    values = list(args)
    while values and values[-1] is None:
        values.pop()
    return values


def getmemoryinfo(node: NodeContext, mode: str | None) -> Json:
    """Return the use of locked memory: none."""
    if mode in (None, "stats"):
        names = ("used", "free", "total", "locked", "chunks_used", "chunks_free")
        return {"locked": dict.fromkeys(names, 0)}
    if mode == "mallocinfo":
        raise RpcError(RpcCode.INVALID_PARAMETER, "mallocinfo mode not available")
    raise RpcError(RpcCode.INVALID_PARAMETER, f"unknown mode {mode}")


def logging(node: NodeContext, include: list[Any] | None, exclude: list[Any] | None) -> Json:
    """Turn the debug logs of `include` on and those of `exclude` off; return the state of every category."""
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


async def setmocktime(node: NodeContext, timestamp: object) -> None:
    """Let the node's clock stand at a time; 0 lets it run again."""
    _require_mockable(node, "setmocktime")
    seconds = integer(timestamp, -(1 << 63), (1 << 63) - 1)
    if not 0 <= seconds <= MAX_TIME:
        message = f"Mocktime must be in the range [0, {MAX_TIME}], not {seconds}."
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    await order(node, RpcCode.MISC_ERROR, action=ControlAction.SET_TIME, time=seconds)


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


def getrpcinfo(node: NodeContext) -> Json:
    """Return the calls being answered, of which this one is named."""
    return {"active_commands": [{"method": "getrpcinfo", "duration": 0}], "logpath": ""}


_CATEGORIES = Arg("include", Kind.ARRAY, f"Categories to turn on: {', '.join(_LOGGERS)}, all", "")


METHODS = (
    Method(
        "echo",
        _CATEGORY,
        "Returns its arguments. For testing.",
        tuple(Arg(f"arg{number}", Kind.ANY, "Anything", "") for number in range(10)),
        echo,
        is_hidden=True,
    ),
    Method(
        "help",
        _CATEGORY,
        "Lists all methods, or explains one.",
        (Arg("command", Kind.STRING, "The method to explain", "all methods"),),
        help_,
    ),
    Method("stop", _CATEGORY, "Asks the node to stop. Its supervisor may start it again.", (), stop),
    Method("uptime", _CATEGORY, "Returns the seconds for which the node has been up.", (), uptime),
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
