"""All methods of the RPC interface, by name."""

from __future__ import annotations

from services.mempool.rpc import (
    block_stats,
    block_template,
    blockchain,
    chain_state,
    control,
    decode_script,
    mempool,
    mining,
    network,
    rawtransactions,
    signing,
    txoutproof,
    util,
    waiting,
)

_CATEGORIES = (
    block_stats,
    block_template,
    blockchain,
    chain_state,
    control,
    mempool,
    mining,
    network,
    rawtransactions,
    decode_script,
    signing,
    txoutproof,
    util,
    waiting,
)

METHODS = {method.name: method for category in _CATEGORIES for method in category.METHODS}
