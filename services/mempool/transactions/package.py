"""Takes a child with its parents into the pool, so that a child's fee can pay for parents that pay too little.

Each transaction is tried by itself first; transactions that fail because of their own or a parent's fee are judged
together. Source: Core's policy/packages.cpp and AcceptPackage.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.mempool.pool.acceptance import Acceptor, Origin
from services.mempool.pool.changeset import Candidate
from services.mempool.state import NodeState
from services.mempool.transactions.pool_change import PoolChange
from services.mempool.transactions.verdicts import accepted_as, refusal
from shared import policy
from shared.bus.events import TxVerdict, TxVerdicts
from shared.errors import ValidationError
from shared.policy import MAX_PACKAGE_COUNT, MAX_PACKAGE_WEIGHT
from shared.primitives.transaction import Transaction
from shared.reasons import Reason

_JUDGED_TOGETHER = (
    Reason.MIN_RELAY_FEE_NOT_MET,
    Reason.MEMPOOL_MIN_FEE_NOT_MET,
    Reason.BAD_TXNS_INPUTS_MISSINGORSPENT,
    Reason.INSUFFICIENT_FEE,
    Reason.REPLACEMENT_FAILED,
)
"""Reasons that a child's fee may make up for (TX_RECONSIDERABLE), and the reason of a missing parent."""


def check_well_formed(txs: Sequence[Transaction]) -> None:
    """Raise `ValidationError` unless the transactions form a package in this order (IsWellFormedPackage)."""
    if len(txs) > MAX_PACKAGE_COUNT:
        detail = f"{len(txs)} transactions, at most {MAX_PACKAGE_COUNT}"
        raise ValidationError(Reason.PACKAGE_TOO_MANY_TRANSACTIONS, detail)
    weight = sum(tx.weight for tx in txs)
    if len(txs) > 1 and weight > MAX_PACKAGE_WEIGHT:
        raise ValidationError(Reason.PACKAGE_TOO_LARGE, f"{weight} weight units, at most {MAX_PACKAGE_WEIGHT}")
    later = {tx.txid for tx in txs}
    if len(later) < len(txs):
        raise ValidationError(Reason.PACKAGE_CONTAINS_DUPLICATES)
    for tx in txs:
        if any(txin.prevout.txid in later for txin in tx.inputs):
            raise ValidationError(Reason.PACKAGE_NOT_SORTED)
        later.discard(tx.txid)
    spent = [txin.prevout for tx in txs for txin in tx.inputs]
    if len(set(spent)) < len(spent) or not all(tx.inputs for tx in txs):
        raise ValidationError(Reason.CONFLICT_IN_PACKAGE)


def check_topology(txs: Sequence[Transaction]) -> None:
    """Raise `ValidationError` unless all transactions before the last are its parents (IsChildWithParents)."""
    parents = {txin.prevout.txid for txin in txs[-1].inputs}
    if any(tx.txid not in parents for tx in txs[:-1]):
        raise ValidationError(Reason.PACKAGE_NOT_CHILD_WITH_PARENTS)


class PackageCheck:
    """One package on its way into the pool of `node`, through a `pool_change` that has yet to be committed."""

    def __init__(self, node: NodeState, acceptor: Acceptor, pool_change: PoolChange, max_feerate: int | None) -> None:
        self._node = node
        self._acceptor = acceptor
        self._pool_change = pool_change
        self._max_feerate = max_feerate
        self.entered: list[bytes] = []
        """Txids that entered the pool."""

    def run(self, txs: Sequence[Transaction]) -> TxVerdicts:
        """Accept the valid transactions; return a verdict on each, and any fault of the package as a whole."""
        try:
            check_well_formed(txs)
            check_topology(txs)
        except ValidationError as error:
            return TxVerdicts(verdicts=tuple(refusal(tx, error) for tx in txs), package_error=error.reject_reason)
        verdicts: dict[bytes, TxVerdict] = {}
        together: list[Transaction] = []
        package_error = ""
        for tx in txs:
            known = self._node.pool.get(tx.txid)
            if known is not None:
                verdicts[tx.txid] = accepted_as(known, tx)
                continue
            try:
                verdicts[tx.txid] = self._alone(tx)
            except ValidationError as error:
                verdicts[tx.txid] = refusal(tx, error)
                if error.reason in _JUDGED_TOGETHER:
                    together.append(tx)
                else:
                    package_error = str(Reason.TRANSACTION_FAILED)
        if together and not package_error:
            try:
                verdicts |= self._together(together) if len(txs) > 1 else {}
            except ValidationError as error:  # of the package as a whole: each keeps what it was told alone
                package_error = str(error)
            if not package_error and not all(verdicts[tx.txid].accepted for tx in together):
                package_error = str(Reason.TRANSACTION_FAILED)
        return TxVerdicts(verdicts=tuple(verdicts[tx.txid] for tx in txs), package_error=package_error)

    def _alone(self, tx: Transaction) -> TxVerdict:
        candidate = self._acceptor.examine(tx, self._node.next_sequence, Origin.SUBMITTED)
        self._acceptor.check_place(candidate)
        self._check_maximum(candidate)
        self._acceptor.verify(candidate)
        rate = policy.feerate(candidate.modified_fee, candidate.vsize)
        return self._enter(candidate, rate, (tx.wtxid_hex,))

    def _together(self, txs: Sequence[Transaction]) -> dict[bytes, TxVerdict]:
        """Judge these transactions by their joint feerate: all of them enter the pool, or none.

        Return their verdicts, or only the verdict of the transaction that failed; raises `ValidationError` if the
        package as a whole fails.
        """
        candidates: list[Candidate] = []
        wtxids = tuple(tx.wtxid_hex for tx in txs)
        siblings: dict[bytes, Transaction] = {}
        for tx in txs:
            try:
                candidate = self._acceptor.examine(
                    tx, self._node.next_sequence + len(candidates), Origin.PACKAGE, siblings
                )
                self._check_maximum(candidate)
            except ValidationError as error:
                return {tx.txid: refusal(tx, error)}
            candidates.append(candidate)
            siblings[tx.txid] = tx
        fee = sum(candidate.modified_fee for candidate in candidates)
        vsize = sum(candidate.vsize for candidate in candidates)
        rate = policy.feerate(fee, vsize)
        try:
            policy.check_minimum_fee(fee, vsize)
        except ValidationError as error:
            return {txs[-1].txid: refusal(txs[-1], error, rate, wtxids)}
        self._acceptor.check_package_place(candidates)
        for candidate in candidates:
            try:
                self._acceptor.verify(candidate)
            except ValidationError as error:
                return {candidate.tx.txid: refusal(candidate.tx, error)}
        return {candidate.tx.txid: self._enter(candidate, rate, wtxids) for candidate in candidates}

    def _check_maximum(self, candidate: Candidate) -> None:
        rate = policy.feerate(candidate.modified_fee, candidate.vsize)
        if self._max_feerate is not None and rate > self._max_feerate:
            raise ValidationError(Reason.MAX_FEERATE_EXCEEDED)

    def _enter(self, candidate: Candidate, rate: int, wtxids: tuple[str, ...]) -> TxVerdict:
        replaced = self._pool_change.enter(candidate)
        self.entered.append(candidate.tx.txid)
        return accepted_as(candidate.record, candidate.tx, rate, wtxids, replaced)
