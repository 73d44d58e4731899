"""Decides when a transaction may replace conflicting transactions in the pool. Pure.

The rules and their numbers are Core 31's (policy/rbf.cpp, doc/policy/mempool-replacements.md). Replaceability need not
be signalled, and a replacement may spend any unconfirmed output: rules 1 and 2 of BIP125 are gone. Fees are modified
fees, with the operator's deltas.
"""

from __future__ import annotations

from fractions import Fraction

from services.mempool.pool.changeset import Candidate, Changeset
from shared.consensus.amount import format_btc, format_money
from shared.errors import ValidationError
from shared.policy import INCREMENTAL_RELAY_FEERATE, MAX_REPLACEMENT_CANDIDATES, fee_for, feerate
from shared.reasons import Reason


def check_replacement(change: Changeset) -> None:
    """Raise `ValidationError` unless one candidate may replace its conflicts (MemPoolAccept::ReplacementChecks)."""
    txid_hex = change.candidates[-1].tx.txid_hex
    _check_clusters(change, txid_hex, Reason.TOO_MANY_POTENTIAL_REPLACEMENTS)
    _check_fees(change, txid_hex, Reason.INSUFFICIENT_FEE)
    change.check_clusters()
    if not change.improves_diagram():
        detail = "insufficient feerate: does not improve feerate diagram"
        raise ValidationError(Reason.REPLACEMENT_FAILED, detail)


def check_package_replacement(change: Changeset) -> None:
    """Raise `ValidationError` unless a package may replace its conflicts (MemPoolAccept::PackageRBFChecks).

    The reason is one of the whole package.
    """
    if len(change.candidates) != 2:
        raise ValidationError(Reason.PACKAGE_RBF_NOT_TWO)
    if change.parents:
        raise ValidationError(Reason.PACKAGE_RBF_ANCESTORS)
    parent, child = change.candidates
    txid_hex = child.tx.txid_hex
    _check_clusters(change, txid_hex, Reason.PACKAGE_RBF_TOO_MANY)
    _check_fees(change, txid_hex, Reason.PACKAGE_RBF_FEES)
    if Fraction(change.fees, change.vsize) <= Fraction(parent.modified_fee, parent.vsize):
        rates = (feerate(change.fees, change.vsize), feerate(parent.modified_fee, parent.vsize))
        package_rate, parent_rate = (f"{format_btc(rate)} BTC/kvB" for rate in rates)
        detail = f"package feerate {package_rate} <= parent feerate is {parent_rate}"
        raise ValidationError(Reason.PACKAGE_RBF_PARENT_FEERATE, detail)
    change.check_clusters()
    if not change.improves_diagram():
        raise ValidationError(Reason.PACKAGE_RBF_DIAGRAM)


def check_spends_no_conflict(candidate: Candidate, ancestors: set[bytes]) -> None:
    """Raise `ValidationError` for a transaction that descends from one it would replace (EntriesAndTxidsDisjoint).

    `ancestors` are its unconfirmed ancestors.
    """
    for txid in sorted(candidate.conflicts & ancestors):
        detail = f"{candidate.tx.txid_hex} spends conflicting transaction {txid[::-1].hex()}"
        raise ValidationError(Reason.BAD_TXNS_SPENDS_CONFLICTING_TX, detail)


def _check_clusters(change: Changeset, txid_hex: str, reason: Reason) -> None:
    """Rule 5: the replacement conflicts with at most 100 clusters (GetEntriesForConflicts)."""
    count = change.conflicting_clusters
    if count > MAX_REPLACEMENT_CANDIDATES:
        limit = f"too many conflicting clusters ({count} > {MAX_REPLACEMENT_CANDIDATES})"
        raise ValidationError(reason, f"rejecting replacement {txid_hex}; {limit}")


def _check_fees(change: Changeset, txid_hex: str, reason: Reason) -> None:
    """Rules 3 and 4: it pays no less than all evicted transactions, and its own relay on top (PaysForRBF)."""
    fees, lost = change.fees, change.fees_lost
    if fees < lost:
        detail = f"less fees than conflicting txs; {format_money(fees)} < {format_money(lost)}"
        raise ValidationError(reason, f"rejecting replacement {txid_hex}, {detail}")
    relay = fee_for(change.vsize, INCREMENTAL_RELAY_FEERATE)
    if fees - lost < relay:
        detail = f"not enough additional fees to relay; {format_money(fees - lost)} < {format_money(relay)}"
        raise ValidationError(reason, f"rejecting replacement {txid_hex}, {detail}")
