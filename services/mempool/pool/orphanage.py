"""Transactions with missing parents, kept for a while in case the parents arrive.

In memory only, and bounded: the sender's transaction was refused for missing inputs, so nothing is promised.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from shared.primitives.transaction import Transaction

MAX_ORPHANS = 100
KEEP_SECONDS = 20 * 60


class Orphanage:
    """Orphans by wtxid, oldest first, and by the parents that they wait for."""

    def __init__(self) -> None:
        self._txs: OrderedDict[bytes, tuple[Transaction, int]] = OrderedDict()
        self._waiting: dict[bytes, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._txs)

    def add(self, tx: Transaction, now: int) -> None:
        """Keep a transaction; drop the oldest one if there are too many. `now` is in seconds."""
        if tx.wtxid in self._txs:
            return
        self._expire(now)
        while len(self._txs) >= MAX_ORPHANS:
            self._drop(next(iter(self._txs)))
        self._txs[tx.wtxid] = (tx, now)
        for txin in tx.inputs:
            self._waiting.setdefault(txin.prevout.txid, set()).add(tx.wtxid)

    def take_children(self, txids: Iterable[bytes]) -> list[Transaction]:
        """Remove and return the orphans that spend an output of any of these transactions."""
        wtxids = {wtxid: None for txid in txids for wtxid in sorted(self._waiting.get(txid, ()))}
        return [self._drop(wtxid) for wtxid in wtxids]

    def _expire(self, now: int) -> None:
        for wtxid in [wtxid for wtxid, (_, since) in self._txs.items() if now - since > KEEP_SECONDS]:
            self._drop(wtxid)

    def _drop(self, wtxid: bytes) -> Transaction:
        tx, _ = self._txs.pop(wtxid)
        for txin in tx.inputs:
            waiting = self._waiting.get(txin.prevout.txid)
            if waiting is not None:
                waiting.discard(wtxid)
                if not waiting:
                    del self._waiting[txin.prevout.txid]
        return tx
