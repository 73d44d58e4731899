"""The part of mempool.space's REST API that clients use, under `/api/v1`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta

from services.explorer.api.esplora.answers import EsploraTransaction
from services.explorer.api.esplora.build import block_of, transaction_of
from services.explorer.api.fields import BlockHash, HashText, Number
from services.explorer.api.mempool_space_answers import (
    AddressCheck,
    BlockExtras,
    BlockWithExtras,
    Cpfp,
    DifficultyAdjustment,
    MempoolBlock,
    Miner,
    PreciseFees,
    RbfHistory,
    RecommendedFees,
    Relative,
    Replacement,
    ReplacementTx,
)
from services.explorer.api.operation import (
    BLOCK_ERRORS,
    BLOCK_HASH,
    HEIGHT,
    HEIGHT_ERRORS,
    HEX_ERRORS,
    INVALID_HEX,
    TX_ERRORS,
    TXID,
    Operation,
    Parameter,
    query,
)
from services.explorer.api.parameters import read_hash, read_number
from services.explorer.chain.fee_estimates import (
    PoolFees,
    ProjectedBlock,
    feerate,
    precise_fees,
    projected_blocks,
    recommended_fees,
)
from services.explorer.chain.miner_names import miner_name
from services.explorer.chain.models import BlockInfo
from services.explorer.chain.queries import ChainQueries
from services.explorer.chain.rbf_trees import Version
from services.explorer.chain.retarget import difficulty_adjustment
from services.explorer.errors import RequestError
from shared.chain.block_fees import RATES, median_feerate
from shared.chain.codec import BlockFees, PoolEntry
from shared.consensus.subsidy import block_subsidy
from shared.crypto.address import decode_address, encode_address
from shared.errors import DecodeError
from shared.primitives.hex import display_hash
from shared.primitives.transaction import Transaction
from shared.primitives.weight import WITNESS_SCALE_FACTOR
from shared.script.standard import ScriptType, classify, witness_program

BLOCKS_PER_PAGE = 15
MAX_TXIDS = 1_000
_SCRIPT_HASHES = (ScriptType.SCRIPTHASH, ScriptType.WITNESS_V0_SCRIPTHASH)


class MempoolSpace:
    """Reads chain, pool and replacements in mempool.space's form."""

    def __init__(
        self,
        chain: ChainQueries,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._chain = chain
        self._params = chain.params
        self._clock = clock

    def recommended(self) -> RecommendedFees:
        """Return feerates to pay, in whole satoshis per virtual byte, never one below the next."""
        return self._chain.pool.derive(_recommended)

    def precise(self) -> PreciseFees:
        """Return the recommended feerates with up to three decimals."""
        return self._chain.pool.derive(_precise)

    def projected(self) -> Annotated[list[MempoolBlock], Meta(max_length=8)]:
        """Return the blocks that the pool's transactions would make, best payers first; the last has all the rest."""
        stats = self._chain.pool.stats()
        bytes_per_vbyte = stats.size / stats.vsize if stats.vsize else 1.0
        return [_mempool_block(block, bytes_per_vbyte) for block in self._chain.pool.derive(projected_blocks)]

    def cpfp(self, txid: str) -> Cpfp:
        """Return a transaction's unconfirmed relatives and the feerate by which a miner judges it."""
        tx_id = read_hash(txid)
        found = self._chain.pool.cpfp(tx_id)
        if found is None:
            info = self._chain.txs.get(tx_id)
            return Cpfp(
                ancestors=[],
                best_descendant=None,
                descendants=[],
                effective_fee_per_vsize=info.fee / info.tx.vsize,
                fee=info.fee,
                adjusted_vsize=info.tx.vsize,
            )
        best = max(found.descendants, key=lambda pooled: feerate(pooled.entry), default=None)
        return Cpfp(
            ancestors=[_relative(*pooled) for pooled in found.ancestors],
            best_descendant=_relative(*best) if best else None,
            descendants=[_relative(*pooled) for pooled in found.descendants],
            effective_fee_per_vsize=found.feerate,
            sigops=found.entry.sigop_cost,
            fee=found.entry.fee,
            adjusted_vsize=found.entry.vsize,
        )

    def tx(self, txid: str) -> EsploraTransaction:
        """Return a transaction, as Esplora's."""
        return transaction_of(self._chain.txs.get(read_hash(txid)), self._params.address)

    def rbf(self, txid: str) -> RbfHistory:
        """Return the tree of replacements that a transaction is in, and the transactions that it replaced itself."""
        tx_id = read_hash(txid)
        tree = self._chain.replacements.tree(tx_id)
        replaces = [display_hash(replaced) for replaced in self._chain.replacements.replaces(tx_id)]
        return RbfHistory(_replacement(tree) if tree else None, replaces or None)

    def replacements(self) -> list[Replacement]:
        """Return the trees of replacements that grew last, newest first."""
        return [_replacement(tree) for tree in self._chain.replacements.latest()]

    def full_replacements(self) -> list[Replacement]:
        """Return the trees with a replaced transaction that did not signal replaceability."""
        return [_replacement(tree) for tree in self._chain.replacements.latest(full_rbf_only=True)]

    def validate_address(self, address: str) -> AddressCheck:
        """Return whether an address is one of this chain, and its script (Core's validateaddress)."""
        try:
            script = decode_address(address, self._params.address)
        except DecodeError as error:
            return AddressCheck(False, error_locations=[], error=str(error))
        program = witness_program(script)
        return AddressCheck(
            True,
            address=encode_address(script, self._params.address) or UNSET,
            script_pubkey=script.hex(),
            isscript=classify(script)[0] in _SCRIPT_HASHES,
            iswitness=program is not None,
            witness_version=UNSET if program is None else program[0],
            witness_program=UNSET if program is None else program[1].hex(),
        )

    def difficulty_adjustment(self) -> DifficultyAdjustment:
        """Return the progress of the difficulty period, and its outlook."""
        found = difficulty_adjustment(self._chain.blocks.period(), self._params, self._clock())
        return msgspec.convert(found, DifficultyAdjustment)

    def blocks(self, start: str = "") -> list[BlockWithExtras]:
        """Return 15 blocks with their miners' rewards, newest first, from a height or the tip downwards."""
        return self._with_extras(self._chain.blocks.page(read_number(start) if start else None, BLOCKS_PER_PAGE))

    def block(self, block_hash: str) -> BlockWithExtras:
        """Return a block with its miner's reward."""
        return self._with_extras([self._chain.blocks.get(read_hash(block_hash))])[0]

    def _with_extras(self, blocks: Sequence[BlockInfo]) -> list[BlockWithExtras]:
        hashes = [block.entry.hash for block in blocks]
        coinbases, fees = self._chain.blocks.coinbases(hashes), self._chain.blocks.fees(hashes)
        return [
            BlockWithExtras(**msgspec.structs.asdict(block_of(block)), extras=self._extras(block, coinbase, paid))
            for block, coinbase, paid in zip(blocks, coinbases, fees, strict=True)
        ]

    def _extras(self, block: BlockInfo, coinbase: Transaction, paid: BlockFees | None) -> BlockExtras:
        entry = block.entry
        reward = sum(output.value for output in coinbase.outputs)
        fees = max(0, reward - block_subsidy(entry.height, self._params)) if entry.height else 0
        rates = paid.feerates if paid else (0.0,) * RATES
        name = miner_name(coinbase.inputs[0].script_sig) or "Unknown"
        return BlockExtras(
            total_fees=fees,
            median_fee=median_feerate(rates),
            fee_range=rates,
            avg_fee=fees // max(1, entry.tx_count - 1),
            avg_fee_rate=WITNESS_SCALE_FACTOR * fees // entry.weight,
            reward=reward,
            coinbase_raw=coinbase.inputs[0].script_sig.hex(),
            pool=Miner(0, name, name.lower()),
            avg_tx_size=round(entry.size / entry.tx_count, 2),
            virtual_size=entry.weight / WITNESS_SCALE_FACTOR,
            header=entry.header.serialize().hex(),
        )

    def hash_at(self, height: str) -> BlockHash:
        """Return the hash of the best chain's block at a height, as Esplora's."""
        return display_hash(self._chain.blocks.hash_at(read_number(height)))

    def transaction_times(self, txids: Sequence[str]) -> list[Annotated[int, Meta(examples=[0])]]:
        """Return the times at which transactions entered the pool, in seconds since 1970; 0 if not in the pool."""
        wanted = [read_hash(txid) for txid in txids]
        if len(wanted) > MAX_TXIDS:
            raise RequestError(400, "Too many txids requested")
        return self._chain.pool.entry_times(wanted)


def _recommended(pool: PoolFees) -> RecommendedFees:
    return msgspec.convert(recommended_fees(pool), RecommendedFees)


def _precise(pool: PoolFees) -> PreciseFees:
    return msgspec.convert(precise_fees(pool), PreciseFees)


def _mempool_block(block: ProjectedBlock, bytes_per_vbyte: float) -> MempoolBlock:
    size = round(block.vsize * bytes_per_vbyte)
    return MempoolBlock(size, block.vsize, block.count, block.fees, block.median, block.rates)


def _relative(tx: Transaction, entry: PoolEntry) -> Relative:
    return Relative(tx.txid_hex, entry.fee, entry.weight)


def _replacement(version: Version) -> Replacement:
    mined = True if version.is_mined else UNSET
    return Replacement(
        tx=ReplacementTx(
            version.tx.txid_hex,
            version.fee,
            version.vsize,
            sum(output.value for output in version.tx.outputs),
            version.fee / version.vsize,
            version.time,
            version.signals,
            version.is_full_rbf,
            mined,
        ),
        time=version.time,
        full_rbf=version.has_full_rbf if version.replaces else not version.signals,
        interval=UNSET if version.lasted is None else version.lasted,
        mined=mined,
        replaces=[_replacement(replaced) for replaced in version.replaces],
    )


_GROUP = "mempool.space"
_START = Parameter("start", "Height of the first block", Number, sample="0")

OPERATIONS = (
    Operation("/v1/fees/recommended", MempoolSpace.recommended, _GROUP, "Feerates to pay", "None below the next"),
    Operation(
        "/v1/fees/precise", MempoolSpace.precise, _GROUP, "Feerates to pay, not rounded up", "None below the next"
    ),
    Operation(
        "/v1/fees/mempool-blocks",
        MempoolSpace.projected,
        _GROUP,
        "The pool as up to eight blocks",
        "Best payers first; the last has all the rest",
    ),
    Operation("/v1/cpfp/{txid}", MempoolSpace.cpfp, _GROUP, "Unconfirmed relatives", "Relatives", (TXID,), TX_ERRORS),
    Operation("/v1/tx/{txid}", MempoolSpace.tx, _GROUP, "A transaction", "As Esplora's", (TXID,), TX_ERRORS),
    Operation(
        "/v1/tx/{txid}/rbf",
        MempoolSpace.rbf,
        _GROUP,
        "Transactions that replaced it, and those that it replaced",
        "Nulls where there are none",
        (TXID,),
        HEX_ERRORS,
    ),
    Operation("/v1/replacements", MempoolSpace.replacements, _GROUP, "The latest replacements", "Newest first"),
    Operation(
        "/v1/fullrbf/replacements",
        MempoolSpace.full_replacements,
        _GROUP,
        "The latest replacements of transactions that did not signal",
        "Newest first",
    ),
    Operation(
        "/v1/validate-address/{address}",
        MempoolSpace.validate_address,
        _GROUP,
        "Whether an address is one of this chain",
        "`isvalid`, and its script or the error",
        (Parameter("address", "Any text", str, sample="address"),),
    ),
    Operation(
        "/v1/difficulty-adjustment",
        MempoolSpace.difficulty_adjustment,
        _GROUP,
        "The difficulty period",
        "Progress and outlook",
    ),
    Operation(
        "/v1/blocks",
        MempoolSpace.blocks,
        _GROUP,
        "The last 15 blocks with what they earned",
        "Newest first",
        may_end_with_slash=True,
    ),
    Operation(
        "/v1/blocks/{start}",
        MempoolSpace.blocks,
        _GROUP,
        "15 blocks from a height downwards",
        "Newest first",
        (_START,),
        HEIGHT_ERRORS,
    ),
    Operation(
        "/v1/block/{block_hash}",
        MempoolSpace.block,
        _GROUP,
        "A block with what it earned",
        "Block",
        (BLOCK_HASH,),
        BLOCK_ERRORS,
    ),
    Operation(
        "/v1/block-height/{height}",
        MempoolSpace.hash_at,
        _GROUP,
        "Hash of the block at a height",
        "Hash",
        (HEIGHT,),
        HEIGHT_ERRORS,
    ),
    Operation(
        "/v1/transaction-times",
        MempoolSpace.transaction_times,
        _GROUP,
        "When transactions entered the pool",
        "Seconds since 1970; 0 for one that is not there",
        (query("txId[]", "Txids, at most 1,000", list[HashText], "txid", "txids"),),
        {400: (INVALID_HEX, "Too many txids requested")},
    ),
)
