"""What is said about a submitted transaction."""

from __future__ import annotations

from shared.bus.events import TxVerdict
from shared.chain.commit import PoolRecord
from shared.errors import ValidationError
from shared.primitives.transaction import Transaction


def accepted_as(
    record: PoolRecord,
    tx: Transaction,
    feerate: int | None = None,
    includes: tuple[str, ...] = (),
    replaced: tuple[str, ...] = (),
) -> TxVerdict:
    """Return that a transaction is in the pool, as `record` there, judged by this feerate of these wtxids.

    Without a feerate it was there before, maybe with another witness. `replaced` are txids that left for it.
    """
    entry = record.entry
    same = record.tx.wtxid == tx.wtxid
    return TxVerdict(
        txid=tx.txid_hex,
        wtxid=tx.wtxid_hex,
        accepted=True,
        fee=entry.fee,
        vsize=entry.vsize,
        effective_feerate=feerate,
        effective_includes=includes,
        other_wtxid="" if same else record.tx.wtxid_hex,
        replaced=replaced,
    )


def refusal(
    tx: Transaction, error: ValidationError, feerate: int | None = None, includes: tuple[str, ...] = ()
) -> TxVerdict:
    """Return why a transaction was refused, and by the feerate of which wtxids if it was judged with others."""
    return TxVerdict(
        txid=tx.txid_hex,
        wtxid=tx.wtxid_hex,
        accepted=False,
        reason=error.reject_reason,
        detail=error.detail,
        effective_feerate=feerate,
        effective_includes=includes,
    )
