"""The records that `ChainView` returns: transactions, histories, coins and totals, as they are committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shared.chain.codec import BlockEntry, PoolEntry, Replaced, ScriptStats
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxOut

__all__ = [
    "FoundTx",
    "HistoryItem",
    "PoolStats",
    "Replaced",
    "ScriptLists",
    "ScriptStats",
    "StoredTx",
    "Tip",
    "TxRecord",
    "Unspent",
]

Scored = Sequence[tuple[int, bytes]]
"""Members with their scores: scores and txids of a history, or heights and outpoints."""


@dataclass(frozen=True, slots=True)
class Tip:
    """The last block of the best chain."""

    hash: bytes
    height: int
    chain_work: int
    seq: int
    """Number of the last event: grows with every commit, of blocks and of the pool alike."""
    moves: int
    """Number of moves of the tip: it stays the same while only the pool changes."""


@dataclass(frozen=True, slots=True)
class TxRecord:
    """A transaction, and the block or pool entry that it is in."""

    tx: Transaction
    block: BlockEntry | None = None
    """The block on the best chain that holds it; None while it is in the pool."""
    pool: PoolEntry | None = None
    spent: tuple[TxOut, ...] = ()
    """The outputs that its inputs spend, in their order; empty unless `view.txs.get_with_spent` read it."""


class StoredTx(NamedTuple):
    """An unconfirmed transaction as it is read from the store."""

    txid: bytes
    raw: bytes
    entry: PoolEntry
    script_hashes: tuple[bytes, ...]
    """Hashes of all scripts that it pays or spends from, each once."""


@dataclass(frozen=True, slots=True)
class FoundTx:
    """The bytes of a transaction, and the tip at the moment at which it was found."""

    raw: bytes
    tip: Tip
    block: BlockEntry | None = None
    """The block on the best chain of that tip that holds it; None while it is in the pool."""
    spent: tuple[Coin, ...] | None = None
    """The coins that its inputs spend; None in the pool, for a coinbase, and where they are not kept."""


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """A confirmed transaction that touches a script."""

    txid: bytes
    height: int
    position: int


@dataclass(frozen=True, slots=True)
class ScriptLists:
    """The whole history and all coins of a script, in whichever form they are stored."""

    history: Scored
    coins: Scored


@dataclass(frozen=True, slots=True)
class Unspent:
    """An output that no known transaction spends; without a height while unconfirmed."""

    outpoint: OutPoint
    output: TxOut
    height: int | None
    is_coinbase: bool


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Totals of the pool: transactions, virtual bytes, satoshis, bytes."""

    count: int
    vsize: int
    fees: int
    size: int
