"""Changes to the chain, computed on top of committed state and not yet written.

Blocks are connected and disconnected in memory; any number of both adds up to one net change, which `commit` applies as
a whole or not at all. `connect_block` has the rules of validation.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from shared.chain.codec import ScriptStats, Spend, TxLocation, history_score
from shared.primitives.block import Block
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction
from shared.script.standard import is_unspendable


class CoinSource(Protocol):
    """The source of committed coins: a part of `ChainView`, or a dictionary in a test."""

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        """Return the coin at each outpoint, None if there is none."""


# A full block makes ten thousand of these: a struct is made in a fifth of the time of a dataclass.
class StatsDelta(msgspec.Struct, gc=False):
    """Change of a script's counters."""

    tx_count: int = 0
    funded_count: int = 0
    funded_sum: int = 0
    spent_count: int = 0
    spent_sum: int = 0

    def added_to(self, stats: ScriptStats) -> ScriptStats:
        """Return the counters after this change."""
        return ScriptStats(
            stats.tx_count + self.tx_count,
            stats.funded_count + self.funded_count,
            stats.funded_sum + self.funded_sum,
            stats.spent_count + self.spent_count,
            stats.spent_sum + self.spent_sum,
        )


class ScriptDelta(msgspec.Struct):
    """Change of the index of one script."""

    coins_added: list[tuple[int, bytes]] = msgspec.field(default_factory=list)
    """Heights and outpoints."""
    coins_removed: list[bytes] = msgspec.field(default_factory=list)
    history: dict[bytes, int | None] = msgspec.field(default_factory=dict)
    """Txid → score, None if the transaction left the best chain."""
    stats: StatsDelta = msgspec.field(default_factory=StatsDelta)


class Overlay:
    """Net changes over a `CoinSource`."""

    def __init__(self, source: CoinSource) -> None:
        self._source = source
        self._base: dict[OutPoint, Coin | None] = {}
        self._coins: dict[OutPoint, Coin | None] = {}
        self.txs: dict[bytes, TxLocation | None] = {}
        self.spends: dict[OutPoint, Spend | None] = {}
        self._scripts: dict[bytes, ScriptDelta] = {}
        """By scriptPubKey."""

    # ── coins ───────────────────────────────────────────────────────────────────────────────────────────────────

    def prefetch(self, outpoints: Iterable[OutPoint]) -> None:
        """Read committed coins before they are looked up, in one round trip."""
        missing = [outpoint for outpoint in outpoints if outpoint not in self._coins and outpoint not in self._base]
        if missing:
            self._base.update(zip(missing, self._source.coins(missing), strict=True))

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """Return the unspent coin at an outpoint after all changes so far."""
        if outpoint in self._coins:
            return self._coins[outpoint]
        if outpoint not in self._base:
            self.prefetch([outpoint])
        return self._base[outpoint]

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        """Return the coin at each outpoint: an overlay is itself a `CoinSource`."""
        self.prefetch(outpoints)
        return [self.coin(outpoint) for outpoint in outpoints]

    # ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def locate(self, block: Block, locations: Sequence[TxLocation]) -> None:
        """Record the locations of the transactions of an applied block."""
        self.txs.update(zip([tx.txid for tx in block.transactions], locations, strict=True))

    def apply(self, tx: Transaction, height: int, position: int) -> list[Coin]:
        """Spend a transaction's inputs, create its outputs, add it to its scripts' indexes; return the spent coins.

        Every input's coin must exist. A coinbase spends nothing. `locate` records the transaction's location.
        """
        spent: list[Coin] = []
        touched: dict[bytes, ScriptDelta] = {}
        txid = tx.txid
        is_coinbase = tx.is_coinbase
        # The coin of a spendable genesis block need not mature: no reorganisation can remove it.
        matures = is_coinbase and height > 0
        if not is_coinbase:
            for vin, txin in enumerate(tx.inputs):
                coin = self.coin(txin.prevout)
                if coin is None:
                    raise KeyError(f"no coin at {txin.prevout}")
                self._coins[txin.prevout] = None
                self.spends[txin.prevout] = Spend(txid, vin)
                stats = self._touch(coin.output.script_pubkey, touched).stats
                stats.spent_count += 1
                stats.spent_sum += coin.output.value
                spent.append(coin)
        for vout, output in enumerate(tx.outputs):
            if not is_unspendable(output.script_pubkey):
                self._coins[OutPoint(txid, vout)] = Coin(output, height, matures)
                stats = self._touch(output.script_pubkey, touched).stats
                stats.funded_count += 1
                stats.funded_sum += output.value
        score = history_score(height, position)
        for delta in touched.values():
            delta.history[txid] = score
            delta.stats.tx_count += 1
        return spent

    def revert(self, tx: Transaction, spent: Sequence[Coin]) -> None:
        """Undo `apply`: remove a transaction's outputs and restore the coins that it spent."""
        touched: dict[bytes, ScriptDelta] = {}
        txid = tx.txid
        for vout, output in enumerate(tx.outputs):
            if not is_unspendable(output.script_pubkey):
                outpoint = OutPoint(txid, vout)
                self.coin(outpoint)  # the net change needs the committed coin
                self._coins[outpoint] = None
                stats = self._touch(output.script_pubkey, touched).stats
                stats.funded_count -= 1
                stats.funded_sum -= output.value
        for txin, coin in zip(tx.inputs if spent else (), spent, strict=True):
            self.coin(txin.prevout)
            self._coins[txin.prevout] = coin
            self.spends[txin.prevout] = None
            stats = self._touch(coin.output.script_pubkey, touched).stats
            stats.spent_count -= 1
            stats.spent_sum -= coin.output.value
        self.txs[txid] = None
        for delta in touched.values():
            delta.history[txid] = None
            delta.stats.tx_count -= 1

    # ── the net change ──────────────────────────────────────────────────────────────────────────────────────────

    def touched(self) -> ItemsView[OutPoint, Coin | None]:
        """Return all outputs that were spent, restored, made or taken back, with their coins after all changes."""
        return self._coins.items()

    def coin_changes(self) -> dict[OutPoint, Coin | None]:
        """Return the coins that differ from committed state: the new coin, or None where the committed one is spent."""
        committed = self._base.get
        # Identity first: comparing coins field by field would take most of the time.
        return {
            outpoint: coin
            for outpoint, coin in self._coins.items()
            if (before := committed(outpoint)) is not coin and (before is None or coin is None or before != coin)
        }

    def script_changes(self, coin_changes: Mapping[OutPoint, Coin | None]) -> dict[bytes, ScriptDelta]:
        """Return scriptPubKey → change of its index, for these changes of coins."""
        for delta in self._scripts.values():
            delta.coins_added.clear()
            delta.coins_removed.clear()
        for outpoint, coin in coin_changes.items():
            before = self._base.get(outpoint)
            if before is not None:
                self._scripts[before.output.script_pubkey].coins_removed.append(outpoint.serialize())
            if coin is not None:
                self._scripts[coin.output.script_pubkey].coins_added.append((coin.height, outpoint.serialize()))
        return self._scripts

    def _touch(self, script_pubkey: bytes, touched: dict[bytes, ScriptDelta]) -> ScriptDelta:
        delta = self._scripts.get(script_pubkey)
        if delta is None:
            delta = self._scripts[script_pubkey] = ScriptDelta()
        touched[script_pubkey] = delta
        return delta
