"""Esplora's operations on scripts, what mempool/electrs and mempool.space add, and what is this explorer's own."""

from __future__ import annotations

from collections.abc import Iterator

from services.explorer.openapi.fields import array, hash_of, ref
from services.explorer.openapi.operations import (
    ADDRESS_ERRORS,
    AFTER_TXID,
    ANY,
    BLOCK_ERRORS,
    BLOCK_HASH,
    BLOCK_NOT_FOUND,
    HASH,
    HEIGHT,
    INVALID_HEX,
    INVALID_NUMBER,
    MAX_TXS,
    NUMBER,
    SCRIPT_HASH_ERRORS,
    STREAM,
    TX_ERRORS,
    TXID,
    TXS,
    Answer,
    Errors,
    Operation,
    Parameter,
    json_of,
    names_body,
    text_of,
)
from services.explorer.openapi.schemas import example_of

ADDRESSES, SCRIPT_HASHES, WAITING, SPACE, ABOUT = (
    "Addresses",
    "Script hashes",
    "Waiting",
    "mempool.space",
    "This description",
)

_ADDRESS = Parameter("address", "Address of this chain", ANY, sample="address")
_SCRIPT_HASH = Parameter("scripthash", "SHA-256 of the scriptPubKey in hex, not reversed", HASH, sample="scripthash")
_LAST_TXID = Parameter("last", "Txid that the page before ended with", HASH, sample="txid")
_LAST_ANY = Parameter("last", "The same; what is none gives the first page", ANY, sample="txid")
_MAX_MOVEMENTS = Parameter("max_txs", "How many, at most 5,000; what is no number changes nothing", ANY, "query", "25")
_NOT_FOUND = {422: ("after_txid not found",)}
_BLOCKS = array(ref("BlockWithExtras"))
_ADDRESS_EXAMPLE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
_TOO_MANY_COINS = "Too many unspent transaction outputs (>20000). Contact support to raise limits."
_HEX_ERROR = {400: (INVALID_HEX,)}


def _scripts(kind: str, group: str, name: Parameter, answer: str, wrong: Errors) -> Iterator[Operation]:
    """Yield the operations of one way to name a script."""
    path = f"/{kind}/{{{kind}}}"
    with_cursor: Errors = {400: (*wrong[400], INVALID_HEX)}
    yield Operation(path, group, "Counters", json_of("Zeros for one that was never used", ref(answer)), (name,), wrong)
    yield Operation(
        f"{path}/txs",
        group,
        "Transactions, newest first",
        json_of("Up to 50 unconfirmed ones, then the newest 25 confirmed ones", TXS),
        (name, MAX_TXS, AFTER_TXID),
        {**with_cursor, **_NOT_FOUND},
        about="With `max_txs` or `after_txid` it is one list of both kinds, 50 unless asked.",
    )
    chain = json_of("25 confirmed ones, or `max_txs`", TXS)
    yield Operation(f"{path}/txs/chain", group, "Confirmed transactions", chain, (name, MAX_TXS), wrong)
    yield Operation(
        f"{path}/txs/chain/{{last}}", group, "The page after a txid", chain, (name, _LAST_ANY, MAX_TXS), wrong
    )
    yield Operation(
        f"{path}/txs/mempool",
        group,
        "Unconfirmed transactions",
        json_of("Up to 50, or `max_txs`", TXS),
        (name, MAX_TXS),
        wrong,
    )
    summary = json_of("Newest first", array(ref("Movement")))
    yield Operation(f"{path}/txs/summary", group, "What moved the balance", summary, (name, _MAX_MOVEMENTS), wrong)
    yield Operation(
        f"{path}/txs/summary/{{last}}",
        group,
        "The page after a txid",
        summary,
        (name, _LAST_TXID, _MAX_MOVEMENTS),
        with_cursor,
    )
    yield Operation(
        f"{path}/utxo",
        group,
        "Unspent outputs",
        json_of("The pool's included, less those that it spends, oldest first", array(ref("Unspent"))),
        (name,),
        {400: (*wrong[400], _TOO_MANY_COINS)},
        about="At most 20,000; whoever has more can be followed through `txs`.",
    )


def _bulk(path: str, group: str, example: str, wrong: Errors) -> Operation:
    return Operation(
        path,
        group,
        "Transactions of several, newest first",
        json_of("One list of unconfirmed and confirmed ones", TXS),
        (MAX_TXS, AFTER_TXID),
        {400: (*wrong[400], INVALID_HEX, "Invalid JSON: …"), 422: ("after_txid not found", "body too long")},
        "POST",
        names_body({"type": "string"}, example),
    )


_WAIT = (
    Parameter("height", "Wait until the best chain has come so far", NUMBER, "query", "0"),
    Parameter("hash", "Wait until it has this block", HASH, "query"),
    Parameter("txid", "Wait until this transaction is known", HASH, "query"),
    Parameter("confirmations", "How many it must have", NUMBER, "query"),
    Parameter("timeout", "Seconds, at most 60; 30 unless given", {"type": "number", "minimum": 0}, "query"),
)

OPERATIONS = (
    *_scripts("address", ADDRESSES, _ADDRESS, "Address", ADDRESS_ERRORS),
    _bulk("/addresses/txs", ADDRESSES, _ADDRESS_EXAMPLE, ADDRESS_ERRORS),
    Operation(
        "/address-prefix/{start}",
        ADDRESSES,
        "Addresses that begin with a text",
        json_of("Up to ten that the chain has paid to", array({"type": "string", "examples": [_ADDRESS_EXAMPLE]})),
        (Parameter("start", "The text", ANY, sample="prefix"),),
        {400: ("Invalid address prefix: …",)},
    ),
    *_scripts("scripthash", SCRIPT_HASHES, _SCRIPT_HASH, "ScriptHash", SCRIPT_HASH_ERRORS),
    _bulk("/scripthashes/txs", SCRIPT_HASHES, example_of(hash_of("")), SCRIPT_HASH_ERRORS),
    Operation(
        "/wait",
        WAITING,
        "Hold until a height, block or transaction is there",
        json_of("It is so", ref("Waited")),
        _WAIT,
        {
            400: ("Give one of height, hash and txid", INVALID_NUMBER, INVALID_HEX, "Invalid timeout"),
            408: ("not so after N seconds",),
        },
        about="Give one of `height`, `hash` and `txid`.",
    ),
    Operation(
        "/events",
        WAITING,
        "Every fact, as it comes about",
        Answer(
            "Server-sent events: `id` is the fact's number, `event` its topic, `data` the message as JSON; `gap` says "
            "that facts are missing: read anew",
            {
                "type": "string",
                "examples": ['id: 7\nevent: block.connected\ndata: {"seq":7,"hash":"…","height":1,…}\n'],
            },
            STREAM,
        ),
        (
            Parameter("topics", "Topics, with commas between; all unless given", ANY, "query", "block.connected"),
            Parameter("Last-Event-ID", "Go on after this fact", ANY, "header"),
        ),
        {400: ("Unknown topic …", "Invalid Last-Event-ID")},
        about="The answer does not end.",
    ),
    Operation("/v1/fees/recommended", SPACE, "Feerates to pay", json_of("None below the next", ref("RecommendedFees"))),
    Operation(
        "/v1/fees/precise", SPACE, "The same, not rounded up", json_of("None below the next", ref("PreciseFees"))
    ),
    Operation(
        "/v1/fees/mempool-blocks",
        SPACE,
        "The pool as up to eight blocks",
        json_of("Best payers first; the last has all the rest", array(ref("ProjectedBlock"), maxItems=8)),
    ),
    Operation("/v1/cpfp/{txid}", SPACE, "Unconfirmed relatives", json_of("Relatives", ref("Cpfp")), (TXID,), TX_ERRORS),
    Operation("/v1/tx/{txid}", SPACE, "A transaction", json_of("As Esplora's", ref("Transaction")), (TXID,), TX_ERRORS),
    Operation(
        "/v1/tx/{txid}/rbf",
        SPACE,
        "What it was replaced by, and what it replaced",
        json_of("Nulls for nothing", ref("RbfHistory")),
        (TXID,),
        _HEX_ERROR,
    ),
    Operation("/v1/replacements", SPACE, "Replacements of late", json_of("Newest first", array(ref("Replacement")))),
    Operation(
        "/v1/fullrbf/replacements",
        SPACE,
        "Those that did not signal it",
        json_of("Newest first", array(ref("Replacement"))),
    ),
    Operation(
        "/v1/validate-address/{address}",
        SPACE,
        "Whether an address is one of this chain",
        json_of("`isvalid`, and what it stands for or what is wrong", ref("AddressCheck")),
        (Parameter("address", "Any text", ANY, sample="address"),),
    ),
    Operation(
        "/v1/difficulty-adjustment",
        SPACE,
        "The difficulty period",
        json_of("Progress and outlook", ref("DifficultyAdjustment")),
    ),
    Operation("/v1/blocks", SPACE, "The last 15 blocks with what they earned", json_of("Newest first", _BLOCKS)),
    Operation(
        "/v1/blocks/{start}",
        SPACE,
        "15 blocks from a height downwards",
        json_of("Newest first", _BLOCKS),
        (Parameter("start", "Height of the first one", NUMBER, sample="0"),),
        {400: (INVALID_NUMBER,), 404: (BLOCK_NOT_FOUND,)},
    ),
    Operation(
        "/v1/block/{block_hash}",
        SPACE,
        "A block with what it earned",
        json_of("Block", ref("BlockWithExtras")),
        (BLOCK_HASH,),
        BLOCK_ERRORS,
    ),
    Operation(
        "/v1/block-height/{height}",
        SPACE,
        "Hash of the block at a height",
        text_of("Hash", hash_of("Block hash")),
        (HEIGHT,),
        {400: (INVALID_NUMBER,), 404: (BLOCK_NOT_FOUND,)},
    ),
    Operation(
        "/v1/transaction-times",
        SPACE,
        "When transactions entered the pool",
        json_of("Seconds since 1970; 0 for one that is not there", array({"type": "integer", "examples": [0]})),
        (Parameter("txId[]", "Txids, at most 1,000", {"type": "array", "items": HASH}, "query", "txid"),),
        {400: (INVALID_HEX, "Too many txids requested")},
    ),
    Operation(
        "/openapi.json",
        ABOUT,
        "This description (OpenAPI 3.1)",
        json_of("Description", {"type": "object", "required": ["openapi"], "examples": [{"openapi": "3.1.0"}]}),
    ),
)
