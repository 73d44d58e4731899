"""RPC methods about single transactions and scripts (rpc/rawtransaction.cpp; submission: rpc/mempool.cpp)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.mempool.rpc.json.block_json import stored_block
from services.mempool.rpc.json.tx_build import BUILD_ARGS, unsigned_transaction
from services.mempool.rpc.json.tx_json import script_json, tx_json
from services.mempool.rpc.server.claims import Claim, submit_transactions
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import (
    TX_DECODE_FAILED,
    Json,
    amount,
    block_or_tx_hash,
    btc,
    expect,
    feerate,
    hex_bytes,
    transaction,
    verbosity,
)
from shared import policy
from shared.bus.events import TxSubmitted, TxVerdict, TxVerdicts
from shared.chain.codec import BlockEntry
from shared.chain.view import Tip
from shared.crypto.address import AddressPrefix, encode_address
from shared.crypto.hashes import hash160, sha256
from shared.errors import DecodeError, RequestFailed
from shared.policy import DEFAULT_MAX_FEERATE, MAX_PACKAGE_COUNT
from shared.primitives.coin import Coin
from shared.primitives.hex import parse_display_hash
from shared.primitives.transaction import Transaction
from shared.reasons import MISSING_OR_SPENT, Reason
from shared.script.opcodes import MAX_OPCODE, OP_CHECKSIGADD
from shared.script.script import MAX_SCRIPT_ELEMENT_SIZE, iterate
from shared.script.standard import (
    ScriptType,
    classify,
    is_unspendable,
    p2sh_script,
    p2wpkh_script,
    p2wsh_script,
)
from shared.web.sendrawtransaction import send_error

_CATEGORY = "Rawtransactions"


_NEVER_WRAPPED = (
    ScriptType.NULL_DATA,
    ScriptType.SCRIPTHASH,
    ScriptType.WITNESS_UNKNOWN,
    ScriptType.WITNESS_V1_TAPROOT,
    ScriptType.ANCHOR,
)
_COMPRESSED_SIZE = 33


def getrawtransaction(node: NodeContext, txid_hex: str, level_or_flag: object, block_hash_hex: str | None) -> Json:
    """Return a transaction of the best chain, the pool, or the block given."""
    txid = block_or_tx_hash(txid_hex, "parameter 1")
    if txid == node.params.genesis.header.merkle_root and not node.params.genesis_spendable:
        message = "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved"
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message)
    level = verbosity(level_or_flag, default=0)
    block_hash = None if block_hash_hex is None else block_or_tx_hash(block_hash_hex, "parameter 3")
    found = node.view.txs.find(txid)
    if block_hash is not None and (found is None or found.block is None or found.block.hash != block_hash):
        return _from_block(node, txid, block_hash, level)
    if found is None:
        message = "No such mempool or blockchain transaction. Use gettransaction for wallet transactions."
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message)
    if level <= 0:
        return found.raw.hex()
    tx, spent = Transaction.parse(found.raw), found.spent if level >= 2 else None
    if found.block is None:
        return tx_json(tx, node.params.address)
    shown = _with_block(node, tx, spent, found.block, found.tip)
    return shown if block_hash is None else {"in_active_chain": True, **shown}


def _from_block(node: NodeContext, txid: bytes, block_hash: bytes, level: int) -> Json:
    """Return a transaction of a block that is off the best chain, or that has none of this txid."""
    entry = node.block_entry(block_hash, "Block hash not found")
    tx = next((tx for tx in stored_block(node, block_hash).transactions if tx.txid == txid), None)
    if tx is None:
        message = "No such transaction found in the provided block. Use gettransaction for wallet transactions."
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message)
    if level <= 0:
        return tx.serialize().hex()
    spent = _spent_by(node, tx, entry) if level >= 2 else None
    tip, is_best = node.view.at_tip(lambda tip: (tip, node.view.is_in_best_chain(entry)))
    return {"in_active_chain": is_best, **_with_block(node, tx, spent, entry, tip if is_best else None)}


def _spent_by(node: NodeContext, tx: Transaction, entry: BlockEntry) -> list[Coin] | None:
    """Return the coins that a transaction of this block spent; None for a coinbase or where they are not kept."""
    if tx.is_coinbase:
        return None
    undo = node.view.blocks.undo(entry.hash)
    if undo is None:
        return None
    place = next(place for place, other in enumerate(stored_block(node, entry.hash).transactions) if other == tx)
    return undo[place - 1]


def _with_block(
    node: NodeContext, tx: Transaction, spent: Sequence[Coin] | None, entry: BlockEntry, tip: Tip | None
) -> dict[str, Json]:
    """Return a transaction with its block, which is on the best chain of `tip`, or off the best chain without one."""
    shown = tx_json(tx, node.params.address, spent=spent, with_prevouts=True)
    shown["blockhash"] = entry.header.hash_hex
    shown["confirmations"] = 0 if tip is None else tip.height - entry.height + 1
    if tip is not None:
        shown["time"] = shown["blocktime"] = entry.header.time
    return shown


def decoderawtransaction(node: NodeContext, raw_hex: str, is_witness: bool | None) -> Json:
    """Return the fields of a raw transaction."""
    tx = transaction(raw_hex, "TX decode failed")
    if is_witness is False and tx.has_witness:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, "TX decode failed")
    return tx_json(tx, node.params.address, with_hex=False)


def createrawtransaction(
    node: NodeContext, inputs: list[Any], outputs: Any, lock_time: object, replaceable: bool | None, version: object
) -> str:
    """Return an unsigned transaction in hex."""
    return unsigned_transaction(node, inputs, outputs, lock_time, replaceable, version).serialize().hex()


def sendrawtransaction(node: NodeContext, raw_hex: str, max_feerate: object, max_burn: object) -> Claim:
    """Submit a transaction: its txid, or the code and reason with which bitcoind refuses it."""
    burn_limit = amount(max_burn) if max_burn is not None else 0
    tx = transaction(raw_hex, TX_DECODE_FAILED)
    _check_burn(tx, burn_limit)
    limit = feerate(max_feerate, DEFAULT_MAX_FEERATE)
    submission = TxSubmitted(txs=(raw_hex,), max_feerate=limit or None).with_parsed((tx,))
    return Claim(submission, lambda reply: _sent(tx, reply))


def _sent(tx: Transaction, reply: TxVerdicts) -> str:
    error = send_error(reply.verdicts[0])
    if error is not None:
        code, message = error
        raise RpcError(RpcCode(code), message)
    return tx.txid_hex


async def testmempoolaccept(node: NodeContext, raw_hexes: list[object], max_feerate: object) -> Json:
    """Return the pool's verdicts on these transactions, parents before children; nothing enters it."""
    _check_count(raw_hexes)
    limit = feerate(max_feerate, DEFAULT_MAX_FEERATE)
    txs = _transactions(raw_hexes)
    submission = TxSubmitted(txs=tuple(map(str, raw_hexes)), test_only=True).with_parsed(txs)
    reply = await submit_transactions(node, submission)
    results: list[Json] = []
    is_too_expensive = False
    for tx, verdict in zip(txs, reply.verdicts, strict=True):
        result: dict[str, Json] = {"txid": tx.txid_hex, "wtxid": tx.wtxid_hex}
        if not is_too_expensive:  # the transactions after one that would not be sent stay open
            result |= _test_result(verdict, limit)
            is_too_expensive = result.get("reject-reason") == Reason.MAX_FEE_EXCEEDED
        results.append(result)
    return results


async def submitpackage(node: NodeContext, raw_hexes: list[object], max_feerate: object, max_burn: object) -> Json:
    """Submit a child with its parents, and return the verdict on each."""
    _check_count(raw_hexes)
    limit = feerate(max_feerate, DEFAULT_MAX_FEERATE)
    burn_limit = amount(max_burn) if max_burn is not None else 0
    txs = _transactions(raw_hexes, burn_limit)
    if len(txs) > 1 and not _is_child_with_parents(txs):
        message = "package topology disallowed. not child-with-parents or parents depend on each other."
        raise RpcError(RpcCode.VERIFY_ERROR, message)
    submission = TxSubmitted(txs=tuple(map(str, raw_hexes)), max_feerate=limit or None, package=True)
    submission.with_parsed(txs)
    reply = await submit_transactions(node, submission)
    results = {tx.wtxid_hex: _package_result(tx, verdict) for tx, verdict in zip(txs, reply.verdicts, strict=True)}
    replaced = sorted({txid for verdict in reply.verdicts for txid in verdict.replaced}, key=parse_display_hash)
    return {
        "package_msg": reply.package_error or "success",
        "tx-results": results,
        "replaced-transactions": replaced,
    }


def _check_count(raw_hexes: list[object]) -> None:
    if not 1 <= len(raw_hexes) <= MAX_PACKAGE_COUNT:
        message = f"Array must contain between 1 and {MAX_PACKAGE_COUNT} transactions."
        raise RpcError(RpcCode.INVALID_PARAMETER, message)


def _transactions(raw_hexes: list[object], burn_limit: int | None = None) -> list[Transaction]:
    """Return the parsed transactions; `RpcError` for the first that is malformed or burns more than the limit."""
    txs = []
    for raw_hex in raw_hexes:
        expect(raw_hex, str)
        message = f"TX decode failed: {raw_hex} Make sure the tx has at least one input."
        txs.append(transaction(str(raw_hex), message))
        if burn_limit is not None:
            _check_burn(txs[-1], burn_limit)
    return txs


def _is_child_with_parents(txs: Sequence[Transaction]) -> bool:
    """Tell whether the last transaction spends from all others, which spend nothing of each other's.

    Source: Core's IsChildWithParentsTree.
    """
    *parents, child = txs
    parent_txids = {parent.txid for parent in parents}
    spent = {txin.prevout.txid for txin in child.inputs}
    return parent_txids <= spent and not any(
        txin.prevout.txid in parent_txids for parent in parents for txin in parent.inputs
    )


def _package_result(tx: Transaction, verdict: TxVerdict) -> Json:
    result: dict[str, Json] = {"txid": tx.txid_hex}
    if verdict.other_wtxid:
        return result | {"other-wtxid": verdict.other_wtxid}
    if not verdict.accepted:
        return result | {"error": verdict.refusal}
    fee, vsize = _fee_and_vsize(verdict)
    fees: dict[str, Json] = {"base": btc(fee)}
    if verdict.effective_feerate is not None:
        fees["effective-feerate"] = btc(verdict.effective_feerate)
        fees["effective-includes"] = list(verdict.effective_includes)
    return result | {"vsize": vsize, "fees": fees}


def _fee_and_vsize(verdict: TxVerdict) -> tuple[int, int]:
    if verdict.fee is None or verdict.vsize is None:
        raise RequestFailed(f"the verdict on {verdict.txid} has no fee")
    return verdict.fee, verdict.vsize


def _test_result(verdict: TxVerdict, max_feerate: int) -> dict[str, Json]:
    if not verdict.accepted:
        if verdict.reason in MISSING_OR_SPENT:
            return {"allowed": False, "reject-reason": Reason.MISSING_INPUTS}
        return {"allowed": False, "reject-reason": verdict.reason, "reject-details": verdict.refusal}
    fee, vsize = _fee_and_vsize(verdict)
    if max_feerate and fee > policy.fee_for(vsize, max_feerate):
        return {"allowed": False, "reject-reason": Reason.MAX_FEE_EXCEEDED}
    fees = {
        "base": btc(fee),
        "effective-feerate": btc(policy.feerate(fee, vsize)),
        "effective-includes": [verdict.wtxid],
    }
    return {"allowed": True, "vsize": vsize, "fees": fees}


def _check_burn(tx: Transaction, limit: int) -> None:
    if any(output.value > limit and _is_burned(output.script_pubkey) for output in tx.outputs):
        message = "Unspendable output exceeds maximum configured by user (maxburnamount)"
        raise RpcError(RpcCode.VERIFY_ERROR, message)


def _is_burned(script: bytes) -> bool:
    """Tell whether an output can never be spent: marked so, too long, or with operations that no script may have."""
    return is_unspendable(script) or not _has_valid_ops(script)


def _has_valid_ops(script: bytes) -> bool:
    """Tell whether a script parses, with known operations and pushes of legal size only (CScript::HasValidOps)."""
    try:
        return all(op.opcode <= MAX_OPCODE and len(op.data or b"") <= MAX_SCRIPT_ELEMENT_SIZE for op in iterate(script))
    except DecodeError:
        return False


def decodescript(node: NodeContext, script_hex: str) -> Json:
    """Return a script's parts, type and address, and the addresses of P2SH and segwit outputs that wrap it."""
    script = hex_bytes(script_hex, "argument") if script_hex else b""
    prefix = node.params.address
    shown = {name: value for name, value in script_json(script, prefix).items() if name != "hex"}
    if not _can_wrap(script):
        return shown
    shown["p2sh"] = _p2sh_address(script, prefix)
    segwit = _segwit_form(script)
    if segwit is not None:
        shown["segwit"] = {**script_json(segwit, prefix), "p2sh-segwit": _p2sh_address(segwit, prefix)}
    return shown


def _p2sh_address(script: bytes, prefix: AddressPrefix) -> str | None:
    return encode_address(p2sh_script(hash160(script)), prefix)


def _can_wrap(script: bytes) -> bool:
    """Tell whether a script may stand inside P2SH: it is no wrapper itself, can be spent, and is not tapscript."""
    if classify(script)[0] in _NEVER_WRAPPED or _is_burned(script):
        return False
    return all(op.opcode != OP_CHECKSIGADD for op in iterate(script))


def _segwit_form(script: bytes) -> bytes | None:
    """Return the scriptPubKey of a segwit output that commits to this script, None where none can."""
    kind, parts = classify(script)
    match kind:
        case ScriptType.PUBKEY if len(parts[0]) == _COMPRESSED_SIZE:
            return p2wpkh_script(hash160(parts[0]))
        case ScriptType.PUBKEYHASH:
            return p2wpkh_script(parts[0])
        case ScriptType.MULTISIG if all(len(key) == _COMPRESSED_SIZE for key in parts[1:-1]):
            return p2wsh_script(sha256(script))
        case ScriptType.NONSTANDARD:
            return p2wsh_script(sha256(script))
    return None


_RAW = Arg("hexstring", Kind.STRING, "The raw transaction in hex")
_MAX_FEERATE = Arg("maxfeerate", Kind.AMOUNT, "Refuse a feerate above this, in BTC/kvB; 0 for any", "0.10")
_MAX_BURN = Arg("maxburnamount", Kind.AMOUNT, "Refuse unspendable outputs of more than this, in BTC", "0.00")

METHODS = (
    Method(
        "createrawtransaction",
        _CATEGORY,
        "Creates an unsigned transaction from inputs and outputs. Returns it in hex.",
        BUILD_ARGS,
        createrawtransaction,
    ),
    Method(
        "decoderawtransaction",
        _CATEGORY,
        "Returns the fields of a raw transaction.",
        (_RAW, Arg("iswitness", Kind.BOOL, "Whether it has a witness", "depends on heuristic tests")),
        decoderawtransaction,
    ),
    Method(
        "getrawtransaction",
        _CATEGORY,
        "Returns a transaction of the best chain, of the pool, or of the block given: hex (verbosity 0), its fields\n"
        "(1), with fee and the outputs that it spends (2).",
        (
            Arg("txid", Kind.STRING, "The transaction id"),
            Arg("verbosity|verbose", Kind.LEVEL, "0 to 2; true is 1 and false is 0", "0"),
            Arg("blockhash", Kind.STRING, "The block in which to look for it", ""),
        ),
        getrawtransaction,
        is_short=True,
    ),
    Method(
        "submitpackage",
        _CATEGORY,
        "Submits a child and its parents, which may pay for each other, and returns what became of each.",
        (
            Arg("package", Kind.ARRAY, "1 to 25 raw transactions in hex, parents before the child"),
            _MAX_FEERATE,
            _MAX_BURN,
        ),
        submitpackage,
    ),
    Method(
        "sendrawtransaction",
        _CATEGORY,
        "Submits a raw transaction and returns its txid.",
        (
            _RAW,
            _MAX_FEERATE,
            _MAX_BURN,
        ),
        sendrawtransaction,
        is_submission=True,
        is_short=True,
    ),
    Method(
        "testmempoolaccept",
        _CATEGORY,
        "Returns what the pool would say to raw transactions, parents before children. Nothing enters it.",
        (Arg("rawtxs", Kind.ARRAY, "1 to 25 raw transactions in hex"), _MAX_FEERATE),
        testmempoolaccept,
    ),
    Method(
        "decodescript",
        _CATEGORY,
        "Returns the parts, the type and the address of a script, and the outputs that it can be wrapped in.",
        (Arg("hexstring", Kind.STRING, "The script in hex"),),
        decodescript,
    ),
)
