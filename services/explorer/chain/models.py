"""Answers of `ChainQueries`: blocks, transactions and coins as pages and API show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shared.chain.block_fees import median_feerate
from shared.chain.codec import BlockEntry, BlockFees, PoolEntry, Spend
from shared.chain.view import HistoryItem, Unspent, script_hash
from shared.consensus.limits import MAX_BLOCK_WEIGHT
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
class MinedBlock:
    """A block of the best chain with its miner and fees, as lists on pages show it."""

    entry: BlockEntry
    miner: str
    """Empty where the coinbase names none, and for the genesis block, whose text is no name."""
    fees: BlockFees | None
    """None for a block without payments."""

    @property
    def total_fees(self) -> int:
        """Satoshis paid by the block's transactions."""
        return self.fees.total if self.fees else 0

    @property
    def rates(self) -> tuple[float, ...]:
        """Feerates from the lowest to the highest; empty for a block without payments."""
        return self.fees.feerates if self.fees else ()

    @property
    def median(self) -> float | None:
        """Feerate in the middle of the block, None for a block without payments."""
        return median_feerate(self.rates) if self.rates else None

    @property
    def fullness(self) -> float:
        """The block's weight as a part of the allowed weight."""
        return self.entry.weight / MAX_BLOCK_WEIGHT


@dataclass(frozen=True, slots=True)
class TxInfo:
    """A transaction and the outputs that it spends."""

    tx: Transaction
    prevouts: Mapping[OutPoint, TxOut]
    block: BlockEntry | None = None
    """The block on the best chain that holds it."""
    pool: PoolEntry | None = None

    @property
    def spent(self) -> list[TxOut]:
        """The known outputs that it spends."""
        return [self.prevouts[txin.prevout] for txin in self.tx.inputs if txin.prevout in self.prevouts]

    def gain_of(self, script: bytes) -> int:
        """Return the satoshis received by a script hash less the satoshis spent from it."""
        return sum(paid_to(script, self.tx.outputs)) - sum(paid_to(script, self.spent))

    def scripts_of(self, script: bytes) -> list[bytes]:
        """Return the scriptPubKeys with this script hash among the spent and the new outputs."""
        known = (output.script_pubkey for output in (*self.spent, *self.tx.outputs))
        return [script_pubkey for script_pubkey in known if script_hash(script_pubkey) == script]

    @property
    def fee(self) -> int:
        """Satoshis; 0 for a coinbase, and where a spent output is unknown."""
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
class MerkleProof:
    """The place of a confirmed transaction in the merkle tree of its block."""

    block: BlockEntry
    tree: Sequence[Sequence[bytes]]
    """The block's whole tree, from its txids to the root."""
    position: int


@dataclass(frozen=True, slots=True)
class BalanceChange:
    """The change of a script's balance by a confirmed transaction."""

    item: HistoryItem
    value: int
    """Satoshis received less satoshis spent."""
    time: int
    """Of the block, in seconds."""


@dataclass(frozen=True, slots=True)
class ListedCoin:
    """A coin, and the unconfirmed input that spends it."""

    coin: Unspent
    spend: Spend | None = None


@dataclass(frozen=True, slots=True)
class CoinPage:
    """A page of a script's coins."""

    start: int
    """Place of the first confirmed coin here, 0 for the newest."""
    confirmed_count: int
    """All confirmed coins, with those that the pool spends."""
    unconfirmed: list[ListedCoin]
    """The newest unconfirmed coins, on the first page only."""
    confirmed: list[ListedCoin]
    """Newest first."""

    @property
    def coins(self) -> list[ListedCoin]:
        """All coins of the page, in its order."""
        return [*self.unconfirmed, *self.confirmed]


def prevouts_of(tx: Transaction, spent: Sequence[TxOut]) -> dict[OutPoint, TxOut]:
    """Return the spent outputs of a transaction by outpoint, as many as are known."""
    return {txin.prevout: output for txin, output in zip(tx.inputs, spent, strict=False)}


def paid_to(script: bytes, outputs: Iterable[TxOut]) -> list[int]:
    """Return the satoshis of each output that pays a script hash."""
    return [output.value for output in outputs if script_hash(output.script_pubkey) == script]
