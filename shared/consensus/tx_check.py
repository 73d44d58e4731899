"""Context-free rules for a transaction (Core's consensus/tx_check.cpp)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consensus.limits import MAX_BLOCK_WEIGHT, MAX_COINBASE_SCRIPT, MAX_MONEY, MIN_COINBASE_SCRIPT
from shared.errors import ValidationError
from shared.primitives.weight import WITNESS_SCALE_FACTOR
from shared.reasons import Reason

if TYPE_CHECKING:
    from shared.primitives.transaction import Transaction


def check_transaction(tx: Transaction) -> None:
    """Raise ValidationError with the first rule that `tx` breaks, in the order of Core's CheckTransaction."""
    if not tx.inputs:
        raise ValidationError(Reason.BAD_TXNS_VIN_EMPTY)
    if not tx.outputs:
        raise ValidationError(Reason.BAD_TXNS_VOUT_EMPTY)
    if tx.base_size * WITNESS_SCALE_FACTOR > MAX_BLOCK_WEIGHT:
        raise ValidationError(Reason.BAD_TXNS_OVERSIZE, f"{tx.base_size} bytes without witness")
    _check_outputs(tx)
    if len({tx_in.prevout for tx_in in tx.inputs}) != len(tx.inputs):
        raise ValidationError(Reason.BAD_TXNS_INPUTS_DUPLICATE)
    if tx.is_coinbase:
        size = len(tx.inputs[0].script_sig)
        if not MIN_COINBASE_SCRIPT <= size <= MAX_COINBASE_SCRIPT:
            raise ValidationError(Reason.BAD_CB_LENGTH, f"the coinbase's scriptSig has {size} bytes")
    else:
        for index, tx_in in enumerate(tx.inputs):
            if tx_in.prevout.is_null:
                raise ValidationError(Reason.BAD_TXNS_PREVOUT_NULL, f"input {index}")


def _check_outputs(tx: Transaction) -> None:
    total = 0
    for index, tx_out in enumerate(tx.outputs):
        if tx_out.value < 0:
            raise ValidationError(Reason.BAD_TXNS_VOUT_NEGATIVE, f"output {index}")
        if tx_out.value > MAX_MONEY:
            raise ValidationError(Reason.BAD_TXNS_VOUT_TOOLARGE, f"output {index}")
        total += tx_out.value
        if total > MAX_MONEY:
            raise ValidationError(Reason.BAD_TXNS_TXOUTTOTAL_TOOLARGE)
