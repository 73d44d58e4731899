"""Esplora's answers."""

from __future__ import annotations

from services.explorer.chain.fee_estimates import TARGETS
from services.explorer.openapi.fields import (
    ADDRESS,
    BLOCK_HASH,
    BOOLEAN,
    FEERATE,
    HEIGHT,
    SATOSHIS,
    SCRIPT_EXAMPLE,
    TIME,
    TXID,
    TXID_EXAMPLE,
    Schema,
    array,
    count,
    hash_of,
    hex_of,
    number,
    or_null,
    record,
    ref,
    text,
)

BLOCK: dict[str, Schema] = {
    "id": BLOCK_HASH,
    "height": HEIGHT,
    "version": count("Bits of the version, without sign", 536870912),
    "timestamp": TIME,
    "tx_count": number("Transactions", 1, minimum=1),
    "size": count("Bytes", 250),
    "weight": count("Weight units", 892),
    "merkle_root": hash_of("Merkle root", TXID_EXAMPLE),
    "previousblockhash": or_null(hash_of("Block before this one; null for the genesis block")),
    "mediantime": count("Median time of this block and the ten before it, in seconds", 1296688602),
    "nonce": count("Nonce", 2),
    "bits": count("Target in compact form", 545259519),
    "difficulty": number("Times harder than difficulty 1", 4.6565423739069247e-10, "number", minimum=0),
}
OUTPUT = record(
    "An output",
    {
        "scriptpubkey": hex_of("Script", SCRIPT_EXAMPLE),
        "scriptpubkey_asm": text("The same, readable", f"OP_0 OP_PUSHBYTES_20 {SCRIPT_EXAMPLE[4:]}"),
        "scriptpubkey_type": {
            "type": "string",
            "enum": [
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
            ],
            "examples": ["v0_p2wpkh"],
        },
        "scriptpubkey_address": ADDRESS,
        "value": SATOSHIS,
    },
    optional=("scriptpubkey_address",),
)
INPUT = record(
    "An input",
    {
        "txid": TXID,
        "vout": count("Index of the output that it spends", 0),
        "prevout": or_null(ref("Output")),
        "scriptsig": hex_of("Script", ""),
        "scriptsig_asm": text("The same, readable", ""),
        "witness": array(hex_of("Item", "00")),
        "is_coinbase": BOOLEAN | {"examples": [False]},
        "sequence": count("Sequence", 4294967293),
        "inner_redeemscript_asm": text("Redeem script of a P2SH input", "OP_0 OP_PUSHBYTES_20 751e"),
        "inner_witnessscript_asm": text("Witness script of a P2WSH input", "OP_PUSHNUM_1"),
    },
    optional=("witness", "inner_redeemscript_asm", "inner_witnessscript_asm"),
)
STATUS = {
    "description": "Where a transaction is confirmed",
    "oneOf": [
        record(
            "In a block of the best chain",
            {
                "confirmed": {"const": True},
                "block_height": HEIGHT,
                "block_hash": BLOCK_HASH,
                "block_time": TIME,
            },
        ),
        record("Unconfirmed, or not known", {"confirmed": {"const": False}}),
    ],
}
OUTSPEND = {
    "description": "What spends an output",
    "oneOf": [
        record(
            "It is spent",
            {"spent": {"const": True}, "txid": TXID, "vin": count("Index of the input", 0), "status": ref("Status")},
        ),
        record("It is not, or is not known", {"spent": {"const": False}}),
    ],
}
STATS = record(
    "Counters of a script",
    {
        "tx_count": count("Transactions", 3),
        "funded_txo_count": count("Outputs received", 3),
        "funded_txo_sum": SATOSHIS,
        "spent_txo_count": count("Outputs spent", 0),
        "spent_txo_sum": count("Satoshis", 0),
    },
)
_STATS = {"chain_stats": ref("Stats"), "mempool_stats": ref("Stats")}
CHAIN_SCHEMAS: dict[str, Schema] = {
    "Block": record("A block", BLOCK),
    "BlockStatus": record(
        "Whether a block is on the best chain",
        {"in_best_chain": BOOLEAN, "height": or_null(HEIGHT), "next_best": or_null(BLOCK_HASH)},
    ),
    "Output": OUTPUT,
    "Input": INPUT,
    "Status": STATUS,
    "Transaction": record(
        "A transaction",
        {
            "txid": TXID,
            "version": count("Version, without sign", 2),
            "locktime": count("Lock time", 0),
            "vin": array(ref("Input")),
            "vout": array(ref("Output")),
            "size": count("Bytes", 222),
            "weight": count("Weight units", 561),
            "fee": count("Satoshis; 0 for a coinbase", 141),
            "status": ref("Status"),
        },
    ),
    "MerkleProof": record(
        "Proof that a transaction is in a block",
        {
            "block_height": HEIGHT,
            "merkle": array(hash_of("A sibling, lowest first", TXID_EXAMPLE)),
            "pos": count("Index in the block", 1),
        },
    ),
    "Outspend": OUTSPEND,
    "Stats": STATS,
    "Address": record("Counters of an address", {"address": ADDRESS, **_STATS}),
    "ScriptHash": record(
        "Counters of a script hash", {"scripthash": text("SHA-256 of the script", TXID_EXAMPLE), **_STATS}
    ),
    "Unspent": record(
        "An unspent output",
        {"txid": TXID, "vout": count("Index", 0), "status": ref("Status"), "value": SATOSHIS},
    ),
    "Movement": record(
        "What a confirmed transaction did to a balance",
        {
            "txid": TXID,
            "height": HEIGHT,
            "value": number("Satoshis received less spent", 5_000_000_000),
            "time": TIME,
            "tx_position": count("Index in its block", 0),
        },
    ),
    "Pool": record(
        "The pool's totals",
        {
            "count": count("Transactions", 2),
            "vsize": count("Virtual bytes", 282),
            "total_fee": count("Satoshis", 5_700),
            "fee_histogram": array(
                {
                    "type": "array",
                    "description": "Feerate and virtual bytes, best payers first",
                    "items": {"type": "number", "minimum": 0},
                    "minItems": 2,
                    "maxItems": 2,
                    "examples": [[20.2, 282]],
                }
            ),
        },
    ),
    "RecentTx": record(
        "A transaction that entered the pool lately",
        {"txid": TXID, "fee": SATOSHIS, "vsize": count("Virtual bytes", 141), "value": SATOSHIS},
    ),
    "FeeEstimates": record(
        "Blocks to wait → feerate in satoshis per virtual byte", {str(target): FEERATE for target in TARGETS}
    ),
}
