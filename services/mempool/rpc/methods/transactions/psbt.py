"""RPC methods about partially signed transactions (rpc/rawtransaction.cpp)."""

from __future__ import annotations

from typing import Any

from services.mempool.rpc.descriptors import parse
from services.mempool.rpc.json.tx_build import BUILD_ARGS, unsigned_transaction
from services.mempool.rpc.methods.transactions.signing import UNKNOWN_OUTPUT, check_inputs, known_outputs
from services.mempool.rpc.psbt.codec import In, Psbt
from services.mempool.rpc.psbt.psbt_json import psbt_json
from services.mempool.rpc.psbt.solver import Evidence, unlock
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, expect, transaction
from shared.crypto.hashes import hash160, sha256
from shared.errors import DecodeError
from shared.primitives.transaction import Transaction, TxIn
from shared.script.sighash import SighashCache
from shared.script.standard import is_p2sh, witness_program

_CATEGORY = "Rawtransactions"
_EVIDENCE = (In.PARTIAL_SIG, In.REDEEM_SCRIPT, In.WITNESS_SCRIPT, In.TAP_KEY_SIG)


def _decoded(text: str) -> Psbt:
    try:
        return Psbt.decode(text)
    except DecodeError as error:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, f"TX decode failed {error}") from None


def createpsbt(
    node: NodeContext, inputs: list[Any], outputs: Any, lock_time: object, replaceable: bool | None, version: object
) -> str:
    """Return a PSBT, in base64, of an unsigned transaction."""
    return Psbt(unsigned_transaction(node, inputs, outputs, lock_time, replaceable, version)).encode()


def converttopsbt(node: NodeContext, raw_hex: str, permits_signatures: bool | None, is_witness: bool | None) -> str:
    """Return a PSBT of a raw transaction; its signatures are refused unless `permits_signatures` drops them."""
    tx = transaction(raw_hex, "TX decode failed")
    if is_witness is False and tx.has_witness:
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, "TX decode failed")
    if not permits_signatures and (tx.has_witness or any(txin.script_sig for txin in tx.inputs)):
        message = "Inputs must not have scriptSigs and scriptWitnesses"
        raise RpcError(RpcCode.DESERIALIZATION_ERROR, message)
    bare = tuple(TxIn(txin.prevout, b"", txin.sequence) for txin in tx.inputs)
    return Psbt(Transaction(tx.version, bare, tx.outputs, tx.lock_time)).encode()


def decodepsbt(node: NodeContext, text: str) -> Json:
    """Return the fields of a PSBT."""
    return psbt_json(_decoded(text), node.params.address)


def combinepsbt(node: NodeContext, texts: list[Any]) -> str:
    """Return one PSBT with the fields of several, which must be of one transaction."""
    if not texts:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Parameter 'txs' cannot be empty")
    psbts = []
    for text in texts:
        expect(text, str)
        psbts.append(_decoded(text))
    merged = psbts[0]
    for other in psbts[1:]:
        if other.tx != merged.tx:
            message = "PSBTs not compatible (different transactions)"
            raise RpcError(RpcCode.INVALID_PARAMETER, message)
        merged.merge(other)
    return merged.encode()


def finalizepsbt(node: NodeContext, text: str, extract: bool | None) -> Json:
    """Complete the inputs whose signatures are there; return the transaction if all inputs are complete."""
    psbt = _decoded(text)
    is_complete = _finalize(psbt)
    if is_complete and extract is not False:
        return {"hex": psbt.extract().serialize().hex(), "complete": True}
    return {"psbt": psbt.encode(), "complete": is_complete}


def _finalize(psbt: Psbt) -> bool:
    known = [psbt.spent_output(index) for index in range(len(psbt.inputs))]
    spent = [output or UNKNOWN_OUTPUT for output in known]
    cache = SighashCache(psbt.tx, spent)
    outputs = {txin.prevout: output for txin, output in zip(psbt.tx.inputs, known, strict=True) if output is not None}
    for index, fields in enumerate(psbt.inputs):
        if psbt.is_final(index) or known[index] is None:
            continue
        items = [value for key, value in fields.items() if key[0] in _EVIDENCE]
        items += [key[1:] for key in fields if key[0] == In.PARTIAL_SIG]
        if (redeem := fields.get(bytes([In.WITNESS_SCRIPT]))) is not None:
            items.append(b"\x00\x20" + sha256(redeem))
        found = unlock(cache, index, Evidence(items))
        if found is None:
            continue
        trial = list(psbt.tx.inputs)
        trial[index] = TxIn(trial[index].prevout, found.script_sig, trial[index].sequence, found.witness)
        candidate = Transaction(psbt.tx.version, tuple(trial), psbt.tx.outputs, psbt.tx.lock_time)
        if index not in check_inputs(candidate, outputs):
            psbt.finalize(index, found.script_sig, found.witness)
    return all(map(psbt.is_final, range(len(psbt.inputs))))


def utxoupdatepsbt(node: NodeContext, text: str, wanted: list[Any] | None) -> str:
    """Add the outputs that a PSBT spends, from the chain and the pool, and scripts from descriptors."""
    psbt = _decoded(text)
    scripts = _scripts(node, wanted or [])
    outputs = known_outputs(node, [psbt.tx])
    previous = node.view.txs.get_many([txin.prevout.txid for txin in psbt.tx.inputs])
    for index, (txin, record) in enumerate(zip(psbt.tx.inputs, previous, strict=True)):
        fields = psbt.inputs[index]
        output = psbt.spent_output(index) or outputs.get(txin.prevout)
        if output is None or psbt.is_final(index):
            continue
        redeem = scripts.get(output.script_pubkey[2:22]) if is_p2sh(output.script_pubkey) else None
        program = witness_program(redeem or output.script_pubkey)
        if program is not None:
            fields.setdefault(bytes([In.WITNESS_UTXO]), output.serialize())
        if record is not None and not (program is not None and program[0] == 1):
            fields.setdefault(bytes([In.NON_WITNESS_UTXO]), record.tx.serialize())
        if redeem is not None:
            fields.setdefault(bytes([In.REDEEM_SCRIPT]), redeem)
        if program is not None and (witness_script := scripts.get(program[1])) is not None and len(program[1]) == 32:
            fields.setdefault(bytes([In.WITNESS_SCRIPT]), witness_script)
    return psbt.encode()


def _scripts(node: NodeContext, wanted: list[Any]) -> dict[bytes, bytes]:
    """Return the scripts behind the hashes of descriptors' outputs, by HASH160 and SHA-256."""
    found: dict[bytes, bytes] = {}
    for text, first, last in parse.scan_objects(wanted):
        descriptor = parse.parse(text, node.params.address)
        indexes = range(first, last + 1) if descriptor.is_ranged else range(1)
        for index in indexes:
            for script in descriptor.inner_scripts(index):
                found[hash160(script)] = found[sha256(script)] = script
    return found


_PSBT = Arg("psbt", Kind.STRING, "The PSBT in base64")

METHODS = (
    Method(
        "combinepsbt",
        _CATEGORY,
        "Combines PSBTs of one transaction into one. Returns it in base64.",
        (Arg("txs", Kind.ARRAY, "The PSBTs in base64"),),
        combinepsbt,
    ),
    Method(
        "converttopsbt",
        _CATEGORY,
        "Makes a PSBT of a raw transaction. Returns it in base64.",
        (
            Arg("hexstring", Kind.STRING, "The raw transaction in hex"),
            Arg("permitsigdata", Kind.BOOL, "Whether signatures are dropped rather than refused", "false"),
            Arg("iswitness", Kind.BOOL, "Whether it has a witness", "depends on heuristic tests"),
        ),
        converttopsbt,
    ),
    Method(
        "createpsbt",
        _CATEGORY,
        "Creates a PSBT from inputs and outputs. Returns it in base64.",
        BUILD_ARGS,
        createpsbt,
    ),
    Method("decodepsbt", _CATEGORY, "Returns the fields of a PSBT.", (_PSBT,), decodepsbt),
    Method(
        "finalizepsbt",
        _CATEGORY,
        "Completes the inputs whose signatures are there. Returns the transaction in hex if all are complete.",
        (_PSBT, Arg("extract", Kind.BOOL, "false to return a complete PSBT, not its transaction", "true")),
        finalizepsbt,
    ),
    Method(
        "utxoupdatepsbt",
        _CATEGORY,
        "Adds to a PSBT the outputs that it spends, and scripts from descriptors. Returns it in base64.",
        (_PSBT, Arg("descriptors", Kind.ARRAY, "Descriptors, or objects with desc and range", "")),
        utxoupdatepsbt,
    ),
)
