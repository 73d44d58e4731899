"""Esplora's answers: the fields of blocks, transactions, coins and the pool, in the order of Blockstream's electrs.

Hashes are in display order, script hashes are not; amounts are satoshis, times seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from services.explorer.api.answer import Answer
from services.explorer.api.fields import (
    SCRIPT_EXAMPLE,
    Address,
    Bits,
    BlockHash,
    Bytes,
    Count,
    Height,
    Hex,
    MerkleHash,
    Position,
    Satoshis,
    ScriptHex,
    Time,
    Txid,
    VirtualBytes,
    Weight,
)

ScriptTypeName = Literal[
    "p2pk",
    "p2pkh",
    "p2sh",
    "v0_p2wpkh",
    "v0_p2wsh",
    "v1_p2tr",
    "op_return",
    "empty",
    "provably_unspendable",
    "unknown",
]
Asm = Annotated[str, Meta(description="The script in words", examples=[""])]
Version = Annotated[int, Meta(ge=0, description="Version, without sign", examples=[2])]


class EsploraBlock(Answer, frozen=True):
    """A block."""

    id: BlockHash
    height: Height
    version: Annotated[Version, Meta(description="Bits of the version, without sign", examples=[536870912])]
    timestamp: Time
    tx_count: Annotated[int, Meta(ge=1, description="Transactions", examples=[1])]
    size: Annotated[Bytes, Meta(examples=[250])]
    weight: Annotated[Weight, Meta(examples=[892])]
    merkle_root: MerkleHash
    previousblockhash: (
        Annotated[BlockHash, Meta(description="Block before this one; null for the genesis block")] | None
    )
    mediantime: Annotated[Time, Meta(description="Median time of this block and the ten before it (BIP113)")]
    nonce: Annotated[int, Meta(ge=0, description="Nonce", examples=[2])]
    bits: Bits
    difficulty: Annotated[
        float, Meta(ge=0, description="Times harder than difficulty 1", examples=[4.6565423739069247e-10])
    ]


class BlockInChain(Answer, frozen=True):
    """Whether a block is on the best chain."""

    in_best_chain: Annotated[bool, Meta(examples=[True])]
    height: Height | None
    next_best: Annotated[BlockHash, Meta(description="The block on top of it")] | None


class Status(Answer, frozen=True):
    """Where a transaction is confirmed; an unconfirmed or unknown one has no block."""

    confirmed: Annotated[bool, Meta(examples=[True])]
    block_height: Height | UnsetType = UNSET
    block_hash: BlockHash | UnsetType = UNSET
    block_time: Time | UnsetType = UNSET


class Output(Answer, frozen=True, kw_only=True):
    """An output of a transaction."""

    scriptpubkey: ScriptHex
    scriptpubkey_asm: Annotated[Asm, Meta(examples=[f"OP_0 OP_PUSHBYTES_20 {SCRIPT_EXAMPLE[4:]}"])]
    scriptpubkey_type: Annotated[ScriptTypeName, Meta(description="Kind of script", examples=["v0_p2wpkh"])]
    scriptpubkey_address: Annotated[Address, Meta(description="Address, where the script has one")] | UnsetType = UNSET
    value: Satoshis


class Input(Answer, frozen=True, kw_only=True):
    """An input of a transaction."""

    txid: Annotated[Txid, Meta(description="Transaction whose output it spends; zeros for a coinbase")]
    vout: Annotated[Position, Meta(description="Index of the output that it spends")]
    prevout: Output | None
    scriptsig: Annotated[Hex, Meta(description="scriptSig in hex", examples=[""])]
    scriptsig_asm: Asm
    witness: list[Annotated[Hex, Meta(description="Item of the witness", examples=["00"])]] | UnsetType = UNSET
    is_coinbase: Annotated[bool, Meta(examples=[False])]
    sequence: Annotated[int, Meta(ge=0, description="Sequence", examples=[4294967293])]
    inner_redeemscript_asm: (
        Annotated[str, Meta(description="Redeem script of a P2SH input", examples=["OP_0 OP_PUSHBYTES_20 751e"])]
        | UnsetType
    ) = UNSET
    inner_witnessscript_asm: (
        Annotated[str, Meta(description="Witness script of a P2WSH input", examples=["OP_PUSHNUM_1"])] | UnsetType
    ) = UNSET


class EsploraTransaction(Answer, frozen=True):
    """A transaction with the outputs that it spends."""

    txid: Txid
    version: Version
    locktime: Annotated[int, Meta(ge=0, description="Lock time: height, or seconds from 500,000,000", examples=[0])]
    vin: list[Input]
    vout: list[Output]
    size: Bytes
    weight: Weight
    fee: Annotated[Satoshis, Meta(description="Satoshis; 0 for a coinbase", examples=[141])]
    status: Status


class EsploraMerkleProof(Answer, frozen=True):
    """Proof that a transaction is in a block."""

    block_height: Height
    merkle: list[Annotated[MerkleHash, Meta(description="A sibling, lowest first")]]
    pos: Annotated[Position, Meta(description="Index in the block", examples=[1])]


class OutputSpend(Answer, frozen=True):
    """The input that spends an output; an unspent or unknown output has none."""

    spent: Annotated[bool, Meta(examples=[True])]
    txid: Annotated[Txid, Meta(description="Transaction that spends it")] | UnsetType = UNSET
    vin: Annotated[Position, Meta(description="Index of the input")] | UnsetType = UNSET
    status: Status | UnsetType = UNSET


class Stats(Answer, frozen=True):
    """Counters of a script."""

    tx_count: Annotated[Count, Meta(description="Transactions", examples=[3])]
    funded_txo_count: Annotated[Count, Meta(description="Outputs received", examples=[3])]
    funded_txo_sum: Satoshis
    spent_txo_count: Annotated[Count, Meta(description="Outputs spent", examples=[0])]
    spent_txo_sum: Annotated[Satoshis, Meta(examples=[0])]


class AddressStats(Answer, frozen=True):
    """Counters of an address."""

    address: Address
    chain_stats: Stats
    mempool_stats: Stats


class ScriptHashStats(Answer, frozen=True):
    """Counters of a script hash."""

    scripthash: Annotated[str, Meta(description="SHA-256 of the scriptPubKey, not reversed", examples=["ab" * 32])]
    chain_stats: Stats
    mempool_stats: Stats


class UnspentOutput(Answer, frozen=True):
    """An unspent output."""

    txid: Txid
    vout: Position
    status: Status
    value: Satoshis


class BalanceEntry(Answer, frozen=True):
    """The change of a balance by a confirmed transaction."""

    txid: Txid
    height: Height
    value: Annotated[int, Meta(description="Satoshis received less spent", examples=[5_000_000_000])]
    time: Time
    tx_position: Annotated[Position, Meta(description="Index in its block")]


class PoolSummary(Answer, frozen=True):
    """The pool's totals."""

    count: Annotated[Count, Meta(description="Transactions", examples=[2])]
    vsize: Annotated[VirtualBytes, Meta(examples=[282])]
    total_fee: Annotated[Satoshis, Meta(examples=[5_700])]
    fee_histogram: Sequence[
        Annotated[
            tuple[Annotated[float, Meta(ge=0)], ...],
            Meta(
                min_length=2,
                max_length=2,
                description="Feerate and virtual bytes, best payers first",
                examples=[[20.2, 282]],
            ),
        ]
    ]


class RecentTransaction(Answer, frozen=True):
    """A transaction that entered the pool lately."""

    txid: Txid
    fee: Satoshis
    vsize: VirtualBytes
    value: Annotated[Satoshis, Meta(description="Satoshis of its outputs")]
