"""The solution of a signet block: a signature over the block that satisfies the chain's challenge, beside its work.

`block_check.check_block` calls this on chains with a `signet_challenge`. The challenge is a script; the solution is the
scriptSig and witness that spend it in a virtual transaction, which no block contains. The solution lies in the output
with the witness commitment, after a four-byte header. Source: BIP325 and Core's signet.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from shared.consensus.commitment import commitment_index
from shared.errors import DecodeError, ScriptError, ValidationError
from shared.primitives.merkle import merkle_root
from shared.primitives.serialize import Reader, pack_i32, pack_u32
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script.flags import Flags
from shared.script.interpreter import verify_input
from shared.script.opcodes import OP_0, OP_RETURN
from shared.script.script import push_data, read_op

if TYPE_CHECKING:
    from shared.primitives.block import Block

SIGNET_HEADER: Final = bytes.fromhex("ecc7daa2")
"""The first bytes of the push with the solution."""

_FLAGS = Flags.P2SH | Flags.WITNESS | Flags.DERSIG | Flags.NULLDUMMY


def check_signet_solution(block: Block, challenge: bytes) -> None:
    """Raise bad-signet-blksig unless the block has a solution for the script `challenge` (CheckSignetBlockSolution).

    A block without a solution counts as having an empty one, which is enough for a challenge such as OP_TRUE.
    """
    try:
        to_spend, to_sign = signet_transactions(block, challenge)
        verify_input(to_sign, 0, to_spend.outputs, _FLAGS)
    except (DecodeError, ScriptError) as error:
        detail = f"signet block signature validation failure: {error}"
        raise ValidationError(Reason.BAD_SIGNET_BLKSIG, detail) from None


def signet_transactions(block: Block, challenge: bytes) -> tuple[Transaction, Transaction]:
    """Return the transaction whose output is the challenge, and the transaction that spends it with the solution.

    The signature covers the block without its solution. Raises DecodeError if the block has no witness commitment or
    its solution is malformed. Source: Core's SignetTxs::Create.
    """
    script_sig, witness, unsolved = _take_solution(block)
    header = block.header
    root, _ = merkle_root([unsolved.txid, *(tx.txid for tx in block.transactions[1:])])
    signed = pack_i32(header.version) + header.prev_hash + root + pack_u32(header.time)
    commitment = TxIn(NULL_OUTPOINT, bytes([OP_0]) + push_data(signed), 0)
    to_spend = Transaction(0, (commitment,), (TxOut(0, challenge),))
    solution = TxIn(OutPoint(to_spend.txid, 0), script_sig, 0, witness)
    return to_spend, Transaction(0, (solution,), (TxOut(0, bytes([OP_RETURN])),))


def _take_solution(block: Block) -> tuple[bytes, tuple[bytes, ...], Transaction]:
    """Return scriptSig and witness of the solution, and the coinbase without the solution."""
    index = commitment_index(block)
    if index is None:
        raise DecodeError("no witness commitment to hold a solution")
    coinbase = block.transactions[0]
    outputs = list(coinbase.outputs)
    script, solution = _split(outputs[index].script_pubkey)
    if solution is None:
        return b"", (), coinbase
    outputs[index] = replace(outputs[index], script_pubkey=script)
    reader = Reader(solution)
    script_sig = reader.var_bytes("scriptSig of the solution")
    count = reader.count("witness items of the solution", 1)
    witness = tuple([reader.var_bytes("witness item of the solution") for _ in range(count)])
    reader.finish("signet solution")
    return script_sig, witness, Transaction(coinbase.version, coinbase.inputs, tuple(outputs), coinbase.lock_time)


def _split(script: bytes) -> tuple[bytes, bytes | None]:
    """Return the script without its solution, and the solution or None (FetchAndClearCommitmentSection)."""
    solution = None
    kept = b""
    position = 0
    while position < len(script):
        try:
            opcode, data, position = read_op(script, position)
        except DecodeError:  # as in Core: a solution before a broken push counts, and the rest is not signed
            break
        if data and solution is None and data.startswith(SIGNET_HEADER) and len(data) > len(SIGNET_HEADER):
            solution = data[len(SIGNET_HEADER) :]
            data = SIGNET_HEADER
        kept += push_data(data) if data else bytes([opcode])
    return (script, None) if solution is None else (kept, solution)
