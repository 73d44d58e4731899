"""Answers that are bitcoind's and mempool.space's, and this explorer's own."""

from __future__ import annotations

from services.explorer.openapi.chain_schemas import BLOCK
from services.explorer.openapi.fields import (
    ADDRESS,
    BLOCK_HASH,
    BOOLEAN,
    BTC,
    FEERATE,
    HEIGHT,
    RATES,
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

EXTRAS = record(
    "What mempool.space adds to a block",
    {
        "totalFees": SATOSHIS,
        "medianFee": FEERATE,
        "feeRange": RATES,
        "avgFee": SATOSHIS,
        "avgFeeRate": count("Satoshis per virtual byte", 1),
        "reward": SATOSHIS,
        "coinbaseRaw": hex_of("scriptSig of the coinbase", "510101"),
        "pool": record(
            "Who mined it, by the name in its coinbase",
            {"id": count("Always 0", 0), "name": text("Name", "miner-1"), "slug": text("Name", "miner-1")},
        ),
        "avgTxSize": number("Bytes per transaction", 250.0, "number"),
        "virtualSize": number("Virtual bytes", 223.0, "number"),
        "header": text("80 bytes in hex", "00" * 80, pattern="^[0-9a-f]{160}$"),
    },
)
_PACKAGE_FEES = record(
    "Fees, in bitcoins",
    {"base": BTC, "effective-feerate": BTC, "effective-includes": array(hash_of("wtxid", TXID_EXAMPLE))},
    optional=("effective-feerate", "effective-includes"),
)
_FEES = ("fastestFee", "halfHourFee", "hourFee", "economyFee", "minimumFee")
_RELATIVE = record("A relative", {"txid": TXID, "fee": SATOSHIS, "weight": count("Weight units", 561)})

OTHER_SCHEMAS: dict[str, Schema] = {
    "BlockWithExtras": record("A block, as mempool.space shows it", BLOCK | {"extras": EXTRAS}),
    "PackageResult": record(
        "What became of a package, as bitcoind's submitpackage says it",
        {
            "package_msg": text("`success`, or why not", "success"),
            "tx-results": {
                "type": "object",
                "description": "By wtxid",
                "additionalProperties": record(
                    "One transaction",
                    {
                        "txid": TXID,
                        "other-wtxid": hash_of("Same txid, other witness", TXID_EXAMPLE),
                        "vsize": count("Virtual bytes", 141),
                        "fees": _PACKAGE_FEES,
                        "error": text("Why it was refused", "min relay fee not met"),
                    },
                    optional=("other-wtxid", "vsize", "fees", "error"),
                ),
            },
            "replaced-transactions": array(TXID),
        },
    ),
    "TestResult": record(
        "What would become of a transaction, as bitcoind's testmempoolaccept says it",
        {
            "txid": TXID,
            "wtxid": hash_of("wtxid", TXID_EXAMPLE),
            "allowed": BOOLEAN,
            "vsize": count("Virtual bytes", 141),
            "fees": _PACKAGE_FEES,
            "reject-reason": text("Why not", "missing-inputs"),
            "reject-details": text("Why not, in full", "min relay fee not met, 0 < 141"),
        },
        optional=("vsize", "fees", "reject-reason", "reject-details"),
    ),
    "BlockTemplate": record(
        "What the next block would be made of, as bitcoind's getblocktemplate says it (BIP22, BIP23, BIP145)",
        {
            "capabilities": array(text("Capability", "proposal")),
            "version": count("Version", 536870912),
            "rules": array(text("Soft fork", "!segwit")),
            "vbavailable": {"type": "object", "examples": [{}]},
            "vbrequired": count("Bits that must be set", 0),
            "previousblockhash": BLOCK_HASH,
            "transactions": array(
                record(
                    "A transaction",
                    {
                        "data": hex_of("Bytes", "00"),
                        "txid": TXID,
                        "hash": hash_of("wtxid", TXID_EXAMPLE),
                        "depends": array(number("Place of a parent, from 1", 1, minimum=1)),
                        "fee": SATOSHIS,
                        "sigops": count("Signature operation cost", 1),
                        "weight": count("Weight units", 561),
                    },
                )
            ),
            "coinbaseaux": {"type": "object", "examples": [{}]},
            "coinbasevalue": SATOSHIS,
            "longpollid": text("Names this state of chain and pool", f"{TXID_EXAMPLE}7"),
            "target": hash_of("Highest hash that counts", "7f" + "ff" * 31),
            "mintime": TIME,
            "mutable": array(text("What may be changed", "time")),
            "noncerange": hex_of("First and last nonce", "00000000ffffffff"),
            "sigoplimit": count("Signature operation cost", 80_000),
            "sizelimit": count("Bytes", 4_000_000),
            "weightlimit": count("Weight units", 4_000_000),
            "curtime": TIME,
            "bits": text("Target in compact form, in hex", "207fffff", pattern="^[0-9a-f]{8}$"),
            "height": HEIGHT,
            "signet_challenge": hex_of("On signet chains", "51"),
            "default_witness_commitment": hex_of("Script of the coinbase's commitment", "6a24aa21a9ed" + "00" * 32),
        },
        optional=("signet_challenge",),
    ),
    "Waited": record(
        "The tip, and how often what was waited for is confirmed",
        {"height": HEIGHT, "hash": BLOCK_HASH, "confirmations": count("Confirmations", 1)},
    ),
    "RecommendedFees": record("Whole satoshis per virtual byte", {name: count("sat/vB", 1) for name in _FEES}),
    "PreciseFees": record("Satoshis per virtual byte", dict.fromkeys(_FEES, FEERATE)),
    "ProjectedBlock": record(
        "A block that the pool's best payers would make",
        {
            "blockSize": count("Bytes, estimated", 444),
            "blockVSize": count("Virtual bytes", 282),
            "nTx": count("Transactions", 2),
            "totalFees": SATOSHIS,
            "medianFee": FEERATE,
            "feeRange": RATES,
        },
    ),
    "Cpfp": record(
        "Unconfirmed relatives of a transaction",
        {
            "ancestors": array(_RELATIVE),
            "bestDescendant": or_null(_RELATIVE),
            "descendants": array(_RELATIVE),
            "effectiveFeePerVsize": FEERATE,
            "sigops": count("Signature operation cost", 1),
            "fee": SATOSHIS,
            "adjustedVsize": count("Virtual bytes", 141),
        },
        optional=("sigops",),
    ),
    "AddressCheck": record(
        "Whether an address is one of this chain, as bitcoind's validateaddress says it",
        {
            "isvalid": BOOLEAN,
            "address": ADDRESS,
            "scriptPubKey": hex_of("Script", SCRIPT_EXAMPLE),
            "isscript": BOOLEAN | {"examples": [False]},
            "iswitness": BOOLEAN,
            "witness_version": number("Version", 0, minimum=0, maximum=16),
            "witness_program": hex_of("Program", SCRIPT_EXAMPLE[4:]),
            "error_locations": array(count("Index of a wrong character", 3)),
            "error": text("What is wrong", "invalid checksum"),
        },
        optional=(
            "address",
            "scriptPubKey",
            "isscript",
            "iswitness",
            "witness_version",
            "witness_program",
            "error_locations",
            "error",
        ),
    ),
    "DifficultyAdjustment": record(
        "How far the difficulty period has come, and the outlook",
        {
            "progressPercent": number("Percent", 5.5, "number", minimum=0, maximum=100),
            "difficultyChange": number("Percent", 0.0, "number"),
            "estimatedRetargetDate": count("Milliseconds since 1970", 1800000000000),
            "remainingBlocks": count("Blocks", 1906),
            "remainingTime": count("Milliseconds", 1143600000),
            "previousRetarget": number("Percent", 0.0, "number"),
            "previousTime": TIME,
            "nextRetargetHeight": HEIGHT,
            "timeAvg": count("Milliseconds per block", 600000),
            "adjustedTimeAvg": count("Milliseconds per block", 600000),
            "timeOffset": count("Always 0", 0),
            "expectedBlocks": number("Blocks that the time would have been enough for", 110.5, "number"),
        },
    ),
    "RbfHistory": record(
        "The tree of replacements that a transaction is in, and what it replaced itself; null for nothing",
        {"replacements": or_null(ref("Replacement")), "replaces": or_null(array(TXID))},
    ),
    "Replacement": record(
        "A transaction, and what it took the place of",
        {
            "tx": record(
                "It",
                {
                    "txid": TXID,
                    "fee": SATOSHIS,
                    "vsize": count("Virtual bytes", 141),
                    "value": SATOSHIS,
                    "rate": FEERATE,
                    "time": TIME,
                    "rbf": BOOLEAN | {"description": "Whether it signals that it may be replaced (BIP125)"},
                    "fullRbf": BOOLEAN | {"examples": [False]},
                    "mined": BOOLEAN,
                },
                optional=("mined",),
            ),
            "time": TIME,
            "fullRbf": BOOLEAN | {"description": "Whether any below did not signal", "examples": [False]},
            "interval": count("Seconds until it was replaced", 60),
            "mined": BOOLEAN,
            "replaces": array(ref("Replacement")) | {"examples": [[]]},
        },
        optional=("interval", "mined"),
    ),
}
