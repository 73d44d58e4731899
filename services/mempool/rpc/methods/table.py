"""All methods of the RPC interface, by name."""

from __future__ import annotations

from services.mempool.rpc.methods import control, network, util
from services.mempool.rpc.methods.chain import block_stats, blockchain, chain_state, txoutset
from services.mempool.rpc.methods.mining import block_template, miners, mining, mining_mode
from services.mempool.rpc.methods.transactions import mempool, psbt, rawtransactions, signing

_CATEGORIES = (
    *(block_stats, blockchain, chain_state, txoutset),
    *(mempool, psbt, rawtransactions, signing),
    *(block_template, miners, mining, mining_mode),
    *(control, network, util),
)

METHODS = {method.name: method for category in _CATEGORIES for method in category.METHODS}
