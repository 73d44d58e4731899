"""All methods of the RPC interface, by name."""

from __future__ import annotations

from services.mempool.rpc.methods import (
    block_stats,
    block_template,
    blockchain,
    chain_state,
    control,
    debugging,
    decode_script,
    fees,
    mempool,
    messages,
    mining,
    network,
    psbt,
    rawtransactions,
    signing,
    txoutproof,
    txoutset,
    util,
    waiting,
)

_CATEGORIES = (
    block_stats,
    block_template,
    blockchain,
    chain_state,
    control,
    debugging,
    fees,
    messages,
    mempool,
    mining,
    network,
    psbt,
    rawtransactions,
    decode_script,
    signing,
    txoutproof,
    txoutset,
    util,
    waiting,
)

METHODS = {method.name: method for category in _CATEGORIES for method in category.METHODS}
