"""A transaction's lock time, sequences, data outputs and coinbase in words. Pure."""

from __future__ import annotations

from shared.consensus.commitment import COMMITMENT_HEADER
from shared.durations import duration
from shared.errors import DecodeError
from shared.policy import MAX_BIP125_RBF_SEQUENCE
from shared.primitives.transaction import (
    LOCKTIME_THRESHOLD,
    SEQUENCE_FINAL,
    SEQUENCE_LOCKTIME_DISABLE_FLAG,
    SEQUENCE_LOCKTIME_GRANULARITY,
    SEQUENCE_LOCKTIME_MASK,
    SEQUENCE_LOCKTIME_TYPE_FLAG,
    Transaction,
)
from shared.script.opcodes import OP_RETURN
from shared.script.script import iterate
from shared.web.formats import counted, thousands, utc_text


def lock_time_meaning(tx: Transaction) -> str:
    """Return in words the block or time after which the lock time lets a transaction be mined."""
    if tx.lock_time == 0:
        return "none: valid at any time"
    if tx.lock_time < LOCKTIME_THRESHOLD:
        when = f"only in a block above height {thousands(tx.lock_time)}"
    else:
        when = f"only when the median time past is later than {utc_text(tx.lock_time)}"
    if all(txin.sequence == SEQUENCE_FINAL for txin in tx.inputs):
        return f"without effect, as all inputs are final (else {when})"
    return when


def sequence_meaning(sequence: int, version: int) -> str:
    """Return the meaning of an input's sequence: a relative lock (BIP68), a signal of replacement (BIP125), or none."""
    if sequence == SEQUENCE_FINAL:
        return "final"
    if sequence > MAX_BIP125_RBF_SEQUENCE:
        return "lock time counts"
    parts = ["may be replaced"]
    if version >= 2 and not sequence & SEQUENCE_LOCKTIME_DISABLE_FLAG:
        units = sequence & SEQUENCE_LOCKTIME_MASK
        if units and sequence & SEQUENCE_LOCKTIME_TYPE_FLAG:
            parts.append(f"only {duration(units << SEQUENCE_LOCKTIME_GRANULARITY)} after its coin's block")
        elif units:
            parts.append(f"only {counted(units, 'block')} after its coin's")
    return ", ".join(parts)


def is_witness_commitment(script: bytes) -> bool:
    """Whether an output commits to the witnesses of its block (BIP141)."""
    return script.startswith(COMMITMENT_HEADER)


def data_text(script: bytes) -> str:
    """Return the text of an OP_RETURN output if all its pushes are readable UTF-8, else an empty string."""
    if script[:1] != bytes([OP_RETURN]):
        return ""
    try:
        pushed = b" ".join(op.data for op in iterate(script[1:]) if op.data)
        text = pushed.decode()
    except (DecodeError, UnicodeDecodeError):
        return ""
    # Control and direction-changing characters could make a page lie about what stands in it.
    return text if all(char.isprintable() or char in "\n\t" for char in text) else ""


def printable(script_sig: bytes) -> str:
    """Return the readable part of a coinbase's scriptSig, everything else as dots."""
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in script_sig)
