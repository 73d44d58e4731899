"""The changes of one commit to the pool: made in memory at once, and undone if the commit does not happen."""

from __future__ import annotations

from services.mempool.pool.changeset import Candidate
from services.mempool.state import NodeState
from services.mempool.transactions.announcements import Announcements
from shared.bus.events import Fact, Removal, TxAccepted, TxRemoved
from shared.chain.commit import Delta, PoolRecord, PoolReplacement


class PoolChange:
    """Adds candidates to the pool of `node`, each in place of its conflicting transactions."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._added: dict[bytes, PoolRecord] = {}
        self._removed: dict[bytes, PoolRecord] = {}
        """Transactions that the pool had before; one that entered and left within the commit is not recorded."""
        self._replacements: list[PoolReplacement] = []
        self._events = Announcements[Fact]()

    def enter(self, candidate: Candidate) -> tuple[str, ...]:
        """Add a candidate; return the txids, in display order, of the transactions that it replaced."""
        pool, record = self._node.pool, candidate.record
        replaced: tuple[str, ...] = ()
        # In a package the parent may have taken the place of it before.
        conflicts = [txid for txid in candidate.conflicts if txid in pool]
        if conflicts:
            evicted = pool.descendants(conflicts)
            replacement = PoolReplacement(
                record.tx.txid,
                self._node.now(),
                tuple(gone for txid, gone in evicted.items() if txid in candidate.conflicts),
                tuple(gone for txid, gone in evicted.items() if txid not in candidate.conflicts),
            )
            replaced = self._make_room(replacement)
        self._node.take_sequence()
        pool.add(record)
        self._added[record.tx.txid] = record
        self._events.add(accepted(record))
        return replaced

    def delta(self) -> Delta | None:
        """Return the delta to commit; None without changes."""
        if not self._events.messages:
            return None
        return Delta(
            pool_added=list(self._added.values()),
            pool_removed=list(self._removed.values()),
            replacements=self._replacements,
            events=self._events.messages,
            traceparents=self._events.traceparents,
        )

    def take_back(self) -> None:
        """Undo all changes of the pool."""
        for txid in reversed(self._added):
            self._node.pool.remove(txid)
        for record in sorted(self._removed.values(), key=lambda record: record.entry.sequence):
            self._node.pool.add(record)

    def _make_room(self, replacement: PoolReplacement) -> tuple[str, ...]:
        by = replacement.txid[::-1].hex()
        self._replacements.append(replacement)
        for record in replacement.removed:
            txid = record.tx.txid
            self._node.pool.remove(txid)
            if self._added.pop(txid, None) is None:
                self._removed[txid] = record
            self._events.add(TxRemoved(txid=record.tx.txid_hex, why=Removal.REPLACED, replaced_by=by))
        return tuple(record.tx.txid_hex for record in replacement.removed)


def accepted(record: PoolRecord) -> TxAccepted:
    """Return the event of a transaction that entered the pool."""
    return TxAccepted(
        txid=record.tx.txid_hex, wtxid=record.tx.wtxid_hex, fee=record.entry.fee, vsize=record.entry.vsize
    )
