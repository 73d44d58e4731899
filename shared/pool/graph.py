"""The graph of unconfirmed transactions: which spends from which, by txid. Pure.

The writer keeps one graph of its pool up to date; readers make a graph of the transactions that they have read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from shared.primitives.transaction import Transaction

_NONE: frozenset[bytes] = frozenset()


class Graph:
    """Parents and children of transactions; a transaction without either needs no entry."""

    __slots__ = ("_children", "_parents")

    def __init__(self) -> None:
        self._parents: dict[bytes, set[bytes]] = {}
        self._children: dict[bytes, set[bytes]] = {}

    @classmethod
    def of(cls, txs: Iterable[Transaction]) -> Graph:
        """Return the graph of these transactions."""
        graph = cls()
        by_txid = {tx.txid: tx for tx in txs}
        for txid, tx in by_txid.items():
            for txin in tx.inputs:
                if txin.prevout.txid in by_txid:
                    graph.link(txin.prevout.txid, txid)
        return graph

    def link(self, parent: bytes, child: bytes) -> None:
        """Record that `child` spends an output of `parent`."""
        self._parents.setdefault(child, set()).add(parent)
        self._children.setdefault(parent, set()).add(child)

    def remove(self, txid: bytes) -> None:
        """Remove a transaction and its links; its relatives stay."""
        for there, back in ((self._parents, self._children), (self._children, self._parents)):
            for relative in there.pop(txid, _NONE):
                back[relative].discard(txid)
                if not back[relative]:
                    del back[relative]

    def parents(self, txid: bytes) -> AbstractSet[bytes]:
        """Return the txids of the transactions that a transaction spends from."""
        return self._parents.get(txid, _NONE)

    def children(self, txid: bytes) -> AbstractSet[bytes]:
        """Return the txids of the transactions that spend from a transaction."""
        return self._children.get(txid, _NONE)

    def is_alone(self, txid: bytes) -> bool:
        """Tell whether a transaction is a cluster by itself."""
        return txid not in self._parents and txid not in self._children

    def ancestors(self, txids: Iterable[bytes]) -> set[bytes]:
        """Return these transactions and all their ancestors."""
        return _reach(txids, self._parents)

    def descendants(self, txids: Iterable[bytes]) -> set[bytes]:
        """Return these transactions and all their descendants."""
        return _reach(txids, self._children)

    def clusters(self, txids: Iterable[bytes]) -> list[set[bytes]]:
        """Return the clusters of these transactions, each once; a cluster is connected by spending."""
        found: list[set[bytes]] = []
        seen: set[bytes] = set()
        for txid in txids:
            if txid not in seen:
                found.append(_reach([txid], self._parents, self._children))
                seen |= found[-1]
        return found


def _reach(start: Iterable[bytes], *links: Mapping[bytes, set[bytes]]) -> set[bytes]:
    """Return `start` and all transactions that any number of these links lead to from it."""
    found = set(start)
    pending = list(found)
    while pending:
        txid = pending.pop()
        for link in links:
            if txid in link:
                further = link[txid] - found
                found |= further
                pending += further
    return found
