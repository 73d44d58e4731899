"""What the chain says of a wallet: its balance, its spendable coins, its history. Reads committed state only.

The cost of a balance follows the number of the wallet's addresses and of its unconfirmed transactions, never the length
of its history.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from services.wallet.accounts import WalletKey
from services.wallet.coin_selection import SpendableCoin
from services.wallet.store import Send, SendStatus
from shared.chain.view import ChainView, TxRecord, script_hash
from shared.errors import DecodeError, StoreUnavailable
from shared.primitives.block import HEADER_SIZE
from shared.primitives.serialize import Reader
from shared.primitives.transaction import OutPoint, Transaction, TxOut

_BALANCE_TRIES = 50
_COINBASE_BYTES = 1024
"""More than the coinbases that Warren's own template has; a longer one is read with its whole block."""


@dataclass(frozen=True, slots=True)
class Maturing:
    """Mined coins that cannot be spent yet."""

    height: int
    """The tip's height from which on a payment may spend them."""
    amount: int
    """Satoshis."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Satoshis of a wallet."""

    confirmed: int
    """In blocks, coins that are not mature yet included."""
    immature: int
    """The part of `confirmed` that is mined too recently to be spent."""
    unconfirmed: int
    """What the pool's transactions will add, or take away if negative."""
    spendable: int
    """What may be spent now: mature coins less those being spent, and change of one's own payments."""
    height: int
    """The tip's height that this is true at."""
    maturing: tuple[Maturing, ...] = ()
    """The coins of `immature`, the next ones to mature first."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A transaction as one wallet sees it."""

    txid: bytes
    amount: int
    """Satoshis that it brings, or takes away if negative; the fee is in it."""
    fee: int | None
    """Satoshis, where the wallet itself paid it."""
    status: SendStatus
    height: int | None = None
    time: int | None = None
    """Seconds since 1970: of its block, or of its arrival."""
    is_coinbase: bool = False
    why: str = ""
    """How a dropped transaction left the pool."""


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a transaction does to a set of scripts."""

    received: int
    spent: int
    fee: int | None

    @property
    def is_own(self) -> bool:
        """Whether every input was the wallet's: a stranger cannot take such a transaction back."""
        return self.fee is not None


class Ledger:
    """Reads the chain for wallets."""

    def __init__(self, view: ChainView, coinbase_maturity: int) -> None:
        self._view = view
        self._maturity = coinbase_maturity
        self._coinbase_outputs = lru_cache(maxsize=4 * coinbase_maturity)(self._read_coinbase)

    def balance(self, keys: Sequence[WalletKey]) -> Balance:
        """Return the balance of these keys.

        No block comes in between its reads, so that no payment counts twice, in the pool and in a block. Changes of the
        pool may: a flood of transactions must not keep anyone from seeing a balance.
        """
        tip = self._view.tip()
        for _ in range(_BALANCE_TRIES):
            balance = self._balance(keys, tip.height)
            before, tip = tip, self._view.tip()
            if tip.hash == before.hash:
                return balance
        raise StoreUnavailable("blocks come faster than the balance can be read")

    def _balance(self, keys: Sequence[WalletKey], height: int) -> Balance:
        scripts = {key.script_pubkey for key in keys}
        hashes = [script_hash(key.script_pubkey) for key in keys]
        confirmed = sum(stats.balance for stats in self._view.script_stats(hashes))
        maturing = self._maturing(scripts, height)
        immature = sum(coins.amount for coins in maturing)
        effects = self._effects(self._pool_records(hashes), scripts).values()
        unconfirmed = sum(effect.received - effect.spent for effect in effects)
        usable = sum((effect.received if effect.is_own else 0) - effect.spent for effect in effects)
        spendable = max(0, confirmed - immature + usable)
        return Balance(confirmed, immature, unconfirmed, spendable, height, maturing)

    def _maturing(self, scripts: set[bytes], tip_height: int) -> tuple[Maturing, ...]:
        # A coinbase of height h may be spent in block h + maturity, and the next block's height is tip + 1.
        first = max(1, tip_height + 2 - self._maturity)
        hashes = self._view.block_hashes(first, tip_height + 1 - first)
        found = []
        for height, block_hash in enumerate(hashes, first):
            outputs = self._coinbase_outputs(block_hash)
            amount = sum(output.value for output in outputs if output.script_pubkey in scripts)
            if amount:
                found.append(Maturing(height + self._maturity - 1, amount))
        return tuple(found)

    def _read_coinbase(self, block_hash: bytes) -> tuple[TxOut, ...]:
        reader = Reader(self._view.block_slices([(block_hash, HEADER_SIZE, _COINBASE_BYTES)])[0])
        try:
            reader.compact_size("transactions")
            return Transaction.read(reader).outputs
        except DecodeError:  # it goes on past the slice
            block = self._view.block(block_hash)
            return block.transactions[0].outputs if block else ()

    def spendable(self, keys: Sequence[WalletKey]) -> tuple[list[SpendableCoin], int]:
        """Return the coins that a payment may spend now, and the tip's height.

        A coin that is spent meanwhile does no harm: the mempool refuses the payment, and it is built again.
        """
        by_script = {key.script_pubkey: key for key in keys}
        tip_height = self._view.tip().height
        unspent = self._view.script_unspent(list(by_script))
        parents = {item.outpoint.txid for item in unspent if item.height is None}
        effects = self._effects(self._view.transactions(list(parents)), set(by_script))
        coins = []
        for item in unspent:
            if item.height is None and not (item.outpoint.txid in effects and effects[item.outpoint.txid].is_own):
                continue
            if item.is_coinbase and item.height is not None and tip_height + 1 - item.height < self._maturity:
                continue
            key = by_script[item.output.script_pubkey]
            coins.append(SpendableCoin(item.outpoint, item.output, item.height, key.branch, key.index))
        return coins, tip_height

    def unconfirmed(self, keys: Sequence[WalletKey]) -> list[HistoryEntry]:
        """Return the pool's transactions that touch these keys, newest first."""
        scripts = {key.script_pubkey for key in keys}
        hashes = [script_hash(key.script_pubkey) for key in keys]
        return self._entries(self._pool_records(hashes), scripts)

    def confirmed(self, keys: Sequence[WalletKey], limit: int, after: bytes | None = None) -> list[HistoryEntry]:
        """Return up to `limit` transactions in blocks that touch these keys, newest first; `after` a txid."""
        scripts = {key.script_pubkey for key in keys}
        hashes = [script_hash(key.script_pubkey) for key in keys]
        items = self._view.scripts_history(hashes, limit, after)
        return self._entries(self._view.transactions([item.txid for item in items]), scripts)

    def confirmed_at(self, keys: Sequence[WalletKey], heights: Set[int], limit: int) -> list[HistoryEntry]:
        """Return those of the newest `limit` transactions of these keys that are in blocks of these heights."""
        scripts = {key.script_pubkey for key in keys}
        items = self._view.scripts_history([script_hash(script) for script in scripts], limit)
        recent = [item.txid for item in items if item.height in heights]
        return self._entries(self._view.transactions(recent), scripts)

    def transaction(self, keys: Sequence[WalletKey], txid: bytes) -> HistoryEntry | None:
        """Return one transaction of the best chain or the pool as these keys see it."""
        entries = self._entries(self._view.transactions([txid]), {key.script_pubkey for key in keys})
        return entries[0] if entries else None

    def _pool_records(self, hashes: Sequence[bytes]) -> list[TxRecord | None]:
        return self._view.transactions(self._view.scripts_pool_txids(hashes))

    def _entries(self, records: Sequence[TxRecord | None], scripts: set[bytes]) -> list[HistoryEntry]:
        effects = self._effects(records, scripts)
        return [_entry(record, effects[record.tx.txid]) for record in records if record is not None]

    def _effects(self, records: Sequence[TxRecord | None], scripts: set[bytes]) -> dict[bytes, _Effect]:
        txs = [record.tx for record in records if record is not None]
        prevouts = self._view.prevouts(txs)
        return {tx.txid: _effect(tx, prevouts, scripts) for tx in txs}


def merge_unmined(unconfirmed: Sequence[HistoryEntry], sends: dict[bytes, Send]) -> list[HistoryEntry]:
    """Return what is in no block: the pool's transactions, and sends that the pool does not have, newest first.

    A send that the pool does not have is pending or was dropped, whatever its record still says.
    """
    entries = list(unconfirmed)
    known = {entry.txid for entry in unconfirmed}
    for txid, send in sends.items():
        if txid not in known:
            status = SendStatus.DROPPED if send.status is SendStatus.DROPPED else SendStatus.PENDING
            amount = -(send.amount + send.fee)
            entries.append(HistoryEntry(txid, amount, send.fee, status, time=send.time, why=send.why))
    return sorted(entries, key=lambda entry: entry.time or 0, reverse=True)


def _effect(tx: Transaction, prevouts: dict[OutPoint, TxOut], scripts: set[bytes]) -> _Effect:
    received = sum(output.value for output in tx.outputs if output.script_pubkey in scripts)
    spent_outputs = [prevouts[txin.prevout] for txin in tx.inputs if txin.prevout in prevouts]
    own = [output.value for output in spent_outputs if output.script_pubkey in scripts]
    fee = None
    if len(own) == len(tx.inputs):
        fee = sum(own) - sum(output.value for output in tx.outputs)
    return _Effect(received, sum(own), fee)


def _entry(record: TxRecord, effect: _Effect) -> HistoryEntry:
    amount = effect.received - effect.spent
    txid, is_coinbase = record.tx.txid, record.tx.is_coinbase
    if record.block is not None:
        height, time = record.block.height, record.block.header.time
        return HistoryEntry(txid, amount, effect.fee, SendStatus.CONFIRMED, height, time, is_coinbase)
    arrival = record.pool.time if record.pool else None
    return HistoryEntry(txid, amount, effect.fee, SendStatus.UNCONFIRMED, time=arrival)
