"""RPC methods about the RPC interface and the process itself (rpc/server.cpp, rpc/node.cpp)."""

from __future__ import annotations

import time
from itertools import groupby

from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json

_CATEGORY = "Control"


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
)
