"""A PSBT as bitcoind shows it (rpc/rawtransaction.cpp: decodepsbt). Pure."""

from __future__ import annotations

import struct

from services.mempool.rpc.json.tx_json import script_json, tx_json
from services.mempool.rpc.psbt.codec import GLOBAL_XPUB, Fields, In, Out, Psbt, parse_witness
from services.mempool.rpc.server.values import SIGHASH_TYPES, Json, btc
from shared.crypto.address import AddressPrefix
from shared.crypto.base58 import encode_check
from shared.crypto.bip32 import HARDENED
from shared.primitives.transaction import Transaction
from shared.script.script import to_asm
from shared.script.standard import classify

_SIGHASH_NAMES = {number: name for name, number in SIGHASH_TYPES.items()}


def psbt_json(psbt: Psbt, prefix: AddressPrefix) -> Json:
    """Return a PSBT with all its fields; with the fee if it has every output that it spends."""
    xpubs = [(key[1:], value) for key, value in psbt.globals.items() if key[0] == GLOBAL_XPUB]
    shown: dict[str, Json] = {
        "tx": tx_json(psbt.tx, prefix, with_hex=False),
        "global_xpubs": [
            {"xpub": encode_check(key), "master_fingerprint": value[:4].hex(), "path": _path(value[4:])}
            for key, value in xpubs
        ],
        "psbt_version": 0,
        "proprietary": [],
        "unknown": {k.hex(): v.hex() for k, v in psbt.globals.items() if k[0] not in (GLOBAL_XPUB, 0xFB)},
        "inputs": [_input_json(psbt, index, prefix) for index in range(len(psbt.inputs))],
        "outputs": [_output_json(fields) for fields in psbt.outputs],
    }
    spent = [psbt.spent_output(index) for index in range(len(psbt.inputs))]
    if all(output is not None for output in spent):
        paid = sum(output.value for output in spent if output is not None)
        shown["fee"] = btc(paid - sum(output.value for output in psbt.tx.outputs))
    return shown


def _input_json(psbt: Psbt, index: int, prefix: AddressPrefix) -> dict[str, Json]:
    shown: dict[str, Json] = {}
    signatures: dict[str, str] = {}
    derivations: list[Json] = []
    for key, value in sorted(psbt.inputs[index].items()):
        match key[0]:
            case In.NON_WITNESS_UTXO:
                shown["non_witness_utxo"] = tx_json(Transaction.parse(value), prefix, with_hex=False)
            case In.WITNESS_UTXO:
                output = psbt.spent_output(index)
                if output is not None:
                    script = script_json(output.script_pubkey, prefix)
                    shown["witness_utxo"] = {"amount": btc(output.value), "scriptPubKey": script}
            case In.PARTIAL_SIG:
                signatures[key[1:].hex()] = value.hex()
                shown["partial_signatures"] = signatures
            case In.SIGHASH_TYPE:
                shown["sighash"] = _SIGHASH_NAMES.get(int.from_bytes(value, "little"), "")
            case In.REDEEM_SCRIPT | In.WITNESS_SCRIPT as kind:
                shown["redeem_script" if kind == In.REDEEM_SCRIPT else "witness_script"] = _script_json(value)
            case In.BIP32_DERIVATION:
                derivations.append(_derivation(key[1:], value))
                shown["bip32_derivs"] = derivations
            case In.FINAL_SCRIPTSIG:
                shown["final_scriptSig"] = {"asm": to_asm(value, decode_sighash=True), "hex": value.hex()}
            case In.FINAL_SCRIPTWITNESS:
                shown["final_scriptwitness"] = [item.hex() for item in parse_witness(value)]
            case In.TAP_KEY_SIG:
                shown["taproot_key_path_sig"] = value.hex()
            case In.TAP_SCRIPT_SIG:
                paths = shown.setdefault("taproot_script_path_sigs", [])
                paths.append({"pubkey": key[1:33].hex(), "leaf_hash": key[33:].hex(), "sig": value.hex()})
            case In.TAP_LEAF_SCRIPT:
                scripts = shown.setdefault("taproot_scripts", [])
                leaf = {"script": value[:-1].hex(), "leaf_ver": value[-1] if value else 0}
                scripts.append({**leaf, "control_blocks": [key[1:].hex()]})
            case In.TAP_INTERNAL_KEY:
                shown["taproot_internal_key"] = value.hex()
            case In.TAP_MERKLE_ROOT:
                shown["taproot_merkle_root"] = value.hex()
            case _:
                shown.setdefault("unknown", {})[key.hex()] = value.hex()
    return shown


def _output_json(fields: Fields) -> dict[str, Json]:
    shown: dict[str, Json] = {}
    for key, value in sorted(fields.items()):
        match key[0]:
            case Out.REDEEM_SCRIPT | Out.WITNESS_SCRIPT as kind:
                shown["redeem_script" if kind == Out.REDEEM_SCRIPT else "witness_script"] = _script_json(value)
            case Out.BIP32_DERIVATION:
                shown.setdefault("bip32_derivs", []).append(_derivation(key[1:], value))
            case Out.TAP_INTERNAL_KEY:
                shown["taproot_internal_key"] = value.hex()
            case _:
                shown.setdefault("unknown", {})[key.hex()] = value.hex()
    return shown


def _script_json(script: bytes) -> Json:
    return {"asm": to_asm(script), "hex": script.hex(), "type": str(classify(script)[0])}


def _derivation(public_key: bytes, value: bytes) -> Json:
    return {"pubkey": public_key.hex(), "master_fingerprint": value[:4].hex(), "path": _path(value[4:])}


def _path(data: bytes) -> str:
    steps = [number for (number,) in struct.iter_unpack("<I", data[: len(data) // 4 * 4])]
    return "/".join(["m", *(f"{step % HARDENED}{'h' if step >= HARDENED else ''}" for step in steps)])
