"""The names of all keys of a chain.

All keys of a chain share one hash tag, `{warren:<chain>}`, so that a commit touches one cluster slot and several chains
can share a server. Hashes in key names are hex: block hashes in display order, script hashes (SHA-256 of the
scriptPubKey) as they are. docs/redis-schema.md describes the values.
"""

from __future__ import annotations

from shared.crypto.hashes import sha256
from shared.primitives.hex import display_hash


def script_hash(script_pubkey: bytes) -> bytes:
    """Return SHA-256 of a scriptPubKey, the key of its index."""
    return sha256(script_pubkey)


class Keys:
    """Key names of one chain."""

    def __init__(self, chain: str) -> None:
        self.prefix = prefix = f"{{warren:{chain}}}:"
        self.tip = prefix + "tip"
        self.heights = prefix + "heights"
        self.blocks = prefix + "blocks"
        self.txs = prefix + "txs"
        self.scripts = prefix + "scripts"
        self.script_records = prefix + "script_records"
        self.block_fees = prefix + "block_fees"
        self.pool_txs = prefix + "pool:txs"
        self.pool_entries = prefix + "pool:entries"
        self.pool_order = prefix + "pool:order"
        self.pool_spends = prefix + "pool:spends"
        self.pool_scripts = prefix + "pool:scripts"
        self.pool_stats = prefix + "pool:stats"
        self.pool_history = prefix + "pool:history"
        self.replaced = prefix + "replaced"
        self.replaces = prefix + "replaces"
        self.replacements = prefix + "replacements"
        self.prioritised = prefix + "prioritised"
        self.clock = prefix + "clock"
        self.mode = prefix + "mode"
        self.jobs = prefix + "jobs"
        self.events = prefix + "events"
        self.relayed = prefix + "relayed"
        self.writer = prefix + "writer"
        self.writer_epoch = prefix + "writer:epoch"
        self.wallet = prefix + "wallet:"

    def block(self, block_hash: bytes) -> str:
        """Key of a raw block."""
        return f"{self.prefix}block:{display_hash(block_hash)}"

    def undo(self, block_hash: bytes) -> str:
        """Key of a block's undo data: the coins that it spent."""
        return f"{self.prefix}undo:{display_hash(block_hash)}"

    def layout(self, block_hash: bytes) -> str:
        """Key of a block's layout: the ends of its transactions."""
        return f"{self.prefix}layout:{display_hash(block_hash)}"

    def script_coins(self, script_hash: bytes) -> str:
        """Key of the unspent outpoints of a script that has many, by height."""
        return f"{self.prefix}script:{script_hash.hex()}:coins"

    def script_history(self, script_hash: bytes) -> str:
        """Key of the txids that touch a script that has many, by height and position."""
        return f"{self.prefix}script:{script_hash.hex()}:history"
