"""The changes of the pool if some transactions enter: the transactions that leave, and the clusters that change.

A cluster is a set of unconfirmed transactions that are connected by spending. Source: Core's CTxMemPool::ChangeSet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.mempool.pool.pool import Pool, as_member, modified_fee
from shared import policy
from shared.chain.commit import PoolRecord
from shared.errors import ValidationError
from shared.pool.graph import Graph
from shared.pool.linearize import Member, improves, linearize
from shared.primitives.transaction import Transaction, TxOut
from shared.primitives.weight import WITNESS_SCALE_FACTOR
from shared.reasons import Reason


@dataclass(frozen=True, slots=True)
class Candidate:
    """A transaction that has passed all checks of itself except its scripts."""

    record: PoolRecord
    spent: tuple[TxOut, ...]
    modified_fee: int
    """Fee with the operator's delta, in satoshis."""
    conflicts: frozenset[bytes]
    """Txids in the pool that spend one of its coins."""

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
        """Txids of the conflicting transactions, which spend a coin of a candidate."""
        self.evicted = pool.descendants(self.direct)
        """The conflicting transactions and all their descendants."""
        self.parents = {
            txin.prevout.txid for candidate in candidates for txin in candidate.tx.inputs if txin.prevout.txid in pool
        }
        """Txids in the pool that a candidate spends from."""
        self._clusters = pool.clusters(self.direct | self.parents)
        self._graph = pool.graph

    @property
    def conflicting_clusters(self) -> int:
        """Number of clusters that a candidate conflicts with."""
        return sum(not self.direct.isdisjoint(cluster) for cluster in self._clusters)

    @property
    def fees_lost(self) -> int:
        """Modified fees of the evicted transactions, in satoshis."""
        return sum(modified_fee(record, self._prioritised) for record in self.evicted.values())

    @property
    def fees(self) -> int:
        """Modified fees of the candidates, in satoshis."""
        return sum(candidate.modified_fee for candidate in self.candidates)

    @property
    def vsize(self) -> int:
        """Virtual bytes of the candidates."""
        return sum(candidate.vsize for candidate in self.candidates)

    @property
    def growth(self) -> int:
        """Virtual bytes by which the pool grows."""
        return self.vsize - sum(record.entry.vsize for record in self.evicted.values())

    def before(self) -> dict[bytes, Member]:
        """Return the clusters that change, as they are now."""
        return {txid: self._member(record) for cluster in self._clusters for txid, record in cluster.items()}

    def after(self) -> dict[bytes, Member]:
        """Return these clusters with the candidates and without the evicted transactions."""
        members = {txid: self._member(record) for txid, record in self._staying().items()}
        for candidate in self.candidates:
            members[candidate.tx.txid] = as_member(candidate.record, candidate.modified_fee)
        return members

    def check_clusters(self) -> None:
        """Raise `ValidationError` if a cluster would be too large (CheckMemPoolPolicyLimits)."""
        members = self.after()
        for cluster in self._graph_after().clusters(members):
            size = sum(members[txid].size for txid in cluster)
            if len(cluster) > policy.MAX_CLUSTER_COUNT or size > policy.MAX_CLUSTER_VSIZE * WITNESS_SCALE_FACTOR:
                raise ValidationError(Reason.TOO_LARGE_CLUSTER)

    def improves_diagram(self) -> bool:
        """Tell whether blocks of every size earn at least as much afterwards, and blocks of some size earn more."""
        return improves(linearize(self.after(), self._graph_after()), linearize(self.before(), self._graph))

    def _staying(self) -> dict[bytes, PoolRecord]:
        records = {txid: record for cluster in self._clusters for txid, record in cluster.items()}
        return {txid: record for txid, record in records.items() if txid not in self.evicted}

    def _graph_after(self) -> Graph:
        txs = [record.tx for record in self._staying().values()] + [candidate.tx for candidate in self.candidates]
        return Graph.of(txs)

    def _member(self, record: PoolRecord) -> Member:
        return as_member(record, modified_fee(record, self._prioritised))
