"""Rules for a transaction that need its coins, or the height and time of its block.

`shared.script.interpreter` runs the scripts. Source: Core's consensus/tx_verify.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shared.consensus.limits import MAX_MONEY, is_money
from shared.errors import DecodeError, ValidationError
from shared.primitives.transaction import (
    LOCKTIME_THRESHOLD,
    SEQUENCE_FINAL,
    SEQUENCE_LOCKTIME_DISABLE_FLAG,
    SEQUENCE_LOCKTIME_GRANULARITY,
    SEQUENCE_LOCKTIME_MASK,
    SEQUENCE_LOCKTIME_TYPE_FLAG,
)
from shared.primitives.weight import WITNESS_SCALE_FACTOR
from shared.reasons import Reason
from shared.script.flags import Flags
from shared.script.opcodes import OP_16, OP_CHECKMULTISIG, OP_CHECKMULTISIGVERIFY, OP_CHECKSIG, OP_CHECKSIGVERIFY
from shared.script.script import count_sigops, iterate
from shared.script.standard import is_p2pkh, is_p2sh, is_p2wpkh, witness_program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.consensus.params import ChainParams
    from shared.primitives.coin import Coin
    from shared.primitives.transaction import Transaction, TxIn, TxOut

# Plain integers: an IntFlag takes ten times as long to test.
_P2SH = int(Flags.P2SH)
_WITNESS = int(Flags.WITNESS)


def check_tx_inputs(tx: Transaction, coins: Sequence[Coin | None], height: int, params: ChainParams) -> int:
    """Return the fee in satoshis of a transaction mined at `height` that spends `coins`, one per input in order.

    A missing coin is None. Raises ValidationError for missing coins, immature coinbases, amounts out of range and
    outputs above inputs (bad-txns-in-belowout). `tx` has passed `check_transaction`. Source: Core's
    Consensus::CheckTxInputs.
    """
    if len(coins) != len(tx.inputs):
        raise ValueError(f"{len(coins)} coins for {len(tx.inputs)} inputs")
    for tx_in, coin in zip(tx.inputs, coins, strict=True):
        if coin is None:
            raise ValidationError(Reason.BAD_TXNS_INPUTS_MISSINGORSPENT, f"{tx_in.prevout} does not exist or is spent")
    value_in = 0
    for coin in coins:
        if coin is None:
            continue
        if coin.is_coinbase and height - coin.height < params.coinbase_maturity:
            raise ValidationError(
                Reason.BAD_TXNS_PREMATURE_SPEND_OF_COINBASE, f"tried to spend coinbase at depth {height - coin.height}"
            )
        value = coin.output.value
        value_in += value
        if not 0 <= value <= value_in <= MAX_MONEY:
            raise ValidationError(Reason.BAD_TXNS_INPUTVALUES_OUTOFRANGE)
    value_out = sum([tx_out.value for tx_out in tx.outputs])
    if value_in < value_out:
        raise ValidationError(Reason.BAD_TXNS_IN_BELOWOUT, f"value in ({value_in} sat) < value out ({value_out} sat)")
    fee = value_in - value_out
    if not is_money(fee):
        raise ValidationError(Reason.BAD_TXNS_FEE_OUTOFRANGE, f"{fee} sat")
    return fee


def is_final_tx(tx: Transaction, height: int, time: int) -> bool:
    """Tell whether the lock time allows `tx` in a block at `height` (Core's IsFinalTx).

    `time`, in seconds, is the median time past of the block's parent where BIP113 holds, else the block's own time.
    """
    if tx.lock_time == 0:
        return True
    if tx.lock_time < (height if tx.lock_time < LOCKTIME_THRESHOLD else time):
        return True
    return all(tx_in.sequence == SEQUENCE_FINAL for tx_in in tx.inputs)


class SequenceLocks(NamedTuple):
    """The last height and last median time past (seconds) at which a transaction is still invalid; -1 if unlocked."""

    height: int
    time: int

    def are_met(self, height: int, median_time_past: int) -> bool:
        """Tell whether a block at `height` may contain the transaction; `median_time_past` is its parent's."""
        return self.height < height and self.time < median_time_past


_UNLOCKED = SequenceLocks(-1, -1)


def sequence_locks(tx: Transaction, coin_heights: Sequence[int], mtp_at: Callable[[int], int]) -> SequenceLocks:
    """Return the relative locks (BIP68) of a transaction that spends coins mined at `coin_heights`.

    A coin still in the pool has the height of the next block. `mtp_at` returns the median time past, in seconds, of the
    block at a height; it is called only for inputs locked by time. BIP68 holds from `csv_height` on, which the caller
    checks. Source: Core's CalculateSequenceLocks.
    """
    if len(coin_heights) != len(tx.inputs):
        raise ValueError(f"{len(coin_heights)} coin heights for {len(tx.inputs)} inputs")
    min_height = min_time = -1
    if tx.version >= 2:
        for index, tx_in in enumerate(tx.inputs):
            sequence = tx_in.sequence
            if sequence & SEQUENCE_LOCKTIME_DISABLE_FLAG:
                continue
            coin_height = coin_heights[index]
            units = sequence & SEQUENCE_LOCKTIME_MASK
            if sequence & SEQUENCE_LOCKTIME_TYPE_FLAG:
                coin_time = mtp_at(max(coin_height - 1, 0))
                min_time = max(min_time, coin_time + (units << SEQUENCE_LOCKTIME_GRANULARITY) - 1)
            else:
                min_height = max(min_height, coin_height + units - 1)
    return SequenceLocks(min_height, min_time) if min_height >= 0 or min_time >= 0 else _UNLOCKED


def legacy_sigops(tx: Transaction) -> int:
    """Return the number of signature operations in scriptSigs and outputs, not scaled (Core's GetLegacySigOpCount)."""
    count = 0
    for tx_in in tx.inputs:
        if tx_in.script_sig:
            count += _sigops(tx_in.script_sig)
    for tx_out in tx.outputs:
        count += _sigops(tx_out.script_pubkey)
    return count


def _sigops(script: bytes) -> int:
    # Most scripts have none of these bytes, even in their data. The search for one byte is memchr: of a long script it
    # takes a sixtieth of the time of a regular expression.
    if (
        OP_CHECKSIG in script
        or OP_CHECKSIGVERIFY in script
        or OP_CHECKMULTISIG in script
        or OP_CHECKMULTISIGVERIFY in script
    ):
        return 1 if is_p2pkh(script) else count_sigops(script, accurate=False)
    return 0


def sigop_cost(tx: Transaction, spent_outputs: Sequence[TxOut], flags: Flags) -> int:
    """Return the signature operation cost; legacy and P2SH operations count four times (GetTransactionSigOpCost).

    `spent_outputs` are the outputs that the inputs spend, in order; a coinbase needs none.
    """
    cost = legacy_sigops(tx) * WITNESS_SCALE_FACTOR
    if tx.is_coinbase:
        return cost
    counted = int(flags)
    for tx_in, spent in zip(tx.inputs, spent_outputs, strict=True):
        script = spent.script_pubkey
        redeem_script = _redeem_script(tx_in.script_sig) if is_p2sh(script) else None
        if redeem_script is not None and counted & _P2SH:
            cost += count_sigops(redeem_script, accurate=True) * WITNESS_SCALE_FACTOR
        if counted & _WITNESS:
            cost += _witness_sigops(tx_in, script, redeem_script)
    return cost


def _redeem_script(script_sig: bytes) -> bytes | None:
    """Return the last data that a push-only scriptSig pushes (empty for a number or nothing), else None."""
    data: bytes | None = b""
    try:
        for opcode, pushed, _ in iterate(script_sig):
            if opcode > OP_16:
                return None
            data = pushed
    except DecodeError:  # the redeem script is unknown, and Core counts nothing for it
        return None
    return data or b""


def _witness_sigops(tx_in: TxIn, script: bytes, redeem_script: bytes | None) -> int:
    if is_p2wpkh(script):
        return 1
    program = witness_program(script)
    if program is None and redeem_script is not None:
        program = witness_program(redeem_script)
    if program is None or program[0] != 0:
        return 0
    if len(program[1]) == 20:
        return 1
    if len(program[1]) == 32 and tx_in.witness:
        return count_sigops(tx_in.witness[-1], accurate=True)
    return 0
