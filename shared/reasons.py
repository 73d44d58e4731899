"""Reject reasons, in Bitcoin Core's own words.

The strings are an interface: RPC clients, tests and the explorer compare them. They are the strings of Bitcoin Core's
current release (`validation.cpp`, `consensus/`, `policy/`, `script/script_error.cpp`, BIP22), so a client that
understands bitcoind's verdicts understands Warren's. A `ValidationError` carries one with a detail for people.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A stable reason for a refusal, exactly as Bitcoin Core spells it."""

    # Transactions without any context (CheckTransaction).
    BAD_TXNS_VIN_EMPTY = "bad-txns-vin-empty"
    BAD_TXNS_VOUT_EMPTY = "bad-txns-vout-empty"
    BAD_TXNS_OVERSIZE = "bad-txns-oversize"
    BAD_TXNS_VOUT_NEGATIVE = "bad-txns-vout-negative"
    BAD_TXNS_VOUT_TOOLARGE = "bad-txns-vout-toolarge"
    BAD_TXNS_TXOUTTOTAL_TOOLARGE = "bad-txns-txouttotal-toolarge"
    BAD_TXNS_INPUTS_DUPLICATE = "bad-txns-inputs-duplicate"
    BAD_CB_LENGTH = "bad-cb-length"
    BAD_TXNS_PREVOUT_NULL = "bad-txns-prevout-null"

    # Transactions with the coins that they spend (CheckTxInputs, sequence locks).
    BAD_TXNS_INPUTS_MISSINGORSPENT = "bad-txns-inputs-missingorspent"
    BAD_TXNS_PREMATURE_SPEND_OF_COINBASE = "bad-txns-premature-spend-of-coinbase"
    BAD_TXNS_INPUTVALUES_OUTOFRANGE = "bad-txns-inputvalues-outofrange"
    BAD_TXNS_IN_BELOWOUT = "bad-txns-in-belowout"
    BAD_TXNS_FEE_OUTOFRANGE = "bad-txns-fee-outofrange"
    BAD_TXNS_ACCUMULATED_FEE_OUTOFRANGE = "bad-txns-accumulated-fee-outofrange"
    BAD_TXNS_NONFINAL = "bad-txns-nonfinal"
    BAD_TXNS_BIP30 = "bad-txns-BIP30"

    # Blocks: header, body, coinbase (CheckBlock, ContextualCheckBlock, ConnectBlock).
    HIGH_HASH = "high-hash"
    BAD_DIFFBITS = "bad-diffbits"
    TIME_TOO_OLD = "time-too-old"
    TIME_TOO_NEW = "time-too-new"
    TIME_TIMEWARP_ATTACK = "time-timewarp-attack"
    BAD_VERSION = "bad-version"
    PREV_BLK_NOT_FOUND = "prev-blk-not-found"
    BAD_PREVBLK = "bad-prevblk"
    BAD_TXNMRKLROOT = "bad-txnmrklroot"
    BAD_TXNS_DUPLICATE = "bad-txns-duplicate"
    BAD_BLK_LENGTH = "bad-blk-length"
    BAD_BLK_WEIGHT = "bad-blk-weight"
    BAD_BLK_SIGOPS = "bad-blk-sigops"
    BAD_CB_MISSING = "bad-cb-missing"
    BAD_CB_MULTIPLE = "bad-cb-multiple"
    BAD_CB_HEIGHT = "bad-cb-height"
    BAD_CB_AMOUNT = "bad-cb-amount"
    BAD_WITNESS_NONCE_SIZE = "bad-witness-nonce-size"
    BAD_WITNESS_MERKLE_MATCH = "bad-witness-merkle-match"
    UNEXPECTED_WITNESS = "unexpected-witness"
    BAD_SIGNET_BLKSIG = "bad-signet-blksig"

    # Verdicts on submitted blocks (BIP22).
    DUPLICATE = "duplicate"
    DUPLICATE_INVALID = "duplicate-invalid"
    DUPLICATE_INCONCLUSIVE = "duplicate-inconclusive"
    INCONCLUSIVE = "inconclusive"
    INCONCLUSIVE_NOT_BEST_PREVBLK = "inconclusive-not-best-prevblk"
    STALE_PREVBLK = "stale-prevblk"
    STALE_WORK = "stale-work"
    REJECTED = "rejected"

    # Acceptance to the pool: identity, finality, conflicts.
    COINBASE = "coinbase"
    NON_FINAL = "non-final"
    NON_BIP68_FINAL = "non-BIP68-final"
    TXN_ALREADY_IN_MEMPOOL = "txn-already-in-mempool"
    TXN_ALREADY_KNOWN = "txn-already-known"
    TXN_SAME_NONWITNESS_DATA_IN_MEMPOOL = "txn-same-nonwitness-data-in-mempool"
    BIP125_REPLACEMENT_DISALLOWED = "bip125-replacement-disallowed"
    BAD_TXNS_SPENDS_CONFLICTING_TX = "bad-txns-spends-conflicting-tx"
    INSUFFICIENT_FEE = "insufficient fee"
    REPLACEMENT_FAILED = "replacement-failed"
    TOO_MANY_POTENTIAL_REPLACEMENTS = "too many potential replacements"
    MISSING_INPUTS = "missing-inputs"

    # Acceptance to the pool: standardness.
    VERSION = "version"
    TX_SIZE = "tx-size"
    TX_SIZE_SMALL = "tx-size-small"
    SCRIPTSIG_SIZE = "scriptsig-size"
    SCRIPTSIG_NOT_PUSHONLY = "scriptsig-not-pushonly"
    SCRIPTPUBKEY = "scriptpubkey"
    BARE_MULTISIG = "bare-multisig"
    DATACARRIER = "datacarrier"
    MULTI_OP_RETURN = "multi-op-return"
    DUST = "dust"
    UNSPENT_DUST = "unspent-dust"
    BAD_TXNS_NONSTANDARD_INPUTS = "bad-txns-nonstandard-inputs"
    BAD_WITNESS_NONSTANDARD = "bad-witness-nonstandard"
    BAD_TXNS_TOO_MANY_SIGOPS = "bad-txns-too-many-sigops"
    TRUC_VIOLATION = "TRUC-violation"

    # Acceptance to the pool: fees and limits.
    MIN_RELAY_FEE_NOT_MET = "min relay fee not met"
    MEMPOOL_MIN_FEE_NOT_MET = "mempool min fee not met"
    MEMPOOL_FULL = "mempool full"
    MAX_FEERATE_EXCEEDED = "max feerate exceeded"
    MAX_FEE_EXCEEDED = "max-fee-exceeded"
    TOO_LARGE_CLUSTER = "too-large-cluster"

    # Packages.
    PACKAGE_TOO_MANY_TRANSACTIONS = "package-too-many-transactions"
    PACKAGE_TOO_LARGE = "package-too-large"
    PACKAGE_CONTAINS_DUPLICATES = "package-contains-duplicates"
    PACKAGE_NOT_SORTED = "package-not-sorted"
    PACKAGE_NOT_CHILD_WITH_PARENTS = "package-not-child-with-parents"
    CONFLICT_IN_PACKAGE = "conflict-in-package"
    TRANSACTION_FAILED = "transaction failed"
    PACKAGE_RBF_NOT_TWO = "package RBF failed: package must be 1-parent-1-child"
    PACKAGE_RBF_ANCESTORS = "package RBF failed: new transaction cannot have mempool ancestors"
    PACKAGE_RBF_TOO_MANY = "package RBF failed: too many potential replacements"
    PACKAGE_RBF_FEES = "package RBF failed: insufficient anti-DoS fees"
    PACKAGE_RBF_PARENT_FEERATE = "package RBF failed: package feerate is less than or equal to parent feerate"
    PACKAGE_RBF_DIAGRAM = "package RBF failed: insufficient feerate: does not improve feerate diagram"

    # A script that fails, as the pool and as a block report it: see `script_verdict`.
    MEMPOOL_SCRIPT_VERIFY_FLAG_FAILED = "mempool-script-verify-flag-failed"
    BLOCK_SCRIPT_VERIFY_FLAG_FAILED = "block-script-verify-flag-failed"

    # Scripts (ScriptErrorString), by the names in Core's test vectors.
    EVAL_FALSE = "Script evaluated without error but finished with a false/empty top stack element"
    VERIFY = "Script failed an OP_VERIFY operation"
    EQUALVERIFY = "Script failed an OP_EQUALVERIFY operation"
    CHECKMULTISIGVERIFY = "Script failed an OP_CHECKMULTISIGVERIFY operation"
    CHECKSIGVERIFY = "Script failed an OP_CHECKSIGVERIFY operation"
    NUMEQUALVERIFY = "Script failed an OP_NUMEQUALVERIFY operation"
    SCRIPT_SIZE = "Script is too big"
    PUSH_SIZE = "Push value size limit exceeded"
    OP_COUNT = "Operation limit exceeded"
    STACK_SIZE = "Stack size limit exceeded"
    SIG_COUNT = "Signature count negative or greater than pubkey count"
    PUBKEY_COUNT = "Pubkey count negative or limit exceeded"
    BAD_OPCODE = "Opcode missing or not understood"
    DISABLED_OPCODE = "Attempted to use a disabled opcode"
    INVALID_STACK_OPERATION = "Operation not valid with the current stack size"
    INVALID_ALTSTACK_OPERATION = "Operation not valid with the current altstack size"
    OP_RETURN = "OP_RETURN was encountered"
    UNBALANCED_CONDITIONAL = "Invalid OP_IF construction"
    NEGATIVE_LOCKTIME = "Negative locktime"
    UNSATISFIED_LOCKTIME = "Locktime requirement not satisfied"
    SIG_HASHTYPE = "Signature hash type missing or not understood"
    SIG_DER = "Non-canonical DER signature"
    MINIMALDATA = "Data push larger than necessary"
    SIG_PUSHONLY = "Only push operators allowed in signatures"
    SIG_HIGH_S = "Non-canonical signature: S value is unnecessarily high"
    SIG_NULLDUMMY = "Dummy CHECKMULTISIG argument must be zero"
    MINIMALIF = "OP_IF/NOTIF argument must be minimal"
    NULLFAIL = "Signature must be zero for failed CHECK(MULTI)SIG operation"
    DISCOURAGE_UPGRADABLE_NOPS = "NOPx reserved for soft-fork upgrades"
    DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM = "Witness version reserved for soft-fork upgrades"
    DISCOURAGE_UPGRADABLE_TAPROOT_VERSION = "Taproot version reserved for soft-fork upgrades"
    DISCOURAGE_OP_SUCCESS = "OP_SUCCESSx reserved for soft-fork upgrades"
    DISCOURAGE_UPGRADABLE_PUBKEYTYPE = "Public key version reserved for soft-fork upgrades"
    PUBKEYTYPE = "Public key is neither compressed or uncompressed"
    CLEANSTACK = "Stack size must be exactly one after execution"
    WITNESS_PROGRAM_WRONG_LENGTH = "Witness program has incorrect length"
    WITNESS_PROGRAM_WITNESS_EMPTY = "Witness program was passed an empty witness"
    WITNESS_PROGRAM_MISMATCH = "Witness program hash mismatch"
    WITNESS_MALLEATED = "Witness requires empty scriptSig"
    WITNESS_MALLEATED_P2SH = "Witness requires only-redeemscript scriptSig"
    WITNESS_UNEXPECTED = "Witness provided for non-witness script"
    WITNESS_PUBKEYTYPE = "Using non-compressed keys in segwit"
    SCHNORR_SIG_SIZE = "Invalid Schnorr signature size"
    SCHNORR_SIG_HASHTYPE = "Invalid Schnorr signature hash type"
    SCHNORR_SIG = "Invalid Schnorr signature"
    TAPROOT_WRONG_CONTROL_SIZE = "Invalid Taproot control block size"
    TAPSCRIPT_VALIDATION_WEIGHT = "Too much signature validation relative to witness weight"
    TAPSCRIPT_CHECKMULTISIG = "OP_CHECKMULTISIG(VERIFY) is not available in tapscript"
    TAPSCRIPT_MINIMALIF = "OP_IF/NOTIF argument must be minimal in tapscript"
    TAPSCRIPT_EMPTY_PUBKEY = "Empty public key in tapscript"
    OP_CODESEPARATOR = "Using OP_CODESEPARATOR in non-witness script"
    SIG_FINDANDDELETE = "Signature is found in scriptCode"
    SCRIPTNUM = "Script number overflowed or is non-minimally encoded"


def script_verdict(reason: Reason, script_reason: Reason) -> str:
    """Return bitcoind's reject string for a failed script: `mempool-script-verify-flag-failed (Invalid Schnorr …)`.

    `reason` is MEMPOOL_SCRIPT_VERIFY_FLAG_FAILED or BLOCK_SCRIPT_VERIFY_FLAG_FAILED (CheckInputScripts),
    `script_reason` the reason of the ScriptError.
    """
    return f"{reason} ({script_reason})"


MISSING_OR_SPENT = frozenset({Reason.MISSING_INPUTS, Reason.BAD_TXNS_INPUTS_MISSINGORSPENT})
"""An input's coin is unknown or spent: the reason in a package, and that of a single transaction."""
