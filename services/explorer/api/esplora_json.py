"""Blocks, transactions and coins as Esplora's JSON: pure functions from chain objects to dictionaries.

Field names, their order and what is left out follow Blockstream's electrs. Hashes are in display order, script hashes
are not; amounts are satoshis.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from services.explorer.chain.models import BalanceChange, BlockInfo, Outspend, TxInfo
from shared.chain.codec import BlockEntry, PoolEntry, Spend
from shared.chain.view import ScriptStats
from shared.consensus.pow import difficulty
from shared.crypto.address import AddressPrefix, encode_address
from shared.errors import DecodeError
from shared.primitives.hex import display_hash
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.script.opcodes import OP_RETURN
from shared.script.script import iterate, to_rust_asm
from shared.script.standard import ScriptType, classify, is_p2sh, is_unspendable

Json = dict[str, Any]

_TYPES = {
    ScriptType.PUBKEY: "p2pk",
    ScriptType.PUBKEYHASH: "p2pkh",
    ScriptType.SCRIPTHASH: "p2sh",
    ScriptType.WITNESS_V0_KEYHASH: "v0_p2wpkh",
    ScriptType.WITNESS_V0_SCRIPTHASH: "v0_p2wsh",
    ScriptType.WITNESS_V1_TAPROOT: "v1_p2tr",
}
_ALL = slice(None)
_COMMON_SIZE = 42
"""Bytes of the longest script that has an address."""


def block_json(block: BlockInfo) -> Json:
    """Return a block's summary."""
    entry, header = block.entry, block.entry.header
    return {
        "id": header.hash_hex,
        "height": entry.height,
        "version": header.version & 0xFFFFFFFF,
        "timestamp": header.time,
        "tx_count": entry.tx_count,
        "size": entry.size,
        "weight": entry.weight,
        "merkle_root": display_hash(header.merkle_root),
        "previousblockhash": display_hash(header.prev_hash) if any(header.prev_hash) else None,
        "mediantime": block.median_time,
        "nonce": header.nonce,
        "bits": header.bits,
        "difficulty": difficulty(header.bits),
    }


def block_status_json(block: BlockInfo | None) -> Json:
    """Return whether a block is on the best chain, at which height, and what follows it; nothing if unknown."""
    if block is None or not block.in_best_chain:
        return {"in_best_chain": False, "height": None, "next_best": None}
    next_best = display_hash(block.next_hash) if block.next_hash else None
    return {"in_best_chain": True, "height": block.entry.height, "next_best": next_best}


def status_json(entry: BlockEntry | None) -> Json:
    """Return the confirmation status by the block on the best chain that holds a transaction."""
    if entry is None:
        return {"confirmed": False}
    return {
        "confirmed": True,
        "block_height": entry.height,
        "block_hash": entry.header.hash_hex,
        "block_time": entry.header.time,
    }


def tx_json(info: TxInfo, prefix: AddressPrefix, window: slice = _ALL) -> Json:
    """Return a transaction with the outputs that it spends; `window` leaves some inputs and outputs out."""
    tx = info.tx
    return {
        "txid": tx.txid_hex,
        "version": tx.version & 0xFFFFFFFF,
        "locktime": tx.lock_time,
        "vin": [_input_json(txin, tx.is_coinbase, info.prevouts, prefix) for txin in tx.inputs[window]],
        "vout": [output_json(output, prefix) for output in tx.outputs[window]],
        "size": tx.size,
        "weight": tx.weight,
        "fee": info.fee,
        "status": status_json(info.block),
    }


def output_json(output: TxOut, prefix: AddressPrefix) -> Json:
    """Return an output; one without an address has no `scriptpubkey_address`."""
    script = output.script_pubkey
    describe = _describe_again if len(script) <= _COMMON_SIZE else _describe
    return describe(script, prefix) | {"value": output.value}


def _describe(script: bytes, prefix: AddressPrefix) -> Json:
    fields: Json = {
        "scriptpubkey": script.hex(),
        "scriptpubkey_asm": to_rust_asm(script),
        "scriptpubkey_type": script_type(script),
    }
    address = encode_address(script, prefix)
    if address is not None:
        fields["scriptpubkey_address"] = address
    return fields


_describe_again = lru_cache(maxsize=10_000)(_describe)
"""One script is in many outputs of an answer: of an address's history, it is in every transaction."""


def script_type(script: bytes) -> str:
    """Return Esplora's name for the kind of an output script."""
    if not script:
        return "empty"
    if script[0] == OP_RETURN:
        return "op_return"
    if is_unspendable(script):
        return "provably_unspendable"
    return _TYPES.get(classify(script)[0], "unknown")


def _input_json(txin: TxIn, is_coinbase: bool, prevouts: Mapping[OutPoint, TxOut], prefix: AddressPrefix) -> Json:
    prevout = prevouts.get(txin.prevout)
    fields: Json = {
        "txid": display_hash(txin.prevout.txid),
        "vout": txin.prevout.vout,
        "prevout": output_json(prevout, prefix) if prevout else None,
        "scriptsig": txin.script_sig.hex(),
        "scriptsig_asm": to_rust_asm(txin.script_sig),
    }
    if txin.witness:
        fields["witness"] = [item.hex() for item in txin.witness]
    fields["is_coinbase"] = is_coinbase
    fields["sequence"] = txin.sequence
    redeem_script, witness_script = inner_scripts(txin, prevout)
    if redeem_script is not None:
        fields["inner_redeemscript_asm"] = to_rust_asm(redeem_script)
    if witness_script is not None:
        fields["inner_witnessscript_asm"] = to_rust_asm(witness_script)
    return fields


def inner_scripts(txin: TxIn, prevout: TxOut | None) -> tuple[bytes | None, bytes | None]:
    """Return the redeem script of a P2SH input and the witness script of a P2WSH one, nested or not."""
    if prevout is None:
        return None, None
    redeem_script = _last_push(txin.script_sig) if is_p2sh(prevout.script_pubkey) else None
    program = prevout.script_pubkey if redeem_script is None else redeem_script
    is_p2wsh = classify(program)[0] is ScriptType.WITNESS_V0_SCRIPTHASH
    return redeem_script, txin.witness[-1] if is_p2wsh and txin.witness else None


def _last_push(script: bytes) -> bytes | None:
    try:
        *_, last = iterate(script)
    except (DecodeError, ValueError):  # broken, or empty
        return None
    return last.data


def stats_json(stats: ScriptStats) -> Json:
    """Return a script's counters."""
    return {
        "tx_count": stats.tx_count,
        "funded_txo_count": stats.funded_count,
        "funded_txo_sum": stats.funded_sum,
        "spent_txo_count": stats.spent_count,
        "spent_txo_sum": stats.spent_sum,
    }


def unspent_json(outpoint: OutPoint, value: int, entry: BlockEntry | None) -> Json:
    """Return an unspent output."""
    return {
        "txid": display_hash(outpoint.txid),
        "vout": outpoint.vout,
        "status": status_json(entry),
        "value": value,
    }


def outspend_json(spend: Spend | None, entry: BlockEntry | None) -> Json:
    """Return what spends an output, if anything does."""
    if spend is None:
        return {"spent": False}
    return {"spent": True, "txid": display_hash(spend.txid), "vin": spend.vin, "status": status_json(entry)}


def found_outspend_json(found: Outspend | None) -> Json:
    """Return what was found to spend an output."""
    return outspend_json(None, None) if found is None else outspend_json(found.spend, found.block)


def movement_json(movement: BalanceChange) -> Json:
    """Return what a confirmed transaction did to a balance."""
    return {
        "txid": display_hash(movement.item.txid),
        "height": movement.item.height,
        "value": movement.value,
        "time": movement.time,
        "tx_position": movement.item.position,
    }


def recent_json(tx: Transaction, entry: PoolEntry) -> Json:
    """Return the summary of a transaction that entered the pool lately."""
    value = sum(output.value for output in tx.outputs)
    return {"txid": tx.txid_hex, "fee": entry.fee, "vsize": entry.vsize, "value": value}
