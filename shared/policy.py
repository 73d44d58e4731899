"""Relay policy: the pool's rules beyond consensus, with all their numbers. Pure.

Defaults and names are Bitcoin Core's where Core has them (policy/policy.h). Acceptance, replacement, templates, RPC,
the wallet, and the explorer's estimates and websocket all use these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import ValidationError
from shared.primitives.serialize import compact_size_length
from shared.primitives.transaction import Transaction, TxOut
from shared.primitives.weight import WITNESS_SCALE_FACTOR
from shared.reasons import Reason
from shared.script.script import is_push_only
from shared.script.standard import ScriptType, classify, is_unspendable, is_witness_program

MIN_RELAY_FEERATE = 100
"""The least satoshis per 1,000 vbytes of a transaction (-minrelaytxfee since 30.0)."""
INCREMENTAL_RELAY_FEERATE = 100
"""Satoshis per 1,000 vbytes that a replacement pays on top of the replaced fees (-incrementalrelayfee)."""
DUST_RELAY_FEERATE = 3_000
"""Satoshis per 1,000 vbytes at which spending an output must cost less than its value (-dustrelayfee)."""
BLOCK_MIN_FEERATE = 1
"""Satoshis per 1,000 vbytes below which no chunk of transactions is mined (-blockmintxfee)."""
DEFAULT_MAX_FEERATE = 10_000_000
"""Satoshis per 1,000 vbytes above which a submitted transaction is refused as a mistake, unless its sender sets
another limit (DEFAULT_MAX_RAW_TX_FEE_RATE)."""
WALLET_FEERATE = 10 * MIN_RELAY_FEERATE
"""Satoshis per 1,000 vbytes that Warren's wallet pays by default: well above the minimum, so that its payments are not
the last ones in a full pool."""

MAX_POOL_VSIZE = 100_000_000
"""The most virtual bytes in the pool (Core's -maxmempool limits memory instead)."""
MAX_CLUSTER_COUNT = 64
MAX_CLUSTER_VSIZE = 101_000
MAX_PACKAGE_COUNT = 25
MAX_PACKAGE_WEIGHT = 404_000
MAX_REPLACEMENT_CANDIDATES = 100
"""Clusters that a replacement may conflict with."""

MAX_STANDARD_VERSION = 3
MAX_STANDARD_TX_WEIGHT = 400_000
MIN_STANDARD_TX_NONWITNESS_SIZE = 65
MAX_STANDARD_SCRIPTSIG_SIZE = 1650
MAX_STANDARD_TX_SIGOPS_COST = 16_000
MAX_DATACARRIER_BYTES = 100_000
BYTES_PER_SIGOP = 20
MAX_P2SH_SIGOPS = 15
MAX_TX_LEGACY_SIGOPS = 2_500
"""Signature operations that run outside witnesses (BIP54)."""
MAX_P2WSH_SCRIPT_SIZE = 3_600
MAX_P2WSH_STACK_ITEMS = 100
MAX_P2WSH_STACK_ITEM_SIZE = 80
MAX_TAPSCRIPT_STACK_ITEM_SIZE = 80

BLOCK_RESERVED_WEIGHT = 8_000
"""Weight units of a template kept for header, counts and coinbase (-blockreservedweight)."""
BLOCK_RESERVED_SIGOPS = 400
"""Signature operation cost of a template kept for the coinbase."""

MAX_BIP125_RBF_SEQUENCE = 0xFFFFFFFD
"""An input with at most this sequence signals that its transaction may be replaced."""


def fee_for(vsize: int, feerate: int) -> int:
    """Return the fee in satoshis for `vsize` vbytes at `feerate` satoshis per 1,000, rounded up (CFeeRate::GetFee)."""
    return -(-vsize * feerate // 1000)


def feerate(fee: int, vsize: int) -> int:
    """Return the feerate in satoshis per 1,000 vbytes of a fee in satoshis, rounded down (CFeeRate)."""
    return fee * 1000 // vsize


def adjusted_weight(weight: int, sigop_cost: int) -> int:
    """Return the weight, or the weight units charged for the signature operations if more (GetSigOpsAdjustedWeight)."""
    return max(weight, sigop_cost * BYTES_PER_SIGOP)


def policy_vsize(weight: int, sigop_cost: int) -> int:
    """Return the virtual bytes of the adjusted weight, rounded up (GetVirtualTransactionSize)."""
    return -(-adjusted_weight(weight, sigop_cost) // WITNESS_SCALE_FACTOR)


def dust_threshold(output: TxOut, dust_relay_fee: int = DUST_RELAY_FEERATE) -> int:
    """Return the satoshis below which an output costs more to spend than it is worth (Core's GetDustThreshold).

    `dust_relay_fee` is in satoshis per 1,000 vbytes. At the default the threshold is 546 for P2PKH, 294 for P2WPKH, 330
    for P2TR; it is always 0 for an output that cannot be spent.
    """
    script = output.script_pubkey
    if is_unspendable(script):
        return 0
    size = 8 + compact_size_length(len(script)) + len(script)
    # The size of the input that spends it: outpoint, lengths, sequence, and 107 bytes of key and signature.
    size += 32 + 4 + 1 + (107 // WITNESS_SCALE_FACTOR if is_witness_program(script) else 107) + 4
    return fee_for(size, dust_relay_fee)


def signals_replacement(tx: Transaction) -> bool:
    """Whether an input signals that the transaction may be replaced (BIP125; Core's SignalsOptInRBF)."""
    return not tx.is_coinbase and any(txin.sequence <= MAX_BIP125_RBF_SEQUENCE for txin in tx.inputs)


def check_standard(tx: Transaction) -> None:
    """Raise `ValidationError` for a transaction whose form is not relayed (IsStandardTx)."""
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


def check_minimum_fee(fee: int, vsize: int) -> None:
    """Raise `ValidationError` for a fee in satoshis below the relay minimum.

    `fee` is the modified fee, with the operator's delta, of a transaction or a whole package.
    """
    minimum = fee_for(vsize, MIN_RELAY_FEERATE)
    if fee < minimum:
        raise ValidationError(Reason.MIN_RELAY_FEE_NOT_MET, f"{fee} < {minimum}")


def check_maximum_fee(fee: int, vsize: int, max_feerate: int | None) -> None:
    """Raise `ValidationError` for a fee above the sender's limit in satoshis per 1,000 vbytes (None: no limit)."""
    if max_feerate is not None and fee > fee_for(vsize, max_feerate):
        raise ValidationError(Reason.MAX_FEE_EXCEEDED, f"{fee} > {fee_for(vsize, max_feerate)}")
