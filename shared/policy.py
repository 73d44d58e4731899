"""Relay policy: the pool's rules beyond consensus, with Core's defaults and names (policy/policy.h)."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import ValidationError
from shared.primitives.transaction import Transaction, TxOut
from shared.reasons import Reason
from shared.script.script import is_push_only
from shared.script.standard import ScriptType, classify, dust_threshold

MIN_RELAY_FEERATE = 100
"""Satoshis per 1,000 vbytes (Core's -minrelaytxfee since 30.0)."""
INCREMENTAL_RELAY_FEERATE = 100
"""Satoshis per 1,000 vbytes that a replacement pays on top of the replaced fees (Core's -incrementalrelayfee)."""
MAX_STANDARD_VERSION = 3
MAX_STANDARD_TX_WEIGHT = 400_000
MIN_STANDARD_TX_NONWITNESS_SIZE = 65
MAX_STANDARD_SCRIPTSIG_SIZE = 1650
MAX_STANDARD_TX_SIGOPS_COST = 16_000
MAX_DATACARRIER_BYTES = 100_000
BYTES_PER_SIGOP = 20
WEIGHT_PER_VBYTE = 4
MAX_CLUSTER_COUNT = 64
MAX_CLUSTER_VSIZE = 101_000
MAX_POOL_VSIZE = 100_000_000
"""Virtual bytes that the pool holds before it refuses more."""


def fee_for(vsize: int, feerate: int) -> int:
    """Return the fee in satoshis for `vsize` vbytes at `feerate` satoshis per 1,000, rounded up (CFeeRate::GetFee)."""
    return -(-vsize * feerate // 1000)


def adjusted_weight(weight: int, sigop_cost: int) -> int:
    """Return the weight, or the weight units charged for the signature operations if more (GetSigOpsAdjustedWeight)."""
    return max(weight, sigop_cost * BYTES_PER_SIGOP)


def policy_vsize(weight: int, sigop_cost: int) -> int:
    """Return the virtual bytes of the adjusted weight, rounded up (GetVirtualTransactionSize)."""
    return -(-adjusted_weight(weight, sigop_cost) // WEIGHT_PER_VBYTE)


def check_standard(tx: Transaction) -> None:
    """Raise ValidationError if a transaction has a form that is not relayed (IsStandardTx)."""
    if not 1 <= tx.version <= MAX_STANDARD_VERSION:
        raise ValidationError(Reason.VERSION, f"version {tx.version}, relayed are 1 to {MAX_STANDARD_VERSION}")
    if tx.weight > MAX_STANDARD_TX_WEIGHT:
        raise ValidationError(Reason.TX_SIZE, f"{tx.weight} weight units, at most {MAX_STANDARD_TX_WEIGHT}")
    for vin, txin in enumerate(tx.inputs):
        if len(txin.script_sig) > MAX_STANDARD_SCRIPTSIG_SIZE:
            raise ValidationError(Reason.SCRIPTSIG_SIZE, f"input {vin}")
        if not is_push_only(txin.script_sig):
            raise ValidationError(Reason.SCRIPTSIG_NOT_PUSHONLY, f"input {vin}")
    _check_outputs(tx.outputs)
    if tx.base_size < MIN_STANDARD_TX_NONWITNESS_SIZE:
        raise ValidationError(Reason.TX_SIZE_SMALL, f"{tx.base_size} bytes, at least {MIN_STANDARD_TX_NONWITNESS_SIZE}")


def _check_outputs(outputs: Sequence[TxOut]) -> None:
    data_bytes = 0
    for vout, output in enumerate(outputs):
        kind, solutions = classify(output.script_pubkey)
        if kind is ScriptType.NONSTANDARD or (kind is ScriptType.MULTISIG and not _is_standard_multisig(solutions)):
            raise ValidationError(Reason.SCRIPTPUBKEY, f"output {vout}")
        if kind is ScriptType.NULL_DATA:
            data_bytes += len(output.script_pubkey)
            if data_bytes > MAX_DATACARRIER_BYTES:
                raise ValidationError(Reason.DATACARRIER, f"more than {MAX_DATACARRIER_BYTES} bytes of data")
        elif output.value < dust_threshold(output):
            raise ValidationError(
                Reason.DUST, f"output {vout}: {output.value} satoshis, at least {dust_threshold(output)}"
            )


def _is_standard_multisig(solutions: Sequence[bytes]) -> bool:
    required, total = solutions[0][0], solutions[-1][0]
    return 1 <= total <= 3 and 1 <= required <= total


def feerate(fee: int, vsize: int) -> int:
    """Return satoshis per 1,000 vbytes, rounded down (CFeeRate)."""
    return fee * 1000 // vsize


def check_minimum_fee(fee: int, vsize: int) -> None:
    """Raise ValidationError for a fee in satoshis below the relay minimum.

    `fee` is the modified fee, with the operator's delta, of a transaction or a whole package.
    """
    minimum = fee_for(vsize, MIN_RELAY_FEERATE)
    if fee < minimum:
        raise ValidationError(Reason.MIN_RELAY_FEE_NOT_MET, f"{fee} < {minimum}")


def check_maximum_fee(fee: int, vsize: int, max_feerate: int | None) -> None:
    """Raise ValidationError for a fee above the sender's limit, in satoshis per 1,000 vbytes (None for no limit)."""
    if max_feerate is not None and fee > fee_for(vsize, max_feerate):
        raise ValidationError(Reason.MAX_FEE_EXCEEDED, f"{fee} > {fee_for(vsize, max_feerate)}")
