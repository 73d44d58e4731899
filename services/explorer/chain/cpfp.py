"""How unconfirmed transactions that spend from each other are mined together (CPFP). Pure.

A miner takes a transaction with all its unconfirmed ancestors, the best paying such set first; the feerate of the set
with which a transaction is taken is its effective one (Core's BlockAssembler).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction

from shared.chain.codec import PoolEntry
from shared.primitives.transaction import Transaction

Members = Mapping[bytes, tuple[Transaction, PoolEntry]]
"""Transactions of the pool by txid, among them every ancestor of each."""


def ancestors(members: Members, txid: bytes) -> set[bytes]:
    """Return the txids of all members that a member depends on."""
    found: set[bytes] = set()
    pending = [txid]
    while pending:
        tx, _ = members[pending.pop()]
        parents = {txin.prevout.txid for txin in tx.inputs if txin.prevout.txid in members} - found
        found |= parents
        pending += parents
    return found


def descendants(members: Members, txid: bytes) -> set[bytes]:
    """Return the txids of all members that depend on a member."""
    return {other for other in members if txid in ancestors(members, other)}


def effective_feerate(members: Members, txid: bytes) -> float:
    """Return satoshis per virtual byte by which a miner judges a member."""
    sets = {other: ancestors(members, other) | {other} for other in members}
    while True:
        rates = {other: _feerate(members, chosen) for other, chosen in sets.items()}
        best = sets[max(rates, key=lambda other: (rates[other], -members[other][1].sequence))]
        if txid in best:
            return float(_feerate(members, best))
        sets = {other: chosen - best for other, chosen in sets.items() if other not in best}


def _feerate(members: Members, txids: Collection[bytes]) -> Fraction:
    entries = [members[txid][1] for txid in txids]
    return Fraction(sum(entry.fee for entry in entries), sum(entry.vsize for entry in entries))
