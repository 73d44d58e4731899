"""Verdicts on submitted transactions."""

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
    """Return the verdict on a transaction that the pool holds as `record`, maybe with another witness.

    `feerate` is the effective feerate of the wtxids `includes` that it was judged with; a transaction that was in the
    pool before has none. `replaced` has the txids that it replaced.
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
    """Return the verdict on a refused transaction.

    If it was judged with others, `feerate` is the effective feerate of the wtxids `includes`.
    """
    return TxVerdict(
        txid=tx.txid_hex,
        wtxid=tx.wtxid_hex,
        accepted=False,
        reason=error.reject_reason,
        detail=error.detail,
        effective_feerate=feerate,
        effective_includes=includes,
    )
