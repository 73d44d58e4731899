"""All methods of the RPC interface, by name."""

from __future__ import annotations

from services.mempool.rpc import blockchain, control, mempool, mining, network, rawtransactions, util

METHODS = {
    method.name: method
    for category in (blockchain, control, mempool, mining, network, rawtransactions, util)
    for method in category.METHODS
}
