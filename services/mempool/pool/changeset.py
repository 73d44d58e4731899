"""What becomes of the pool if transactions enter it: who leaves for them, and the clusters that this changes.

A cluster is a set of unconfirmed transactions that are connected by spending. Source: Core's CTxMemPool::ChangeSet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.mempool.pool.linearize import Member, connected
from services.mempool.pool.pool import Pool, PoolTx
from shared import policy
from shared.chain.commit import PoolRecord
from shared.errors import ValidationError
from shared.primitives.transaction import WITNESS_SCALE_FACTOR, Transaction, TxOut
from shared.reasons import Reason


@dataclass(frozen=True, slots=True)
class Candidate:
    """A transaction that has passed every check of itself but that of its scripts."""

    record: PoolRecord
    spent: tuple[TxOut, ...]
    modified_fee: int
    """Satoshis that it counts as paying."""
    conflicts: frozenset[bytes]
    """Txids in the pool that spend a coin that it spends."""

    @property
    def tx(self) -> Transaction:
        """The transaction."""
        return self.record.tx

    @property
    def vsize(self) -> int:
        """Virtual bytes."""
        return self.record.entry.vsize


class Changeset:
    """Candidates that would enter the pool together."""

    def __init__(self, pool: Pool, prioritised: Mapping[bytes, int], candidates: Sequence[Candidate]) -> None:
        self._prioritised = prioritised
        self.candidates = candidates
        self.direct = {txid for candidate in candidates for txid in candidate.conflicts}
        """Txids that spend a coin that a candidate spends."""
        self.evicted = pool.descendants(self.direct)
        """These, and all that depend on them."""
        self.parents = {
            txin.prevout.txid for candidate in candidates for txin in candidate.tx.inputs if txin.prevout.txid in pool
        }
        """Txids in the pool that a candidate spends from."""
        self._clusters = pool.clusters(self.direct | self.parents)

    @property
    def conflicting_clusters(self) -> int:
        """How many clusters a candidate conflicts with."""
        return sum(not self.direct.isdisjoint(cluster) for cluster in self._clusters)

    @property
    def fees_lost(self) -> int:
        """Satoshis that those who leave count as paying."""
        return sum(self._fee(item) for item in self.evicted.values())

    @property
    def fees(self) -> int:
        """Satoshis that the candidates count as paying."""
        return sum(candidate.modified_fee for candidate in self.candidates)

    @property
    def vsize(self) -> int:
        """Virtual bytes of the candidates."""
        return sum(candidate.vsize for candidate in self.candidates)

    def before(self) -> dict[bytes, Member]:
        """Return the clusters that change, as they are."""
        return {txid: self._member(item) for cluster in self._clusters for txid, item in cluster.items()}

    def after(self) -> dict[bytes, Member]:
        """Return the same with the candidates, without those that leave."""
        members = {txid: member for txid, member in self.before().items() if txid not in self.evicted}
        for candidate in self.candidates:
            members[candidate.tx.txid] = _as_member(candidate.record, candidate.modified_fee)
        return members

    def check_clusters(self) -> None:
        """Raise `ValidationError` if a cluster would be too large (CheckMemPoolPolicyLimits)."""
        members = self.after()
        for cluster in connected(members):
            size = sum(members[txid].size for txid in cluster)
            if len(cluster) > policy.MAX_CLUSTER_COUNT or size > policy.MAX_CLUSTER_VSIZE * WITNESS_SCALE_FACTOR:
                raise ValidationError(Reason.TOO_LARGE_CLUSTER)

    def _fee(self, item: PoolTx) -> int:
        return item.fee + self._prioritised.get(item.tx.txid, 0)

    def _member(self, item: PoolTx) -> Member:
        return _as_member(item.record, self._fee(item))


def _as_member(record: PoolRecord, fee: int) -> Member:
    size = policy.adjusted_weight(record.entry.weight, record.entry.sigop_cost)
    return Member(fee, size, frozenset(txin.prevout.txid for txin in record.tx.inputs))
