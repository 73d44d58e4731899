"""Runs the scripts of a transaction's inputs, and caches verified transactions.

Scripts of transactions from the pool are not run again in a block: a transaction that passed all standard rules also
passes the consensus rules, which are a subset of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from shared.errors import ScriptCheckError, ScriptError
from shared.primitives.transaction import Transaction, TxOut
from shared.reasons import Reason
from shared.script.flags import Flags
from shared.script.interpreter import verify_input
from shared.script.sighash import SighashCache

CACHE_SIZE = 200_000


class Verifier:
    """Verifies scripts, with a bounded cache of verified transactions."""

    def __init__(self, cache_size: int = CACHE_SIZE) -> None:
        self._cache_size = cache_size
        self._verified: OrderedDict[bytes, Flags] = OrderedDict()

    def verify(self, tx: Transaction, spent: Sequence[TxOut], flags: Flags, reason: Reason) -> None:
        """Raise `ScriptCheckError` with this reason if an input's script fails under these rules.

        A transaction that was verified under these rules and more is not verified again. A wtxid commits to the
        scripts and witnesses and, through the outpoints' txids, to the spent outputs.
        """
        known = self._verified.get(tx.wtxid)
        if known is not None and flags in known:
            self._verified.move_to_end(tx.wtxid)
            return
        cache = SighashCache(tx, spent)
        for vin in range(len(tx.inputs)):
            try:
                verify_input(tx, vin, spent, flags, cache=cache)
            except ScriptError as error:
                raise ScriptCheckError(reason, vin, error) from None
        self._verified[tx.wtxid] = flags
        if len(self._verified) > self._cache_size:
            self._verified.popitem(last=False)
