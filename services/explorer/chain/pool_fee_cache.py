"""Caches the fees of the unconfirmed transactions: reads the pool once, then only the changes.

The commit that changes the pool appends to the outbox (the stream `events`) in the same step, one entry for each number
of `seq`. So the pool at one `seq`, with the entries since, gives the pool at the tip's `seq`.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any, TypeVar

from services.explorer.chain.fee_estimates import PoolFees, Ranked, ranked
from shared.bus.events import Fact, TxAccepted, TxRemoved
from shared.chain.view import ChainView
from shared.primitives.hex import display_hash

T = TypeVar("T")

MAX_FACTS = 2_000
"""The most facts to read to catch up; if there are more, the pool is read anew."""


class PoolFeeCache:
    """The pool's fees at the last commit. Any thread may call it."""

    def __init__(self, view: ChainView) -> None:
        self._view = view
        self._lock = threading.Lock()
        self._seq = -1
        self._paying: dict[str, Ranked] = {}
        """Txid in display order, as in the facts → fee."""
        self._best_first: list[Ranked] = []
        self._fees = PoolFees(())
        self._derived: dict[Callable[..., Any], Any] = {}
        """Function → its result; emptied when the pool changes."""

    def derive(self, function: Callable[[PoolFees], T]) -> T:
        """Return a pure function of the pool's fees; it runs once for each state of the pool."""
        with self._lock:
            self._catch_up()
            if not self._derived:
                self._fees = PoolFees(self._best_first)
            if function not in self._derived:
                self._derived[function] = function(self._fees)
            result: T = self._derived[function]
        return result

    def _catch_up(self) -> None:
        facts = self._news()
        if facts is None:
            entries, self._seq = self._view.pool.entries_and_seq()
            self._paying = {display_hash(txid): ranked(entry) for txid, entry in entries.items()}
            self._best_first = sorted(self._paying.values())
            self._derived.clear()
            return
        for fact in facts:
            match fact:
                case TxAccepted():
                    self._forget(fact.txid)
                    self._paying[fact.txid] = item = ranked(fact)
                    insort(self._best_first, item)
                case TxRemoved():
                    self._forget(fact.txid)
                case _:
                    continue
            self._derived.clear()
        self._seq += len(facts)

    def _forget(self, txid_hex: str) -> None:
        item = self._paying.pop(txid_hex, None)
        if item is not None:
            del self._best_first[bisect_left(self._best_first, item)]

    def _news(self) -> list[Fact] | None:
        """Return the facts since the last read of the pool, None if it must be read anew."""
        if self._seq < 1:
            return None
        # The last known fact comes first: only if it is still kept, nothing after it is missing.
        facts = self._view.events_since(self._seq - 1, MAX_FACTS + 2)
        return facts[1:] if facts and facts[0].seq == self._seq and len(facts) <= MAX_FACTS + 1 else None
