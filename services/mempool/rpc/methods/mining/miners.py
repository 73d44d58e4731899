"""RPC method about the miners that work for this chain: what each of them reports, and their sums."""

from __future__ import annotations

import time

from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.method import Method
from services.mempool.rpc.server.values import Json


def warren_miners(node: NodeContext) -> Json:
    """Return what the miners reported that were heard in the last seconds."""
    now = time.monotonic()
    live = node.workers.live()
    return {
        "miners": [
            {
                "name": heard.report.name,
                "kernel": heard.report.kernel,
                "hashrate": heard.report.hash_rate,
                "blocks": heard.report.blocks,
                "state": heard.report.state,
                "age": round(now - heard.time, 1),
            }
            for heard in live
        ],
        "hashrate": sum(heard.report.hash_rate for heard in live if heard.report.state == "mining"),
        "blocks": sum(heard.report.blocks for heard in live),
    }


METHODS = (
    Method(
        "warren_miners",
        "Mining",
        "Returns the miners by their reports, of which each sends one every five seconds: name, kernel, hashrate\n"
        "(hashes per second while it searches), blocks (found since its start), state (mining or waiting), age of the\n"
        "report in seconds. And their sums: the hashrate of those that search, and blocks.",
        (),
        warren_miners,
    ),
)
