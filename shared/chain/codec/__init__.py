"""The bytes of every binary value in Redis, an encoder and a decoder each: everything is imported from here.

docs/redis-schema.md describes them. Integers are little-endian, except those that are compared as bytes: chain work, the
pool's order of entry, and the scores of a script's history.
"""

from shared.chain.codec.block_data import (
    LAYOUT_ENTRY_SIZE,
    LayoutEntry,
    StoredBlock,
    block_head,
    decode_layout,
    decode_layout_txids,
    decode_spent,
    decode_undo,
    store_block,
)
from shared.chain.codec.blocks import (
    BlockEntry,
    BlockFees,
    BlockStatus,
    decode_block_entry,
    decode_block_fees,
    encode_block_entry,
    encode_block_fees,
)
from shared.chain.codec.coins import (
    Spend,
    TxLocation,
    decode_coin,
    decode_location,
    decode_outpoint,
    decode_spend,
    encode_coin,
    encode_location,
    encode_spend,
)
from shared.chain.codec.known_scripts import decode_script_group, encode_script_group, script_group
from shared.chain.codec.mining import decode_mining, encode_mining
from shared.chain.codec.outbox import decode_event, decode_traceparent
from shared.chain.codec.pool import (
    PoolEntry,
    PoolSample,
    Replaced,
    decode_pool_entry,
    decode_pool_sample,
    decode_pool_script,
    decode_replaced,
    decode_replaces,
    encode_pool_entry,
    encode_pool_script,
    encode_replaced,
    encode_replaces,
    pool_script_hash,
    pool_script_range,
    pool_scripts_by_txid,
)
from shared.chain.codec.scripts import (
    MOST_PACKED,
    ScriptRecord,
    ScriptStats,
    decode_script_record,
    encode_script_record,
    history_score,
    split_history_score,
)
from shared.chain.codec.tx_parts import (
    PART_OUTPUTS,
    StoredOutput,
    TxPart,
    decode_tx_part,
    encode_tx_part,
    part_field,
    part_outpoints,
)

FORMAT = 3
"""Format of all values of a chain in Redis. It grows when a version of Warren changes one."""
RESTORING = 0
"""Stands in the place of the format while `./warren restore` writes a chain."""

__all__ = [
    "FORMAT",
    "LAYOUT_ENTRY_SIZE",
    "MOST_PACKED",
    "PART_OUTPUTS",
    "RESTORING",
    "BlockEntry",
    "BlockFees",
    "BlockStatus",
    "LayoutEntry",
    "PoolEntry",
    "PoolSample",
    "Replaced",
    "ScriptRecord",
    "ScriptStats",
    "Spend",
    "StoredBlock",
    "StoredOutput",
    "TxLocation",
    "TxPart",
    "block_head",
    "decode_block_entry",
    "decode_block_fees",
    "decode_coin",
    "decode_event",
    "decode_layout",
    "decode_layout_txids",
    "decode_location",
    "decode_mining",
    "decode_outpoint",
    "decode_pool_entry",
    "decode_pool_sample",
    "decode_pool_script",
    "decode_replaced",
    "decode_replaces",
    "decode_script_group",
    "decode_script_record",
    "decode_spend",
    "decode_spent",
    "decode_traceparent",
    "decode_tx_part",
    "decode_undo",
    "encode_block_entry",
    "encode_block_fees",
    "encode_coin",
    "encode_location",
    "encode_mining",
    "encode_pool_entry",
    "encode_pool_script",
    "encode_replaced",
    "encode_replaces",
    "encode_script_group",
    "encode_script_record",
    "encode_spend",
    "encode_tx_part",
    "history_score",
    "part_field",
    "part_outpoints",
    "pool_script_hash",
    "pool_script_range",
    "pool_scripts_by_txid",
    "script_group",
    "split_history_score",
    "store_block",
]
