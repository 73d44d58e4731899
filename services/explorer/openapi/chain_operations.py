"""Esplora's operations on blocks, transactions and the pool."""

from __future__ import annotations

from services.explorer.openapi.fields import array, hash_of, ref
from services.explorer.openapi.operations import (
    ANY,
    BLOCK_ERRORS,
    BLOCK_HASH,
    BLOCK_NOT_FOUND,
    HASH,
    HEIGHT,
    HEX_TEXT,
    INVALID_HEX,
    INVALID_NUMBER,
    NUMBER,
    RAW_TX,
    RAW_TXS,
    TX_ERRORS,
    TXID,
    TXID_TEXT,
    TXS,
    Operation,
    Parameter,
    json_of,
    octets_of,
    text_of,
)

BLOCKS, TRANSACTIONS, POOL = "Blocks", "Transactions", "Pool and fees"

_BLOCK_HASH = hash_of("Block hash")
_START = Parameter("start", "Height of the first one; what is not a number means the tip", ANY, sample="0")
_TX_START = Parameter("start", "Index of the first one, a multiple of 25; what is no number means 0", ANY, sample="0")
_INDEX = Parameter("index", "Index in the block", NUMBER, sample="0")
_VOUT = Parameter("vout", "Index of the output", {"type": "integer", "minimum": 0, "maximum": 0xFFFFFFFF}, sample="0")
_STARTS = ("start index must be a multiple of 25", "start index out of range")
_UNCONFIRMED = {400: (INVALID_HEX,), 404: ("Transaction not found or is unconfirmed",)}
_SUBMIT = (
    "sendrawtransaction RPC error -22: TX decode failed. …",
    "sendrawtransaction RPC error -25: bad-txns-inputs-missingorspent",
    "sendrawtransaction RPC error -26: <reason>[, <detail>]",
    "sendrawtransaction RPC error -27: Transaction outputs already in utxo set",
)
_PACKAGE = (
    "Invalid JSON: …",
    "Exceeded maximum of 25 transactions",
    "Invalid transaction size for item N",
    "Invalid transaction hex for item N",
    "Invalid maxfeerate",
)
_LIMIT = {"type": "number", "minimum": 0, "maximum": 21_000_000}
_MAX_FEERATE = Parameter("maxfeerate", "Bitcoins per 1,000 vB; 0.10 unless given, 0 for no limit", _LIMIT, "query")
_MAX_BURN = Parameter("maxburnamount", "Bitcoins that an unspendable output may have; 0 unless given", _LIMIT, "query")
_LAST = Parameter("last", "The txid that the page before ended with", HASH, sample="txid")

OPERATIONS = (
    Operation("/blocks/tip/hash", BLOCKS, "Hash of the tip", text_of("Hash", _BLOCK_HASH)),
    Operation(
        "/blocks/tip/height",
        BLOCKS,
        "Height of the tip",
        text_of("Height", {"type": "string", "pattern": "^[0-9]+$", "examples": ["110"]}),
    ),
    Operation("/blocks", BLOCKS, "The last ten blocks, newest first", json_of("Blocks", array(ref("Block")))),
    Operation(
        "/blocks/{start}",
        BLOCKS,
        "Ten blocks from a height downwards",
        json_of("Blocks", array(ref("Block"))),
        (_START,),
        {404: (BLOCK_NOT_FOUND,)},
    ),
    Operation(
        "/block-height/{height}",
        BLOCKS,
        "Hash of the block at a height",
        text_of("Hash", _BLOCK_HASH),
        (HEIGHT,),
        {400: (INVALID_NUMBER,), 404: (BLOCK_NOT_FOUND,)},
    ),
    Operation(
        "/block/{block_hash}",
        BLOCKS,
        "A block",
        json_of("Block", ref("Block"), cached=True),
        (BLOCK_HASH,),
        BLOCK_ERRORS,
        about="Stale blocks stay readable.",
    ),
    Operation(
        "/block/{block_hash}/header",
        BLOCKS,
        "Its header in hex",
        text_of("80 bytes in hex", HEX_TEXT, cached=True),
        (BLOCK_HASH,),
        BLOCK_ERRORS,
    ),
    Operation(
        "/block/{block_hash}/raw", BLOCKS, "Its bytes", octets_of("Block", cached=True), (BLOCK_HASH,), BLOCK_ERRORS
    ),
    Operation(
        "/block/{block_hash}/status",
        BLOCKS,
        "Whether it is on the best chain",
        json_of("Status; of an unknown block it is false, null, null", ref("BlockStatus")),
        (BLOCK_HASH,),
        {400: (INVALID_HEX,)},
    ),
    Operation(
        "/block/{block_hash}/txids",
        BLOCKS,
        "Txids of all its transactions",
        json_of("Txids", array(TXID_TEXT), cached=True),
        (BLOCK_HASH,),
        BLOCK_ERRORS,
    ),
    Operation(
        "/block/{block_hash}/txid/{index}",
        BLOCKS,
        "Txid at an index",
        text_of("Txid", TXID_TEXT, cached=True),
        (BLOCK_HASH, _INDEX),
        {400: (INVALID_HEX, INVALID_NUMBER), 404: (BLOCK_NOT_FOUND, "tx index out of range")},
    ),
    Operation(
        "/block/{block_hash}/txs",
        BLOCKS,
        "Its first 25 transactions",
        json_of("Transactions; those of a stale block are unconfirmed", TXS),
        (BLOCK_HASH,),
        BLOCK_ERRORS,
    ),
    Operation(
        "/block/{block_hash}/txs/{start}",
        BLOCKS,
        "25 of its transactions",
        json_of("Transactions", TXS),
        (BLOCK_HASH, _TX_START),
        {400: (INVALID_HEX, *_STARTS), 404: (BLOCK_NOT_FOUND,)},
    ),
    Operation("/tx/{txid}", TRANSACTIONS, "A transaction", json_of("It", ref("Transaction")), (TXID,), TX_ERRORS),
    Operation("/tx/{txid}/hex", TRANSACTIONS, "Its bytes in hex", text_of("Hex", HEX_TEXT), (TXID,), TX_ERRORS),
    Operation("/tx/{txid}/raw", TRANSACTIONS, "Its bytes", octets_of("Transaction"), (TXID,), TX_ERRORS),
    Operation(
        "/tx/{txid}/status",
        TRANSACTIONS,
        "Where it is confirmed",
        json_of("Status; an unknown transaction is unconfirmed", ref("Status")),
        (TXID,),
        {400: (INVALID_HEX,)},
    ),
    Operation(
        "/tx/{txid}/merkle-proof",
        TRANSACTIONS,
        "Proof that it is in its block",
        json_of("Proof", ref("MerkleProof")),
        (TXID,),
        _UNCONFIRMED,
    ),
    Operation(
        "/tx/{txid}/merkleblock-proof",
        TRANSACTIONS,
        "The same as a merkle block (BIP37)",
        text_of("Hex", HEX_TEXT),
        (TXID,),
        _UNCONFIRMED,
    ),
    Operation(
        "/tx/{txid}/outspends",
        TRANSACTIONS,
        "What spends each of its outputs",
        json_of("In the order of the outputs", array(ref("Outspend"))),
        (TXID,),
        TX_ERRORS,
    ),
    Operation(
        "/tx/{txid}/outspend/{vout}",
        TRANSACTIONS,
        "What spends one of its outputs",
        json_of("Spend; an unknown output is unspent", ref("Outspend")),
        (TXID, _VOUT),
        {400: (INVALID_HEX, INVALID_NUMBER)},
    ),
    Operation(
        "/txs/outspends",
        TRANSACTIONS,
        "What spends the outputs of several transactions",
        json_of("A list for each, empty for one that is not known", array(array(ref("Outspend")))),
        (Parameter("txids", "Up to 50 txids, with commas between", ANY, "query", "txid"),),
        {400: (INVALID_HEX, "Too many txids requested")},
    ),
    Operation(
        "/tx",
        TRANSACTIONS,
        "Submit a transaction",
        text_of("Its txid, once it is in the pool", TXID_TEXT),
        errors={400: _SUBMIT},
        method="POST",
        body=RAW_TX,
        about="One that is in the pool already succeeds again. After a 503 `no verdict in time` look the transaction "
        "up before you send it again.",
    ),
    Operation(
        "/broadcast",
        TRANSACTIONS,
        "The same for old clients",
        text_of("Its txid", TXID_TEXT),
        (Parameter("tx", "The raw transaction in hex", ANY, "query", needed=True),),
        {400: ("Missing tx", *_SUBMIT)},
    ),
    Operation(
        "/txs/package",
        TRANSACTIONS,
        "Submit a child with its parents",
        json_of("What became of each", ref("PackageResult")),
        (_MAX_FEERATE, _MAX_BURN),
        {400: (*_PACKAGE, "Invalid maxburnamount", "submitpackage RPC error -22: …")},
        "POST",
        RAW_TXS,
        "The parents may pay too little without the child.",
    ),
    Operation(
        "/txs/test",
        TRANSACTIONS,
        "Ask whether the pool would take transactions",
        json_of("One result for each", array(ref("TestResult"))),
        (_MAX_FEERATE,),
        {400: (*_PACKAGE, "testmempoolaccept RPC error -22: …")},
        "POST",
        RAW_TXS,
        "Nothing enters the pool.",
    ),
    Operation("/mempool", POOL, "Totals and feerates of the pool", json_of("Pool", ref("Pool"))),
    Operation("/mempool/txids", POOL, "All txids, newest first", json_of("Txids", array(TXID_TEXT))),
    Operation(
        "/mempool/txids/page",
        POOL,
        "The first page of txids, in the order of their bytes",
        json_of("Txids", array(TXID_TEXT)),
        (Parameter("max_txs", "How many, at most 10,000; what is no number changes nothing", ANY, "query", "100"),),
    ),
    Operation(
        "/mempool/txids/page/{last}",
        POOL,
        "The page after it",
        json_of("Txids", array(TXID_TEXT)),
        (_LAST, Parameter("max_txs", "How many, at most 10,000", ANY, "query", "100")),
        {400: (INVALID_HEX,)},
        about="What comes and goes meanwhile shifts no page.",
    ),
    Operation("/mempool/recent", POOL, "The last ten transactions", json_of("Newest first", array(ref("RecentTx")))),
    Operation(
        "/fee-estimates",
        POOL,
        "What to pay to be mined within so many blocks",
        json_of(
            "Always for all of these targets; 0.1, the least that is relayed, where blocks have room",
            ref("FeeEstimates"),
        ),
    ),
    Operation(
        "/block-template",
        POOL,
        "What the next block would be made of",
        json_of("bitcoind's getblocktemplate", ref("BlockTemplate")),
        about="For miners; send the solved block to `submitblock` of the JSON-RPC.",
    ),
)
