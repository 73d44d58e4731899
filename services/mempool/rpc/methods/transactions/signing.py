"""RPC methods that sign and that combine signatures (rpc/rawtransaction.cpp, rawtransaction_util.cpp)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from services.mempool.rpc.json.tx_build import outpoint
from services.mempool.rpc.psbt.solver import Evidence, FirstOf, Keyring, Source, evidence_of, unlock
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import (
    SIGHASH_TYPES,
    TX_DECODE_FAILED,
    Json,
    amount,
    expect,
    hex_bytes,
    transaction,
)
from shared.crypto.hashes import hash160, sha256
from shared.crypto.keys import PrivateKey
from shared.errors import DecodeError, ScriptError
from shared.primitives.coin import Coin
from shared.primitives.hex import display_hash
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script.flags import STANDARD
from shared.script.interpreter import verify_input
from shared.script.script import to_asm
from shared.script.sighash import SighashCache
from shared.script.standard import is_p2sh, witness_program

_CATEGORY = "Rawtransactions"
_GONE = "Input not found or already spent"
UNKNOWN_OUTPUT = TxOut(-1, b"")
"""Stands for a spent output that is not known: no signature verifies against it."""

_EXPLANATIONS = {
    Reason.INVALID_STACK_OPERATION: "Unable to sign input, invalid stack size (possibly missing key)",
    Reason.NULLFAIL: "CHECK(MULTI)SIG failing with non-zero signature (possibly need more signatures)",
}


def hash_type_of(name: str | None) -> int:
    """Return the byte of a sighash name (ParseSighashString); INVALID_PARAMETER for an unknown name."""
    if name is None:
        return 0
    if name not in SIGHASH_TYPES:
        raise RpcError(RpcCode.INVALID_PARAMETER, f"'{name}' is not a valid sighash parameter.")
    return SIGHASH_TYPES[name]


def known_outputs(node: NodeContext, txs: Sequence[Transaction]) -> dict[OutPoint, TxOut]:
    """Return the unspent outputs, of the chain or of the pool, that these transactions spend."""
    outpoints = list(dict.fromkeys(txin.prevout for tx in txs for txin in tx.inputs))
    coins: list[Coin | None] = node.view.txs.coins(outpoints)
    found = {place: coin.output for place, coin in zip(outpoints, coins, strict=True) if coin is not None}
    missing = [place for place in outpoints if place not in found]
    records = node.view.txs.get_many([place.txid for place in missing])
    for place, record in zip(missing, records, strict=True):
        if record is not None and record.pool is not None and place.vout < len(record.tx.outputs):
            found[place] = record.tx.outputs[place.vout]
    return found


def signrawtransactionwithkey(
    node: NodeContext, raw_hex: str, wifs: list[Any], prevtxs: list[Any] | None, sighash: str | None
) -> Json:
    """Sign the inputs that these keys unlock; name the inputs that stay incomplete."""
    tx = transaction(raw_hex, TX_DECODE_FAILED)
    keys = []
    for wif in wifs:
        expect(wif, str)
        try:
            keys.append(PrivateKey.from_wif(wif, node.params.address))
        except DecodeError:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid private key") from None
    outputs = known_outputs(node, [tx])
    scripts: list[bytes] = []
    for item in prevtxs or []:
        _learn_output(item, outputs, scripts)
    keyring = Keyring(keys, hash_type_of(sighash), scripts)
    sources = [Evidence(evidence_of(txin.script_sig, txin.witness)) for txin in tx.inputs]
    signed, errors = fill_in(tx, outputs, [FirstOf((source, keyring)) for source in sources])
    shown: dict[str, Json] = {"hex": signed.serialize().hex(), "complete": not errors}
    if errors:
        shown["errors"] = [_error_json(signed.inputs[index], message) for index, message in errors.items()]
    return shown


def fill_in(
    tx: Transaction, outputs: Mapping[OutPoint, TxOut], sources: Sequence[Source]
) -> tuple[Transaction, dict[int, str]]:
    """Return the transaction, its inputs unlocked as far as the sources go, and the error of each incomplete one."""
    spent = [outputs.get(txin.prevout, UNKNOWN_OUTPUT) for txin in tx.inputs]
    cache = SighashCache(tx, spent)
    inputs = list(tx.inputs)
    for index, source in enumerate(sources):
        if tx.inputs[index].prevout not in outputs:
            continue
        unlocking = unlock(cache, index, source)
        if unlocking is not None:
            inputs[index] = replace(inputs[index], script_sig=unlocking.script_sig, witness=unlocking.witness)
    signed = Transaction(tx.version, tuple(inputs), tx.outputs, tx.lock_time)
    return signed, check_inputs(signed, outputs)


def check_inputs(tx: Transaction, outputs: Mapping[OutPoint, TxOut]) -> dict[int, str]:
    """Return the error of each input that fails under the standard rules, by its index."""
    errors = {}
    spent = [outputs.get(txin.prevout, UNKNOWN_OUTPUT) for txin in tx.inputs]
    cache = SighashCache(tx, spent)
    for index, txin in enumerate(tx.inputs):
        if txin.prevout not in outputs:
            errors[index] = _GONE
            continue
        try:
            verify_input(tx, index, spent, STANDARD, cache=cache)
        except ScriptError as error:
            errors[index] = _EXPLANATIONS.get(error.reason, str(error.reason))
    return errors


def _error_json(txin: TxIn, message: str) -> Json:
    return {
        "txid": display_hash(txin.prevout.txid),
        "vout": txin.prevout.vout,
        "witness": [item.hex() for item in txin.witness],
        "scriptSig": txin.script_sig.hex(),
        "sequence": txin.sequence,
        "error": message,
    }


def _learn_output(item: Any, outputs: dict[OutPoint, TxOut], scripts: list[bytes]) -> None:
    """Add an output that the caller describes, and the scripts behind its hashes (ParsePrevouts)."""
    expect(item, dict)
    place = outpoint(item)
    script = hex_bytes(item.get("scriptPubKey"), "scriptPubKey")
    known = outputs.get(place)
    if known is not None and known.script_pubkey != script:
        message = f"Previous output scriptPubKey mismatch:\n{to_asm(known.script_pubkey)}\nvs:\n{to_asm(script)}"
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, message)
    value = amount(item["amount"]) if item.get("amount") is not None else None
    is_witness = witness_program(script) is not None
    if known is None:
        if value is None and is_witness:
            raise RpcError(RpcCode.TYPE_ERROR, f"Missing amount for {place}")
        outputs[place] = TxOut(value or 0, script)
    elif value is not None:
        outputs[place] = TxOut(value, script)
    given = {name: hex_bytes(item[name], name) for name in ("redeemScript", "witnessScript") if item.get(name)}
    if given and (is_p2sh(script) or is_witness) and not _fits(script, list(given.values())):
        message = "redeemScript/witnessScript does not match scriptPubKey"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    scripts += given.values()


def _fits(script: bytes, given: Sequence[bytes]) -> bool:
    nested = [b"\x00\x20" + sha256(candidate) for candidate in given]
    if is_p2sh(script):
        return any(hash160(candidate) == script[2:22] for candidate in (*given, *nested))
    return script in nested


def combinerawtransaction(node: NodeContext, raw_hexes: list[Any]) -> str:
    """Return one transaction with the signatures of all its variants."""
    txs = []
    for number, raw_hex in enumerate(raw_hexes):
        expect(raw_hex, str)
        message = f"TX decode failed for tx {number}. Make sure the tx has at least one input."
        txs.append(transaction(raw_hex, message))
    if not txs:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, "Missing transactions")
    merged = txs[0]
    outputs = known_outputs(node, [merged])
    if any(txin.prevout not in outputs for txin in merged.inputs):
        raise RpcError(RpcCode.VERIFY_ERROR, _GONE)
    sources = []
    for index in range(len(merged.inputs)):
        variants = [tx.inputs[index] for tx in txs if index < len(tx.inputs)]
        sources.append(Evidence([item for txin in variants for item in evidence_of(txin.script_sig, txin.witness)]))
    return fill_in(merged, outputs, sources)[0].serialize().hex()


_TXS = Arg("txs", Kind.ARRAY, "The variants of one transaction, in hex")

METHODS = (
    Method(
        "combinerawtransaction",
        _CATEGORY,
        "Combines partly signed variants of one transaction into one. Returns it in hex.",
        (_TXS,),
        combinerawtransaction,
    ),
    Method(
        "signrawtransactionwithkey",
        _CATEGORY,
        "Signs inputs of a transaction with private keys: P2PK, P2PKH, P2WPKH, P2TR key path, multisig;\n"
        "also within P2SH and P2WSH.",
        (
            Arg("hexstring", Kind.STRING, "The transaction in hex"),
            Arg("privkeys", Kind.ARRAY, "Private keys in wallet import format"),
            Arg("prevtxs", Kind.ARRAY, "Outputs spent that are not on the chain: txid, vout, scriptPubKey, …", ""),
            Arg("sighashtype", Kind.STRING, "Such as ALL or SINGLE|ANYONECANPAY", "DEFAULT"),
        ),
        signrawtransactionwithkey,
    ),
)
