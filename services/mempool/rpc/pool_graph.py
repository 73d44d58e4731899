"""Who depends on whom in the pool, as `getmempoolentry` and its like show it (rpc/mempool.cpp: entryToJSON)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from services.mempool.rpc.values import Json, btc
from shared.chain.codec import PoolEntry
from shared.chain.view import ChainView
from shared.primitives.hexes import display_hash
from shared.primitives.transaction import OutPoint, Transaction

_RBF_SEQUENCE = 0xFFFFFFFD
"""An input with at most this sequence signals that it may be replaced (BIP125)."""


class PoolGraph:
    """The part of the pool that has been asked for; relatives are read as they are reached."""

    def __init__(self, view: ChainView, height: int) -> None:
        self._view = view
        self._height = height
        self._known: dict[bytes, tuple[Transaction, PoolEntry] | None] = {}
        self._parents: dict[bytes, frozenset[bytes]] = {}
        self._children: dict[bytes, frozenset[bytes]] = {}

    def load(self, txids: Iterable[bytes]) -> None:
        """Read these transactions, in one go, unless they are known already."""
        missing = [txid for txid in txids if txid not in self._known]
        for txid, record in zip(missing, self._view.transactions(missing), strict=True):
            in_pool = record is not None and record.pool is not None
            self._known[txid] = (record.tx, record.pool) if in_pool else None  # type: ignore[union-attr, assignment]

    def __contains__(self, txid: bytes) -> bool:
        self.load([txid])
        return self._known[txid] is not None

    def entry_json(self, txid: bytes) -> dict[str, Json]:
        """Return what is known of a transaction that is in the pool."""
        _, entry = self._get(txid)
        ancestors = [self._get(relative)[1] for relative in self._relatives(txid, self._parents_of)]
        descendants = [self._get(relative)[1] for relative in self._relatives(txid, self._children_of)]
        return {
            "vsize": entry.vsize,
            "weight": entry.weight,
            "time": entry.time,
            "height": self._height,
            "descendantcount": len(descendants),
            "descendantsize": sum(relative.vsize for relative in descendants),
            "ancestorcount": len(ancestors),
            "ancestorsize": sum(relative.vsize for relative in ancestors),
            "wtxid": display_hash(entry.wtxid),
            "fees": {
                "base": btc(entry.fee),
                "modified": btc(entry.fee),
                "ancestor": btc(sum(relative.fee for relative in ancestors)),
                "descendant": btc(sum(relative.fee for relative in descendants)),
            },
            "depends": sorted(map(display_hash, self._parents_of(txid))),
            "spentby": sorted(map(display_hash, self._children_of(txid))),
            "bip125-replaceable": self._signals_replacement(txid),
            "unbroadcast": False,
        }

    def _get(self, txid: bytes) -> tuple[Transaction, PoolEntry]:
        self.load([txid])
        known = self._known[txid]
        if known is None:
            raise KeyError(display_hash(txid))
        return known

    def _relatives(self, txid: bytes, step: Callable[[bytes], frozenset[bytes]]) -> set[bytes]:
        found = {txid}
        frontier = [txid]
        while frontier:
            reached = {relative for member in frontier for relative in step(member)} - found
            found |= reached
            frontier = list(reached)
        return found

    def _parents_of(self, txid: bytes) -> frozenset[bytes]:
        if txid not in self._parents:
            spent = {txin.prevout.txid for txin in self._get(txid)[0].inputs}
            self.load(spent)
            self._parents[txid] = frozenset(parent for parent in spent if self._known[parent] is not None)
        return self._parents[txid]

    def _children_of(self, txid: bytes) -> frozenset[bytes]:
        if txid not in self._children:
            outputs = [OutPoint(txid, vout) for vout in range(len(self._get(txid)[0].outputs))]
            spends = {spend.txid for spend in self._view.pool_spends(outputs) if spend is not None}
            self.load(spends)
            self._children[txid] = frozenset(child for child in spends if self._known[child] is not None)
        return self._children[txid]

    def _signals_replacement(self, txid: bytes) -> bool:
        return any(
            txin.sequence <= _RBF_SEQUENCE
            for relative in self._relatives(txid, self._parents_of)
            for txin in self._get(relative)[0].inputs
        )
