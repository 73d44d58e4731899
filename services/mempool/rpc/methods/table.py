"""All methods of the RPC interface, by name."""

from __future__ import annotations

from services.mempool.rpc.methods import (
    block_stats,
    block_template,
    blockchain,
    chain_state,
    control,
    mempool,
    miners,
    mining,
    mining_mode,
    network,
    psbt,
    rawtransactions,
    signing,
    txoutset,
    util,
)

_CATEGORIES = (
    block_stats,
    block_template,
    blockchain,
    chain_state,
    control,
    mempool,
    miners,
    mining,
    mining_mode,
    network,
    psbt,
    rawtransactions,
    signing,
    txoutset,
    util,
)

METHODS = {method.name: method for category in _CATEGORIES for method in category.METHODS}
