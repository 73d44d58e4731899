"""Who depends on whom in the pool, as `getmempoolentry` and its like show it (rpc/mempool.cpp: entryToJSON)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from services.mempool.rpc.server.values import Json, btc
from shared.chain.view import ChainView, TxRecord
from shared.policy import signals_replacement
from shared.primitives.hex import display_hash
from shared.primitives.transaction import OutPoint


class PoolGraph:
    """Unconfirmed transactions with their relations. Pure: it knows what it was given, the pool or one family."""

    def __init__(
        self, records: Iterable[TxRecord], height: int, priorities: Mapping[bytes, int] = MappingProxyType({})
    ) -> None:
        """Take records of the pool, the height of the tip, and what transactions count as paying beyond their fee."""
        self._height = height
        self._priorities = priorities
        self._known = {record.tx.txid: (record.tx, record.pool) for record in records if record.pool is not None}
        self._parents: Mapping[bytes, frozenset[bytes]] = {
            txid: frozenset(txin.prevout.txid for txin in tx.inputs if txin.prevout.txid in self._known)
            for txid, (tx, _) in self._known.items()
        }
        self._children: defaultdict[bytes, set[bytes]] = defaultdict(set)
        for txid, parents in self._parents.items():
            for parent in parents:
                self._children[parent].add(txid)

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._known

    def ancestors(self, txid: bytes) -> set[bytes]:
        """Return a transaction, which must be one of them, and all that it depends on."""
        return _reach([txid], lambda relative: self._parents[relative])

    def descendants(self, txid: bytes) -> set[bytes]:
        """Return a transaction, which must be one of them, and all that depends on it."""
        return _reach([txid], lambda relative: self._children[relative])

    def all_json(self) -> dict[str, Json]:
        """Return every transaction's entry by its displayed txid, in the order given."""
        return {display_hash(txid): self.entry_json(txid) for txid in self._known}

    def entry_json(self, txid: bytes) -> dict[str, Json]:
        """Return what is known of a transaction, which must be one of them."""
        _, entry = self._known[txid]
        above, below = self.ancestors(txid), self.descendants(txid)
        ancestors = [self._known[relative] for relative in above]
        descendants = [self._known[relative][1] for relative in below]
        return {
            "vsize": entry.vsize,
            "weight": entry.weight,
            "time": entry.time,
            "height": self._height,
            "descendantcount": len(descendants),
            "descendantsize": sum(relative.vsize for relative in descendants),
            "ancestorcount": len(ancestors),
            "ancestorsize": sum(relative.vsize for _, relative in ancestors),
            "wtxid": display_hash(entry.wtxid),
            "fees": {
                "base": btc(entry.fee),
                "modified": btc(self._modified_fees([txid])),
                "ancestor": btc(self._modified_fees(above)),
                "descendant": btc(self._modified_fees(below)),
            },
            "depends": sorted(map(display_hash, self._parents[txid])),
            "spentby": sorted(map(display_hash, self._children[txid])),
            "bip125-replaceable": any(signals_replacement(tx) for tx, _ in ancestors),
            "unbroadcast": False,
        }

    def _modified_fees(self, txids: Iterable[bytes]) -> int:
        return sum(self._known[txid][1].fee + self._priorities.get(txid, 0) for txid in txids)


def family(view: ChainView, txid: bytes) -> list[TxRecord]:
    """Return an unconfirmed transaction with its unconfirmed ancestors and descendants; nothing if it is not one."""
    known: dict[bytes, TxRecord | None] = {}

    def read(txids: Iterable[bytes]) -> None:
        missing = [wanted for wanted in txids if wanted not in known]
        known.update(zip(missing, view.txs.get_many(missing), strict=True))

    def record(wanted: bytes) -> TxRecord | None:
        found = known[wanted]
        return found if found is not None and found.pool is not None else None

    def parents(child: bytes) -> set[bytes]:
        found = record(child)
        spent = {txin.prevout.txid for txin in found.tx.inputs} if found else set()
        read(spent)
        return spent

    def children(parent: bytes) -> set[bytes]:
        found = record(parent)
        outputs = [OutPoint(parent, vout) for vout in range(len(found.tx.outputs))] if found else []
        spenders = {spend.txid for spend in view.pool.spends(outputs) if spend is not None}
        read(spenders)
        return spenders

    read([txid])
    members = _reach([txid], parents) | _reach([txid], children)
    return [found for member in members if (found := record(member)) is not None]


def _reach(start: Iterable[bytes], step: Callable[[bytes], Iterable[bytes]]) -> set[bytes]:
    """Return all that can be reached from `start` in any number of steps, itself included."""
    found = set(start)
    frontier = list(found)
    while frontier:
        reached = {relative for member in frontier for relative in step(member)} - found
        found |= reached
        frontier = list(reached)
    return found
