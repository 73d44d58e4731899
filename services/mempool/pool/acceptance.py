"""Decides whether a transaction may enter the pool: named stages, cheap before costly, as in Core's MemPoolAccept.

Pure, except that it reads the given pool, which it does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from services.mempool.pool.changeset import Candidate, Changeset
from services.mempool.pool.input_policy import check_inputs_standard
from services.mempool.pool.pool import Pool
from services.mempool.pool.rbf import check_package_replacement, check_replacement, check_spends_no_conflict
from services.mempool.pool.script_cache import Verifier
from shared import policy
from shared.chain.codec import PoolEntry
from shared.chain.commit import PoolRecord
from shared.chain.overlay import CoinSource
from shared.consensus.params import ChainParams
from shared.consensus.tx_check import check_transaction
from shared.consensus.tx_verify import check_tx_inputs, is_final_tx, sequence_locks, sigop_cost
from shared.crypto.hashes import sha256
from shared.errors import ValidationError
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxOut
from shared.reasons import Reason
from shared.script.flags import STANDARD


@dataclass(frozen=True, slots=True)
class AcceptContext:
    """The facts about the chain that acceptance needs, and the source of coins."""

    params: ChainParams
    coins: CoinSource
    """Confirmed coins of the chain that ends with `height` - 1."""
    mtp_at: Callable[[int], int]
    """Height → median time past of its block, in seconds."""
    height: int
    """Height of the next block."""
    median_time_past: int
    """Median time past of the tip, in seconds."""
    now: int
    """Seconds since 1970."""
    prioritised: Mapping[bytes, int]
    """Txid → fee delta in satoshis."""


class Origin(Enum):
    """The origin of a transaction, which decides the fee that it must pay, and whether it may replace others."""

    SUBMITTED = auto()
    """It pays for itself."""
    KEEPING = auto()
    """It pays for itself, and may replace nothing."""
    PACKAGE = auto()
    """Its package pays, for replaced transactions too; the package's check ensures that."""
    BLOCK = auto()
    """It was confirmed before a reorganisation: relay policy does not apply to it, and it replaces nothing."""


_MAY_REPLACE = (Origin.SUBMITTED, Origin.PACKAGE)
_NOTHING: Mapping[bytes, Transaction] = MappingProxyType({})


class Acceptor:
    """Checks transactions against one state of chain and pool."""

    def __init__(self, context: AcceptContext, pool: Pool, verifier: Verifier) -> None:
        self._context = context
        self._pool = pool
        self._verifier = verifier

    def accept(
        self, tx: Transaction, sequence: int, origin: Origin = Origin.SUBMITTED, *, max_feerate: int | None = None
    ) -> Candidate:
        """Return a transaction that may enter the pool, or raise `ValidationError` with Core's reason.

        `max_feerate` is in satoshis per 1,000 vbytes.
        """
        candidate = self.examine(tx, sequence, origin)
        if origin is not Origin.BLOCK:
            self.check_place(candidate)
        policy.check_maximum_fee(candidate.record.entry.fee, candidate.vsize, max_feerate)
        self.verify(candidate)
        return candidate

    def examine(
        self, tx: Transaction, sequence: int, origin: Origin, siblings: Mapping[bytes, Transaction] = _NOTHING
    ) -> Candidate:
        """Check a transaction by itself, except its scripts; raises `ValidationError` with Core's reason.

        `siblings` are the transactions of its package, by txid, whose outputs it may spend.
        """
        self._check_context_free(tx, origin)
        conflicts = self._find_conflicts(tx, origin)
        coins = self._find_coins(tx, siblings)
        fee, spent = self._check_inputs(tx, coins, origin)
        cost = sigop_cost(tx, spent, STANDARD)
        vsize = policy.policy_vsize(tx.weight, cost)
        modified_fee = fee + self._context.prioritised.get(tx.txid, 0)
        if origin is not Origin.BLOCK:
            if cost > policy.MAX_STANDARD_TX_SIGOPS_COST:
                raise ValidationError(Reason.BAD_TXNS_TOO_MANY_SIGOPS, str(cost))
            if origin is not Origin.PACKAGE:
                policy.check_minimum_fee(modified_fee, vsize)
        scripts = {output.script_pubkey: None for output in (*spent, *tx.outputs)}
        entry = PoolEntry(tx.wtxid, fee, vsize, tx.weight, cost, self._context.now, sequence)
        record = PoolRecord(tx, entry, tuple([sha256(script) for script in scripts]))
        return Candidate(record, tuple(spent), modified_fee, conflicts)

    def check_place(self, candidate: Candidate) -> None:
        """Check that the pool has room for a candidate, and that it may replace the conflicting transactions.

        Raises `ValidationError` with Core's reason.
        """
        if not candidate.conflicts and not any(txin.prevout.txid in self._pool for txin in candidate.tx.inputs):
            self._check_room(candidate.vsize)  # most have no relatives in the pool
            return
        change = Changeset(self._pool, self._context.prioritised, [candidate])
        if candidate.conflicts:
            check_replacement(change)
            check_spends_no_conflict(candidate, set(self._pool.ancestors(change.parents)))
        else:
            change.check_clusters()
        self._check_room(change.growth)

    def check_package_place(self, candidates: Sequence[Candidate]) -> None:
        """Check room and replacement for a package; raises `ValidationError` with a reason for the whole package."""
        change = Changeset(self._pool, self._context.prioritised, candidates)
        if change.direct:
            check_package_replacement(change)
        else:
            change.check_clusters()
        self._check_room(change.growth)

    def verify(self, candidate: Candidate) -> None:
        """Run a transaction's scripts; raises `ScriptCheckError`."""
        self._verifier.verify(candidate.record.tx, candidate.spent, STANDARD, Reason.MEMPOOL_SCRIPT_VERIFY_FLAG_FAILED)

    def _check_context_free(self, tx: Transaction, origin: Origin) -> None:
        check_transaction(tx)
        if tx.is_coinbase:
            raise ValidationError(Reason.COINBASE, "a coinbase is only valid in a block")
        if origin is not Origin.BLOCK:
            policy.check_standard(tx)
        if not is_final_tx(tx, self._context.height, self._context.median_time_past):
            raise ValidationError(Reason.NON_FINAL, f"lock time {tx.lock_time}")

    def _find_conflicts(self, tx: Transaction, origin: Origin) -> frozenset[bytes]:
        """Return the txids in the pool that spend a coin of this transaction."""
        known = self._pool.get(tx.txid)
        if known is not None:
            same = known.tx.wtxid == tx.wtxid
            raise ValidationError(Reason.TXN_ALREADY_IN_MEMPOOL if same else Reason.TXN_SAME_NONWITNESS_DATA_IN_MEMPOOL)
        spenders = [self._pool.spender(txin.prevout) for txin in tx.inputs]
        conflicts = frozenset(spender for spender in spenders if spender is not None)
        if conflicts and origin not in _MAY_REPLACE:
            raise ValidationError(Reason.BIP125_REPLACEMENT_DISALLOWED)
        return conflicts

    def _find_coins(self, tx: Transaction, siblings: Mapping[bytes, Transaction]) -> list[Coin | None]:
        """Return the coin of each input; an unconfirmed coin has the next block's height."""
        confirmed = iter(self._context.coins.coins([txin.prevout for txin in tx.inputs]))
        coins = []
        for txin in tx.inputs:
            coin = next(confirmed)
            if coin is None:
                output = self._pool.output(txin.prevout) or _output_of(siblings, txin.prevout)
                coin = Coin(output, self._context.height, False) if output is not None else None
            coins.append(coin)
        if None in coins:
            own = [OutPoint(tx.txid, vout) for vout in range(len(tx.outputs))]
            if any(self._context.coins.coins(own)):
                raise ValidationError(Reason.TXN_ALREADY_KNOWN, "it is in a block already")
        return coins

    def _check_inputs(self, tx: Transaction, coins: Sequence[Coin | None], origin: Origin) -> tuple[int, list[TxOut]]:
        context = self._context
        fee = check_tx_inputs(tx, coins, context.height, context.params)
        present = [coin for coin in coins if coin is not None]
        locks = sequence_locks(tx, [coin.height for coin in present], context.mtp_at)
        if not locks.are_met(context.height, context.median_time_past):
            raise ValidationError(Reason.NON_BIP68_FINAL)
        spent = [coin.output for coin in present]
        if origin is not Origin.BLOCK:
            check_inputs_standard(tx, spent)
        return fee, spent

    def _check_room(self, growth: int) -> None:
        if self._pool.vsize + growth > policy.MAX_POOL_VSIZE:
            raise ValidationError(Reason.MEMPOOL_FULL)


def _output_of(txs: Mapping[bytes, Transaction], outpoint: OutPoint) -> TxOut | None:
    parent = txs.get(outpoint.txid)
    return parent.outputs[outpoint.vout] if parent is not None and outpoint.vout < len(parent.outputs) else None
