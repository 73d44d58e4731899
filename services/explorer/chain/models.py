"""What `ChainQueries` answers with: blocks, transactions and their places as pages and API show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shared.chain.codec import BlockEntry, PoolEntry, Spend
from shared.chain.view import HistoryItem, script_hash
from shared.primitives.transaction import OutPoint, Transaction, TxOut


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """A block's index entry and its place in the chain."""

    entry: BlockEntry
    median_time: int
    """Median of this block's time and the ten before it, in seconds (BIP113)."""
    in_best_chain: bool
    next_hash: bytes | None
    """The block on top of it on the best chain."""


@dataclass(frozen=True, slots=True)
class TxInfo:
    """A transaction and the outputs that it spends."""

    tx: Transaction
    prevouts: Mapping[OutPoint, TxOut]
    block: BlockEntry | None = None
    """The block on the best chain that holds it."""
    pool: PoolEntry | None = None

    def gain_of(self, script: bytes) -> int:
        """Return the satoshis that a script hash receives less those that it spends."""
        spent = [self.prevouts[txin.prevout] for txin in self.tx.inputs if txin.prevout in self.prevouts]
        return sum(paid_to(script, self.tx.outputs)) - sum(paid_to(script, spent))

    def scripts_of(self, script: bytes) -> list[bytes]:
        """Return the scriptPubKeys with this script hash among what the transaction spends and pays."""
        spent = [self.prevouts[txin.prevout] for txin in self.tx.inputs if txin.prevout in self.prevouts]
        known = (output.script_pubkey for output in (*spent, *self.tx.outputs))
        return [script_pubkey for script_pubkey in known if script_hash(script_pubkey) == script]

    @property
    def fee(self) -> int:
        """Satoshis; 0 for a coinbase, and where an output that it spends is not known."""
        if self.tx.is_coinbase or any(txin.prevout not in self.prevouts for txin in self.tx.inputs):
            return 0
        spent = sum(self.prevouts[txin.prevout].value for txin in self.tx.inputs)
        return spent - sum(output.value for output in self.tx.outputs)


@dataclass(frozen=True, slots=True)
class Outspend:
    """The input that spends an output, and the block that holds it once confirmed."""

    spend: Spend
    block: BlockEntry | None


@dataclass(frozen=True, slots=True)
class TxPlace:
    """Where a confirmed transaction stands in its block."""

    block: BlockEntry
    tree: Sequence[Sequence[bytes]]
    """The block's merkle tree, from its txids to the root."""
    position: int


@dataclass(frozen=True, slots=True)
class Movement:
    """What a confirmed transaction did to a script's balance."""

    item: HistoryItem
    value: int
    """Satoshis received less satoshis spent."""
    time: int
    """Of the block, in seconds."""


def prevouts_of(tx: Transaction, spent: Sequence[TxOut]) -> dict[OutPoint, TxOut]:
    """Return the outputs that a transaction spends by their outpoints, none where they are not known."""
    return {txin.prevout: output for txin, output in zip(tx.inputs, spent, strict=False)}


def paid_to(script: bytes, outputs: Iterable[TxOut]) -> list[int]:
    """Return the satoshis of each output that pays a script hash."""
    return [output.value for output in outputs if script_hash(output.script_pubkey) == script]
