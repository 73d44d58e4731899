"""Transactions and scripts as bitcoind shows them (core_write.cpp: TxToUniv, ScriptToUniv). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from services.mempool.rpc.descriptors import infer
from services.mempool.rpc.server.values import Json, btc
from shared.crypto.address import AddressPrefix, encode_address
from shared.primitives.coin import Coin
from shared.primitives.hex import display_hash
from shared.primitives.transaction import Transaction, TxIn
from shared.script.script import to_asm
from shared.script.standard import classify


@lru_cache(maxsize=10_000)
def script_json(script: bytes, prefix: AddressPrefix) -> Mapping[str, Json]:
    """Return a scriptPubKey with asm, descriptor, hex, address (where it has one) and type.

    Results are cached, because a block shows the same scripts many times: callers must not change them.
    """
    address = encode_address(script, prefix)
    shown: dict[str, Json] = {
        "asm": to_asm(script),
        "desc": infer.infer(script, address),
        "hex": script.hex(),
    }
    if address is not None:
        shown["address"] = address
    shown["type"] = str(classify(script)[0])
    return shown


def tx_json(
    tx: Transaction,
    prefix: AddressPrefix,
    *,
    spent: Sequence[Coin] | None = None,
    with_prevouts: bool = False,
    with_hex: bool = True,
) -> dict[str, Json]:
    """Return a transaction; with the coins that it `spent` also its fee, and each one's details if asked for."""
    shown: dict[str, Json] = {
        "txid": tx.txid_hex,
        "hash": tx.wtxid_hex,
        "version": tx.version,
        "size": tx.size,
        "vsize": tx.vsize,
        "weight": tx.weight,
        "locktime": tx.lock_time,
        "vin": [
            _input_json(tx, txin, spent[place] if spent is not None and with_prevouts else None, prefix)
            for place, txin in enumerate(tx.inputs)
        ],
        "vout": [
            {"value": btc(output.value), "n": vout, "scriptPubKey": script_json(output.script_pubkey, prefix)}
            for vout, output in enumerate(tx.outputs)
        ],
    }
    if spent is not None:
        shown["fee"] = btc(sum(coin.output.value for coin in spent) - sum(output.value for output in tx.outputs))
    if with_hex:
        shown["hex"] = tx.serialize().hex()
    return shown


def _input_json(tx: Transaction, txin: TxIn, coin: Coin | None, prefix: AddressPrefix) -> dict[str, Json]:
    shown: dict[str, Json] = {}
    if tx.is_coinbase:
        shown["coinbase"] = txin.script_sig.hex()
    else:
        shown["txid"] = display_hash(txin.prevout.txid)
        shown["vout"] = txin.prevout.vout
        shown["scriptSig"] = {"asm": to_asm(txin.script_sig, decode_sighash=True), "hex": txin.script_sig.hex()}
    if txin.witness:
        shown["txinwitness"] = [item.hex() for item in txin.witness]
    if coin is not None:
        shown["prevout"] = {
            "generated": coin.is_coinbase,
            "height": coin.height,
            "value": btc(coin.output.value),
            "scriptPubKey": script_json(coin.output.script_pubkey, prefix),
        }
    shown["sequence"] = txin.sequence
    return shown
