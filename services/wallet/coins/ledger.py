"""Reads a wallet's balance, spendable coins and history from committed chain state.

The cost of a balance grows with the numbers of the wallet's paid addresses and unconfirmed transactions, never with the
length of its history. Addresses that nobody has paid are only looked up in the list of paid ones.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from services.wallet.coins.selection import SpendableCoin
from services.wallet.keys.accounts import WalletKey
from services.wallet.store import Send, SendStatus
from shared.bus.events import BlockDisconnected, TxAccepted, TxRemoved
from shared.chain.view import ChainView, Tip, TxRecord
from shared.errors import DecodeError
from shared.primitives.block import HEADER_SIZE
from shared.primitives.hex import display_hash
from shared.primitives.serialize import Reader
from shared.primitives.transaction import Transaction, TxOut

_FACTS_AT_ONCE = 1000
_COINBASE_BYTES = 1024
"""More than a coinbase from Warren's template has; a longer one is read with its whole block."""


@dataclass(frozen=True, slots=True)
class Maturing:
    """Mined coins that cannot be spent yet."""

    height: int
    """The tip's height at which a payment may first spend them."""
    amount: int
    """Satoshis."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Satoshis of a wallet."""

    confirmed: int
    """The coins in blocks, including immature ones."""
    immature: int
    """The part of `confirmed` that was mined too recently to be spent."""
    unconfirmed: int
    """The satoshis that the pool's transactions will add; negative if they take some away."""
    spendable: int
    """The coins that may be spent now: mature coins that no transaction in the pool spends, and the wallet's change."""
    height: int
    """The tip's height at which the amounts were read."""
    maturing: tuple[Maturing, ...] = ()
    """The coins of `immature`, in the order in which they mature."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A transaction in the history of one wallet."""

    txid: bytes
    amount: int
    """Satoshis that the transaction adds to the wallet, negative if it takes some away; includes the fee."""
    fee: int | None
    """Satoshis; None if the wallet did not pay the fee."""
    status: SendStatus
    height: int | None = None
    time: int | None = None
    """Seconds since 1970: the time of its block, or of its arrival in the pool."""
    is_coinbase: bool = False
    why: str = ""
    """Why a dropped transaction left the pool."""


@dataclass(frozen=True, slots=True)
class _Effect:
    """The satoshis that a transaction pays to and spends from a set of scripts; `fee` only if all inputs are theirs."""

    received: int
    spent: int
    fee: int | None

    @property
    def is_own(self) -> bool:
        """Whether all inputs spend the wallet's coins, so that nobody else can double-spend them."""
        return self.fee is not None


class Ledger:
    """Reads balances, coins and histories of wallets."""

    def __init__(self, view: ChainView, coinbase_maturity: int) -> None:
        self._view = view
        self._maturity = coinbase_maturity
        self._used_scripts: set[bytes] = set()
        """Hashes of scripts that were seen in chain or pool; one may have left it again in a reorganisation."""
        self._coinbase_outputs = lru_cache(maxsize=4 * coinbase_maturity)(self._read_coinbase)

    def _used(self, keys: Sequence[WalletKey]) -> list[WalletKey]:
        """Return the keys whose scripts transactions of chain or pool touch."""
        unknown = [key.script_hash for key in keys if key.script_hash not in self._used_scripts]
        found = self._view.scripts.used(unknown)
        self._used_scripts.update(script for script, is_used in zip(unknown, found, strict=True) if is_used)
        return [key for key in keys if key.script_hash in self._used_scripts]

    def has_used(self, keys: Sequence[WalletKey]) -> bool:
        """Whether anybody has paid one of these keys."""
        return bool(self._used(keys))

    def balance(self, keys: Sequence[WalletKey]) -> Balance:
        """Return the balance of these keys.

        All reads happen at one tip, so that no payment counts twice, in the pool and in a block. The pool may change
        between them: a flood of transactions must not keep anyone from seeing a balance.
        """
        return self._view.at_tip(lambda tip: self._balance(keys, tip.height))

    def _balance(self, keys: Sequence[WalletKey], height: int) -> Balance:
        keys = self._used(keys)
        scripts = {key.script_pubkey for key in keys}
        hashes = [key.script_hash for key in keys]
        confirmed = sum(stats.balance for stats in self._view.scripts.stats(hashes))
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
        reader = Reader(self._view.blocks.slices([(block_hash, HEADER_SIZE, _COINBASE_BYTES)])[0])
        try:
            reader.compact_size("transactions")
            return Transaction.read(reader).outputs
        except DecodeError:  # the coinbase is longer than the slice
            block = self._view.blocks.get(block_hash)
            return block.transactions[0].outputs if block else ()

    def tip(self) -> Tip:
        """Return the tip."""
        return self._view.tip()

    def are_spent(self, coins: Sequence[SpendableCoin]) -> bool:
        """Whether a transaction of chain or pool spends any of these coins."""
        spends = self._view.txs.all_spends([coin.outpoint for coin in coins])
        return any(spend is not None for pair in spends for spend in pair)

    def spendable(self, keys: Sequence[WalletKey]) -> tuple[list[SpendableCoin], Tip]:
        """Return the coins that a payment may spend now, and the tip.

        If a coin is spent meanwhile, the mempool refuses the payment, and the wallet builds it again.
        """
        return self._view.at_tip(lambda tip: (self._spendable(keys, tip.height), tip))

    def _spendable(self, keys: Sequence[WalletKey], tip_height: int) -> list[SpendableCoin]:
        by_script = {key.script_pubkey: key for key in self._used(keys)}
        unspent = self._view.scripts.unspent_paying(list(by_script))
        parents = {item.outpoint.txid for item in unspent if item.height is None}
        effects = self._effects(self._view.txs.get_with_spent(list(parents)), set(by_script))
        coins = []
        for item in unspent:
            if item.height is None and not (item.outpoint.txid in effects and effects[item.outpoint.txid].is_own):
                continue
            if item.is_coinbase and item.height is not None and tip_height + 1 - item.height < self._maturity:
                continue
            key = by_script[item.output.script_pubkey]
            coins.append(SpendableCoin(item.outpoint, item.output, item.height, key.branch, key.index))
        return coins

    def unconfirmed(self, keys: Sequence[WalletKey]) -> list[HistoryEntry]:
        """Return the pool's transactions that touch these keys, newest first."""
        keys = self._used(keys)
        scripts = {key.script_pubkey for key in keys}
        hashes = [key.script_hash for key in keys]
        return self._entries(self._pool_records(hashes), scripts)

    def confirmed(self, keys: Sequence[WalletKey], limit: int, after: bytes | None = None) -> list[HistoryEntry]:
        """Return up to `limit` mined transactions that touch these keys, newest first, starting after txid `after`."""
        keys = self._used(keys)
        scripts = {key.script_pubkey for key in keys}
        hashes = [key.script_hash for key in keys]
        items = self._view.scripts.merged_history(hashes, limit, after)
        return self._entries(self._view.txs.get_with_spent([item.txid for item in items]), scripts)

    def confirmed_at(self, keys: Sequence[WalletKey], heights: Set[int], limit: int) -> list[HistoryEntry]:
        """Return the transactions in blocks of these heights, among the newest `limit` that touch these keys."""
        keys = self._used(keys)
        scripts = {key.script_pubkey for key in keys}
        items = self._view.scripts.merged_history([key.script_hash for key in keys], limit)
        recent = [item.txid for item in items if item.height in heights]
        return self._entries(self._view.txs.get_with_spent(recent), scripts)

    def transaction(self, keys: Sequence[WalletKey], txid: bytes) -> HistoryEntry | None:
        """Return the entry of one transaction of the best chain or the pool, with its amounts for these keys."""
        entries = self._entries(self._view.txs.get_with_spent([txid]), {key.script_pubkey for key in keys})
        return entries[0] if entries else None

    # ── the fate of a payment ───────────────────────────────────────────────────────────────────────────────────

    def status(self, txid: bytes) -> SendStatus | None:
        """Return whether a transaction is confirmed or in the pool; None if it is in neither."""
        record = self._view.txs.get(txid)
        if record is None:
            return None
        return SendStatus.UNCONFIRMED if record.block is None else SendStatus.CONFIRMED

    def block_hash(self, txid: bytes) -> bytes | None:
        """Return the hash of a transaction's block; None if it is in none."""
        record = self._view.txs.get(txid)
        return record.block.hash if record is not None and record.block is not None else None

    def conflicts(self, tx: Transaction) -> list[bytes]:
        """Return the txids of the other transactions, in chain or pool, that spend this one's coins."""
        spends = self._view.txs.all_spends([txin.prevout for txin in tx.inputs])
        found = {spend.txid: None for pair in spends for spend in pair if spend is not None}
        return [txid for txid in found if txid != tx.txid]

    def may_have_been_accepted(self, txid: bytes, seq: int) -> bool:
        """Whether a transaction has entered or left the pool since fact number `seq`, or the facts no longer tell."""
        last = self._view.tip().seq
        while seq < last:
            facts = self._view.events_since(seq, _FACTS_AT_ONCE)
            if not facts or facts[0].seq != seq + 1:  # older facts than the kept ones
                return True
            for fact in facts:
                if isinstance(fact, BlockDisconnected):  # it may have been in this block
                    return True
                if isinstance(fact, TxAccepted | TxRemoved) and fact.txid == display_hash(txid):
                    return True
            seq = facts[-1].seq
        return False

    def _pool_records(self, hashes: Sequence[bytes]) -> list[TxRecord | None]:
        return self._view.txs.get_with_spent(self._view.scripts.merged_pool_txids(hashes))

    def _entries(self, records: Sequence[TxRecord | None], scripts: set[bytes]) -> list[HistoryEntry]:
        effects = self._effects(records, scripts)
        return [_entry(record, effects[record.tx.txid]) for record in records if record is not None]

    def _effects(self, records: Sequence[TxRecord | None], scripts: set[bytes]) -> dict[bytes, _Effect]:
        return {record.tx.txid: _effect(record, scripts) for record in records if record is not None}


def merge_unmined(unconfirmed: Sequence[HistoryEntry], sends: dict[bytes, Send]) -> list[HistoryEntry]:
    """Return the unmined entries, newest first: the pool's transactions, and sends that are not in the pool.

    A send that is not in the pool is pending or dropped, even if its record still has another status.
    """
    entries = list(unconfirmed)
    known = {entry.txid for entry in unconfirmed}
    for txid, send in sends.items():
        if txid not in known:
            status = SendStatus.DROPPED if send.status is SendStatus.DROPPED else SendStatus.PENDING
            amount = -(send.amount + send.fee)
            entries.append(HistoryEntry(txid, amount, send.fee, status, time=send.time, why=send.why))
    return sorted(entries, key=lambda entry: entry.time or 0, reverse=True)


def _effect(record: TxRecord, scripts: set[bytes]) -> _Effect:
    outputs = record.tx.outputs
    received = sum(output.value for output in outputs if output.script_pubkey in scripts)
    own = [output.value for output in record.spent if output.script_pubkey in scripts]
    fee = None
    if len(own) == len(record.tx.inputs):
        fee = sum(own) - sum(output.value for output in outputs)
    return _Effect(received, sum(own), fee)


def _entry(record: TxRecord, effect: _Effect) -> HistoryEntry:
    amount = effect.received - effect.spent
    txid, is_coinbase = record.tx.txid, record.tx.is_coinbase
    if record.block is not None:
        height, time = record.block.height, record.block.header.time
        return HistoryEntry(txid, amount, effect.fee, SendStatus.CONFIRMED, height, time, is_coinbase)
    arrival = record.pool.time if record.pool else None
    return HistoryEntry(txid, amount, effect.fee, SendStatus.UNCONFIRMED, time=arrival)
