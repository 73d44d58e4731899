"""bitcoind's answer to `sendrawtransaction`: JSON-RPC gives it, and Esplora passes it on as electrs does."""

from __future__ import annotations

from shared.bus.events import TxVerdict
from shared.reasons import MISSING_OR_SPENT, Reason

_IN_POOL = (Reason.TXN_ALREADY_IN_MEMPOOL, Reason.TXN_SAME_NONWITNESS_DATA_IN_MEMPOOL)
_TOO_EXPENSIVE = (Reason.MAX_FEERATE_EXCEEDED, Reason.MAX_FEE_EXCEEDED)

_VERIFY_ERROR = -25
_VERIFY_REJECTED = -26
_VERIFY_ALREADY_IN_UTXO_SET = -27


def send_error(verdict: TxVerdict) -> tuple[int, str] | None:
    """Return the code and message of a refusal (Core's JSONRPCTransactionError), None for a transaction in the pool.

    A transaction that was in the pool before, perhaps with another witness, is a success too.
    """
    if verdict.accepted or verdict.reason in _IN_POOL:
        return None
    if verdict.reason == Reason.TXN_ALREADY_KNOWN:
        return _VERIFY_ALREADY_IN_UTXO_SET, "Transaction outputs already in utxo set"
    if verdict.reason in MISSING_OR_SPENT:
        return _VERIFY_ERROR, Reason.BAD_TXNS_INPUTS_MISSINGORSPENT
    if verdict.reason in _TOO_EXPENSIVE:
        return _VERIFY_ERROR, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"
    return _VERIFY_REJECTED, verdict.refusal
