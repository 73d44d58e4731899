"""Rules for a block and its header: the context-free rules, and the rules that need the headers below.

The rules that need coins (fees, scripts, BIP30, the coinbase's amount) are checked where a block is connected, with
`tx_verify`, `subsidy` and the script interpreter. Source: CheckBlock, ContextualCheckBlock and
ContextualCheckBlockHeader in Core's validation.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.consensus.commitment import (
    COMMITMENT_HEADER,
    WITNESS_RESERVED_VALUE,
    commitment_script,
    witness_commitment,
)
from shared.consensus.limits import (
    MAX_BLOCK_SIGOPS_COST,
    MAX_BLOCK_WEIGHT,
    MAX_FUTURE_BLOCK_TIME,
    MAX_TIMEWARP,
    MEDIAN_TIME_SPAN,
)
from shared.consensus.pow import check_proof_of_work
from shared.consensus.signet import check_signet_solution
from shared.consensus.tx_check import check_transaction
from shared.consensus.tx_verify import is_final_tx, legacy_sigops
from shared.crypto.hashes import sha256d
from shared.errors import BadVersionError, ValidationError
from shared.primitives.merkle import block_merkle_root, witness_merkle_root
from shared.primitives.weight import WITNESS_SCALE_FACTOR
from shared.reasons import Reason
from shared.script.script import push_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.consensus.params import ChainParams
    from shared.primitives.block import Block, BlockHeader

__all__ = [
    "COMMITMENT_HEADER",
    "WITNESS_RESERVED_VALUE",
    "BlockContext",
    "bip34_height_push",
    "check_block",
    "check_block_context",
    "check_header_context",
    "commitment_script",
    "median_time_past",
    "witness_commitment",
]


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The facts about the branch that a block extends."""

    height: int
    prev_hash: bytes
    prev_time: int
    """Time of the parent's header (seconds)."""
    median_time_past: int
    """Median of the times of the parent and the ten blocks before it (seconds)."""
    expected_bits: int
    """From `pow.next_bits`, for the time in the block's header."""


def median_time_past(times: Sequence[int]) -> int:
    """Return the median of the last eleven `times`, oldest first; near the genesis there are fewer (BIP113)."""
    last = sorted(times[-MEDIAN_TIME_SPAN:])
    return last[len(last) // 2]


def check_block(block: Block, params: ChainParams, *, check_pow: bool = True) -> None:
    """Raise ValidationError with the first context-free rule that the block breaks (Core's CheckBlock).

    Includes proof of work, signet's solution and the merkle root. `bad-txnmrklroot` and `bad-txns-duplicate` do not
    prove the header invalid: another list of transactions may belong to it. Pass `check_pow=False` for a proposal
    (BIP23), which has neither proof of work nor solution yet.
    """
    if check_pow:
        check_proof_of_work(block.header, params)
    if check_pow and params.signet_challenge and block.hash != params.genesis.hash:
        check_signet_solution(block, params.signet_challenge)
    _check_merkle_root(block)
    transactions = block.transactions
    if not transactions or block.base_size * WITNESS_SCALE_FACTOR > MAX_BLOCK_WEIGHT:
        raise ValidationError(Reason.BAD_BLK_LENGTH, "size limits failed")
    if not transactions[0].is_coinbase:
        raise ValidationError(Reason.BAD_CB_MISSING, "first tx is not coinbase")
    if any(tx.is_coinbase for tx in transactions[1:]):
        raise ValidationError(Reason.BAD_CB_MULTIPLE, "more than one coinbase")
    for tx in transactions:
        try:
            check_transaction(tx)
        except ValidationError as error:
            detail = f"Transaction check failed (tx hash {tx.txid_hex}) {error.detail}".rstrip()
            raise ValidationError(error.reason, detail) from None
    if sum(map(legacy_sigops, transactions)) * WITNESS_SCALE_FACTOR > MAX_BLOCK_SIGOPS_COST:
        raise ValidationError(Reason.BAD_BLK_SIGOPS, "out-of-bounds SigOpCount")


def _check_merkle_root(block: Block) -> None:
    root, is_mutated = block_merkle_root(block)
    if root != block.header.merkle_root:
        raise ValidationError(Reason.BAD_TXNMRKLROOT, "hashMerkleRoot mismatch")
    if is_mutated:
        raise ValidationError(Reason.BAD_TXNS_DUPLICATE, "duplicate transaction")


def check_header_context(header: BlockHeader, context: BlockContext, params: ChainParams, now: int) -> None:
    """Raise ValidationError if the header breaks a rule of its branch or is over two hours ahead of `now` (seconds).

    A header refused as `time-too-new` may be valid later. Source: Core's ContextualCheckBlockHeader.
    """
    if header.prev_hash != context.prev_hash:
        raise ValueError("the context belongs to another branch")
    if header.bits != context.expected_bits:
        raise ValidationError(Reason.BAD_DIFFBITS, f"bits {header.bits:08x} instead of {context.expected_bits:08x}")
    if header.time <= context.median_time_past:
        raise ValidationError(Reason.TIME_TOO_OLD, "block's timestamp is too early")
    starts_period = context.height % params.retarget_interval == 0
    if params.enforce_bip94 and starts_period and header.time < context.prev_time - MAX_TIMEWARP:
        raise ValidationError(Reason.TIME_TIMEWARP_ATTACK, "block's timestamp is too early on diff adjustment block")
    if header.time > now + MAX_FUTURE_BLOCK_TIME:
        raise ValidationError(Reason.TIME_TOO_NEW, "block timestamp too far in the future")
    for version, activation_height in (
        (2, params.bip34_height),
        (3, params.bip66_height),
        (4, params.bip65_height),
    ):
        if header.version < version and context.height >= activation_height:
            raise BadVersionError(header.version)


def check_block_context(block: Block, context: BlockContext, params: ChainParams) -> None:
    """Raise ValidationError if the block's transactions break a rule of its branch (Core's ContextualCheckBlock).

    Checks finality, the height in the coinbase (BIP34), the witness commitment (BIP141) and the weight of a block that
    has passed `check_block`.
    """
    has_median_time = context.height >= params.csv_height  # BIP113
    cutoff = context.median_time_past if has_median_time else block.header.time
    for tx in block.transactions:
        if not is_final_tx(tx, context.height, cutoff):
            raise ValidationError(Reason.BAD_TXNS_NONFINAL, f"non-final transaction {tx.txid_hex}")
    script_sig = block.transactions[0].inputs[0].script_sig
    has_height = context.height >= params.bip34_height
    if has_height and not script_sig.startswith(bip34_height_push(context.height)):
        raise ValidationError(Reason.BAD_CB_HEIGHT, "block height mismatch in coinbase")
    _check_witnesses(block, expects_commitment=context.height >= params.segwit_height)
    if block.weight > MAX_BLOCK_WEIGHT:
        raise ValidationError(Reason.BAD_BLK_WEIGHT, f"weight {block.weight} is over the limit")


def _check_witnesses(block: Block, *, expects_commitment: bool) -> None:
    """Check the witness commitment (Core's CheckWitnessMalleation)."""
    commitment = witness_commitment(block) if expects_commitment else None
    if commitment is None:
        for tx in block.transactions:
            if tx.has_witness:
                raise ValidationError(Reason.UNEXPECTED_WITNESS, f"in transaction {tx.txid_hex}")
        return
    witness = block.transactions[0].inputs[0].witness
    if len(witness) != 1 or len(witness[0]) != 32:
        raise ValidationError(Reason.BAD_WITNESS_NONCE_SIZE, "invalid witness reserved value size")
    if sha256d(witness_merkle_root(block) + witness[0]) != commitment:
        raise ValidationError(Reason.BAD_WITNESS_MERKLE_MATCH, "witness merkle commitment mismatch")


def bip34_height_push(height: int) -> bytes:
    """Return the push of `height` with which the coinbase's scriptSig must begin (BIP34).

    Up to height 16 the push is one byte, so the scriptSig needs at least one byte more (bad-cb-length).
    """
    return push_number(height)
