"""RPC methods about the network (rpc/net.cpp). A Warren chain has services instead of peers."""

from __future__ import annotations

from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.method import Method
from services.mempool.rpc.server.values import Json, btc
from shared.policy import INCREMENTAL_RELAY_FEERATE, MIN_RELAY_FEERATE
from shared.version import VERSION

_CATEGORY = "Network"

CORE_VERSION = 300_000
"""The release of Bitcoin Core whose rules and interface this is; clients derive the methods they may call from it."""
PROTOCOL_VERSION = 70_016


def getconnectioncount(node: NodeContext) -> int:
    """Return the number of peers."""
    return 0


def getnetworkinfo(node: NodeContext) -> Json:
    """Return versions and relay fees."""
    return {
        "version": CORE_VERSION,
        "subversion": f"/Warren:{VERSION}/",
        "protocolversion": PROTOCOL_VERSION,
        "localservices": f"{0:016x}",
        "localservicesnames": [],
        "localrelay": True,
        "timeoffset": 0,
        "networkactive": False,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": [],
        "relayfee": btc(MIN_RELAY_FEERATE),
        "incrementalfee": btc(INCREMENTAL_RELAY_FEERATE),
        "localaddresses": [],
        "warnings": [],
    }


def getpeerinfo(node: NodeContext) -> list[Json]:
    """Return the peers."""
    return []


def ping(node: NodeContext) -> None:
    """Ask no peer, for there are none."""


METHODS = (
    Method("getconnectioncount", _CATEGORY, "Returns the number of peers: always 0.", (), getconnectioncount),
    Method("getnetworkinfo", _CATEGORY, "Returns versions and relay fees.", (), getnetworkinfo),
    Method("getpeerinfo", _CATEGORY, "Returns the peers: there are none.", (), getpeerinfo),
    Method("ping", _CATEGORY, "Pings the peers: there are none.", (), ping),
)
