"""Runs the scripts of a transaction's inputs, and remembers what succeeded.

A block of transactions that the pool knows verifies nothing twice: a transaction that passed all standard rules passes
the rules of consensus too, for those are a part of them.
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
    """Verifies scripts, with a bounded memory of verified transactions."""

    def __init__(self, cache_size: int = CACHE_SIZE) -> None:
        self._cache_size = cache_size
        self._verified: OrderedDict[bytes, Flags] = OrderedDict()

    def verify(self, tx: Transaction, spent: Sequence[TxOut], flags: Flags, reason: Reason) -> None:
        """Raise `ScriptCheckError` with this reason if an input's script fails under these rules.

        What was verified under more rules is not verified again. A wtxid commits to the scripts and witnesses
        and, through the outpoints' txids, to the outputs spent.
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
