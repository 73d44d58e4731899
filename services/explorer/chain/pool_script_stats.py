"""Counters of a script over its unconfirmed transactions, each of which is read once: a txid never changes meaning."""

from __future__ import annotations

import threading

from services.explorer.chain.models import paid_to
from shared.chain.view import ChainView, Moved, ScriptStats

MOST_KNOWN = 100_000
"""Effects of transactions on scripts that are kept; beyond that all are dropped."""


class PoolScriptStats:
    """Adds up the unconfirmed transactions of scripts. Safe to use from any thread."""

    def __init__(self, view: ChainView) -> None:
        self._view = view
        self._lock = threading.Lock()
        self._known: dict[tuple[bytes, bytes], ScriptStats] = {}
        """By script hash and txid."""

    def stats(self, script: bytes) -> ScriptStats:
        """Return the counters of a script hash over its unconfirmed transactions alone; `Moved` if one has left."""
        txids = self._view.scripts.pool_txids(script)
        with self._lock:
            effects = {txid: self._known.get((script, txid)) for txid in txids}
        unknown = [txid for txid, effect in effects.items() if effect is None]
        for txid, record in zip(unknown, self._view.txs.get_with_spent(unknown), strict=True):
            if record is None:
                raise Moved
            funded, spent = paid_to(script, record.tx.outputs), paid_to(script, record.spent)
            effects[txid] = ScriptStats(1, len(funded), sum(funded), len(spent), sum(spent))
        with self._lock:
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
            self._known.update(((script, txid), effect) for txid in unknown if (effect := effects[txid]))
        found = [effect for effect in effects.values() if effect is not None]
        return ScriptStats(
            len(found),
            sum(effect.funded_count for effect in found),
            sum(effect.funded_sum for effect in found),
            sum(effect.spent_count for effect in found),
            sum(effect.spent_sum for effect in found),
        )
