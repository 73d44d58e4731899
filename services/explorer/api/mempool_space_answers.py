"""mempool.space's answers, with its fields in its order; below `/api/v1`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from services.explorer.api.answer import Answer
from services.explorer.api.esplora.answers import EsploraBlock
from services.explorer.api.fields import (
    SCRIPT_EXAMPLE,
    Address,
    Bytes,
    Count,
    FeeRange,
    Feerate,
    HeaderHex,
    Height,
    Hex,
    Milliseconds,
    Percent,
    Satoshis,
    ScriptHex,
    SigopCost,
    Time,
    Txid,
    VirtualBytes,
    Weight,
)

_WholeFeerate = Annotated[int, Meta(ge=0, description="Satoshis per virtual byte", examples=[1])]


class RecommendedFees(Answer, frozen=True, rename="camel"):
    """Feerates to pay, in whole satoshis per virtual byte."""

    fastest_fee: _WholeFeerate
    half_hour_fee: _WholeFeerate
    hour_fee: _WholeFeerate
    economy_fee: _WholeFeerate
    minimum_fee: _WholeFeerate


class PreciseFees(Answer, frozen=True, rename="camel"):
    """Feerates to pay, in satoshis per virtual byte."""

    fastest_fee: Feerate
    half_hour_fee: Feerate
    hour_fee: Feerate
    economy_fee: Feerate
    minimum_fee: Feerate


class MempoolBlock(Answer, frozen=True, rename="camel"):
    """A block that the pool's best payers would make."""

    block_size: Annotated[Bytes, Meta(description="Bytes, estimated", examples=[444])]
    block_v_size: Annotated[VirtualBytes, Meta(examples=[282])]
    n_tx: Annotated[Count, Meta(description="Transactions", examples=[2])]
    total_fees: Satoshis
    median_fee: Feerate
    fee_range: FeeRange


class Relative(Answer, frozen=True):
    """An unconfirmed relative of a transaction."""

    txid: Txid
    fee: Satoshis
    weight: Weight


class Cpfp(Answer, frozen=True, rename="camel", kw_only=True):
    """Unconfirmed relatives of a transaction, and the feerate by which a miner judges it."""

    ancestors: list[Relative]
    best_descendant: Relative | None
    descendants: list[Relative]
    effective_fee_per_vsize: Feerate
    sigops: Annotated[SigopCost, Meta(description="Cost of signature operations, while unconfirmed")] | UnsetType = (
        UNSET
    )
    fee: Satoshis
    adjusted_vsize: VirtualBytes


class AddressCheck(Answer, frozen=True):
    """Whether an address is one of this chain, as bitcoind's validateaddress tells it."""

    isvalid: Annotated[bool, Meta(examples=[True])]
    address: Address | UnsetType = UNSET
    script_pubkey: ScriptHex | UnsetType = msgspec.field(name="scriptPubKey", default=UNSET)
    isscript: Annotated[bool, Meta(description="Whether it is a script's hash", examples=[False])] | UnsetType = UNSET
    iswitness: Annotated[bool, Meta(examples=[True])] | UnsetType = UNSET
    witness_version: Annotated[int, Meta(ge=0, le=16, description="Version", examples=[0])] | UnsetType = UNSET
    witness_program: Annotated[Hex, Meta(description="Program", examples=[SCRIPT_EXAMPLE[4:]])] | UnsetType = UNSET
    error_locations: (
        list[Annotated[int, Meta(ge=0, description="Index of a wrong character", examples=[3])]] | UnsetType
    ) = UNSET
    error: Annotated[str, Meta(description="Why it is not valid", examples=["invalid checksum"])] | UnsetType = UNSET


class DifficultyAdjustment(Answer, frozen=True, rename="camel"):
    """Progress of the difficulty period, and its outlook."""

    progress_percent: Annotated[float, Meta(ge=0, le=100, description="Percent", examples=[5.5])]
    difficulty_change: Percent
    estimated_retarget_date: Annotated[int, Meta(description="Milliseconds since 1970", examples=[1800000000000])]
    remaining_blocks: Annotated[Count, Meta(description="Blocks", examples=[1906])]
    remaining_time: Annotated[Milliseconds, Meta(examples=[1143600000])]
    previous_retarget: Percent
    previous_time: Annotated[Time, Meta(description="Time of the period's first block, in seconds since 1970")]
    next_retarget_height: Height
    time_avg: Annotated[Milliseconds, Meta(description="Milliseconds per block")]
    adjusted_time_avg: Annotated[Milliseconds, Meta(description="Milliseconds per block")]
    time_offset: Annotated[int, Meta(description="Always 0", examples=[0])]
    expected_blocks: Annotated[
        float, Meta(description="Blocks that would have been expected in the time", examples=[110.5])
    ]


class Miner(Answer, frozen=True):
    """The miner of a block, by the name in its coinbase."""

    id: Annotated[int, Meta(description="Always 0", examples=[0])]
    name: Annotated[str, Meta(description="Name, or `Unknown`", examples=["miner-1"])]
    slug: Annotated[str, Meta(description="The name in small letters", examples=["miner-1"])]


class BlockExtras(Answer, frozen=True, rename="camel"):
    """The fields that mempool.space adds to a block."""

    total_fees: Satoshis
    median_fee: Feerate
    fee_range: FeeRange
    avg_fee: Satoshis
    avg_fee_rate: _WholeFeerate
    reward: Annotated[Satoshis, Meta(description="Satoshis that the coinbase pays")]
    coinbase_raw: Annotated[Hex, Meta(description="scriptSig of the coinbase", examples=["510101"])]
    pool: Miner
    avg_tx_size: Annotated[float, Meta(description="Bytes per transaction", examples=[250.0])]
    virtual_size: Annotated[float, Meta(description="Virtual bytes", examples=[223.0])]
    header: HeaderHex


class BlockWithExtras(EsploraBlock, frozen=True):
    """A block, as mempool.space shows it."""

    extras: BlockExtras


class ReplacementTx(Answer, frozen=True):
    """A transaction of a tree of replacements."""

    txid: Txid
    fee: Satoshis
    vsize: VirtualBytes
    value: Annotated[Satoshis, Meta(description="Satoshis of its outputs")]
    rate: Feerate
    time: Annotated[Time, Meta(description="When it entered the pool, in seconds since 1970")]
    rbf: Annotated[bool, Meta(description="Whether it signals that it may be replaced (BIP125)", examples=[True])]
    full_rbf: Annotated[
        bool, Meta(description="Whether it replaced a transaction that did not signal", examples=[False])
    ] = msgspec.field(name="fullRbf")
    mined: Annotated[bool, Meta(description="True, or left out", examples=[True])] | UnsetType = UNSET


class Replacement(Answer, frozen=True, kw_only=True):
    """A transaction, and the transactions that it replaced."""

    tx: ReplacementTx
    time: Annotated[Time, Meta(description="When it entered the pool, in seconds since 1970")]
    full_rbf: Annotated[bool, Meta(description="Whether any transaction below did not signal", examples=[False])] = (
        msgspec.field(name="fullRbf")
    )
    interval: Annotated[int, Meta(ge=0, description="Seconds until it was replaced", examples=[60])] | UnsetType = UNSET
    mined: Annotated[bool, Meta(description="True, or left out", examples=[True])] | UnsetType = UNSET
    replaces: Annotated[list[Replacement], Meta(examples=[[]])]


class RbfHistory(Answer, frozen=True):
    """The tree of replacements that a transaction is in, and the transactions that it replaced itself."""

    replacements: Replacement | None
    replaces: list[Txid] | None
