"""Esplora's resources of blocks."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from services.explorer.api.esplora.answers import BlockInChain, EsploraBlock, EsploraTransaction
from services.explorer.api.esplora.build import block_in_chain_of, block_of, transactions_of
from services.explorer.api.fields import BlockHash, HeaderHex, Number, Txid
from services.explorer.api.operation import (
    BLOCK_ERRORS,
    BLOCK_HASH,
    BLOCK_NOT_FOUND,
    HEIGHT,
    HEIGHT_ERRORS,
    HEX_ERRORS,
    INVALID_HEX,
    INVALID_NUMBER,
    Operation,
    Parameter,
)
from services.explorer.api.parameters import read_hash, read_number
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import RequestError
from shared.primitives.hex import display_hash

BLOCKS_PER_PAGE = 10
TXS_PER_PAGE = 25


class Blocks:
    """Reads blocks of the best chain and stale ones."""

    def __init__(self, chain: ChainQueries) -> None:
        self._chain = chain
        self._prefix = chain.params.address

    def tip_hash(self) -> BlockHash:
        """Return the tip's hash."""
        return display_hash(self._chain.tip().hash)

    def tip_height(self) -> Annotated[str, Meta(pattern="^[0-9]+$", examples=["110"])]:
        """Return the tip's height."""
        return str(self._chain.tip().height)

    def hash_at(self, height: str) -> BlockHash:
        """Return the hash of the best chain's block at a height."""
        return display_hash(self._chain.blocks.hash_at(read_number(height)))

    def blocks(self, start: str = "") -> list[EsploraBlock]:
        """Return ten blocks, newest first, from a height downwards; from the tip if `start` is not a number."""
        try:
            height = read_number(start)
        except RequestError:
            height = None
        return [block_of(block) for block in self._chain.blocks.page(height, BLOCKS_PER_PAGE)]

    def block(self, block_hash: str) -> EsploraBlock:
        """Return a block's summary."""
        return block_of(self._chain.blocks.get(read_hash(block_hash)))

    def header(self, block_hash: str) -> HeaderHex:
        """Return a block's header in hex."""
        return self._chain.blocks.get(read_hash(block_hash)).entry.header.serialize().hex()

    def raw(self, block_hash: str) -> bytes:
        """Return a block's bytes."""
        return self._chain.blocks.raw(read_hash(block_hash))

    def status(self, block_hash: str) -> BlockInChain:
        """Return whether a block is on the best chain."""
        return block_in_chain_of(self._chain.blocks.find(read_hash(block_hash)))

    def txids(self, block_hash: str) -> list[Txid]:
        """Return a block's txids, in its order."""
        return [display_hash(txid) for txid in self._chain.blocks.txids(read_hash(block_hash))]

    def txid(self, block_hash: str, index: str) -> Txid:
        """Return the txid at an index of a block."""
        txid = self._chain.blocks.txid_at(read_hash(block_hash), read_number(index))
        if txid is None:
            raise RequestError(404, "tx index out of range")
        return display_hash(txid)

    def txs(self, block_hash: str, start: str = "") -> list[EsploraTransaction]:
        """Return 25 transactions of a block, from an index that is a multiple of 25; 0 if `start` is not a number."""
        block_id = read_hash(block_hash)
        self._chain.blocks.check(block_id)  # an unknown block is reported before a wrong index
        try:
            index = read_number(start)
        except RequestError:
            index = 0
        if index % TXS_PER_PAGE:
            raise RequestError(400, f"start index must be a multiple of {TXS_PER_PAGE}")
        return transactions_of(self._chain.blocks.txs(block_id, index, TXS_PER_PAGE), self._prefix)


_GROUP = "Blocks"
_START = Parameter("start", "Height of the first block; the tip if it is not a number", str, sample="0")
_TX_START = Parameter(
    "start", "Index of the first transaction, a multiple of 25; 0 if it is not a number", str, sample="0"
)
_INDEX = Parameter("index", "Index in the block", Number, sample="0")

OPERATIONS = (
    Operation("/blocks/tip/hash", Blocks.tip_hash, _GROUP, "Hash of the tip", "Hash"),
    Operation("/blocks/tip/height", Blocks.tip_height, _GROUP, "Height of the tip", "Height"),
    Operation("/blocks", Blocks.blocks, _GROUP, "The last ten blocks, newest first", "Blocks", may_end_with_slash=True),
    Operation(
        "/blocks/{start}",
        Blocks.blocks,
        _GROUP,
        "Ten blocks from a height downwards",
        "Blocks",
        (_START,),
        {404: (BLOCK_NOT_FOUND,)},
    ),
    Operation(
        "/block-height/{height}",
        Blocks.hash_at,
        _GROUP,
        "Hash of the block at a height",
        "Hash",
        (HEIGHT,),
        HEIGHT_ERRORS,
    ),
    Operation(
        "/block/{block_hash}",
        Blocks.block,
        _GROUP,
        "A block",
        "Block",
        (BLOCK_HASH,),
        BLOCK_ERRORS,
        about="Stale blocks stay readable.",
        is_immutable=True,
    ),
    Operation(
        "/block/{block_hash}/header",
        Blocks.header,
        _GROUP,
        "Its header in hex",
        "80 bytes in hex",
        (BLOCK_HASH,),
        BLOCK_ERRORS,
        is_immutable=True,
    ),
    Operation(
        "/block/{block_hash}/raw",
        Blocks.raw,
        _GROUP,
        "Its bytes",
        "Block",
        (BLOCK_HASH,),
        BLOCK_ERRORS,
        is_immutable=True,
    ),
    Operation(
        "/block/{block_hash}/status",
        Blocks.status,
        _GROUP,
        "Whether it is on the best chain",
        "Status; of an unknown block it is false, null, null",
        (BLOCK_HASH,),
        HEX_ERRORS,
    ),
    Operation(
        "/block/{block_hash}/txids",
        Blocks.txids,
        _GROUP,
        "Txids of all its transactions",
        "Txids",
        (BLOCK_HASH,),
        BLOCK_ERRORS,
        is_immutable=True,
    ),
    Operation(
        "/block/{block_hash}/txid/{index}",
        Blocks.txid,
        _GROUP,
        "Txid at an index",
        "Txid",
        (BLOCK_HASH, _INDEX),
        {400: (INVALID_HEX, INVALID_NUMBER), 404: (BLOCK_NOT_FOUND, "tx index out of range")},
        is_immutable=True,
    ),
    Operation(
        "/block/{block_hash}/txs",
        Blocks.txs,
        _GROUP,
        "Its first 25 transactions",
        "Transactions; those of a stale block are unconfirmed",
        (BLOCK_HASH,),
        BLOCK_ERRORS,
        may_end_with_slash=True,
    ),
    Operation(
        "/block/{block_hash}/txs/{start}",
        Blocks.txs,
        _GROUP,
        "25 of its transactions",
        "Transactions",
        (BLOCK_HASH, _TX_START),
        {
            400: (INVALID_HEX, "start index must be a multiple of 25", "start index out of range"),
            404: (BLOCK_NOT_FOUND,),
        },
    ),
)
