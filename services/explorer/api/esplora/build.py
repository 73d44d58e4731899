"""Pure functions from chain objects to Esplora's answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from msgspec import UNSET, UnsetType

from services.explorer.api.esplora.answers import (
    BalanceEntry,
    BlockInChain,
    EsploraBlock,
    EsploraTransaction,
    Input,
    Output,
    OutputSpend,
    RecentTransaction,
    ScriptTypeName,
    Stats,
    Status,
    UnspentOutput,
)
from services.explorer.chain.models import BalanceChange, BlockInfo, Outspend, TxInfo
from shared.chain.codec import BlockEntry, PoolEntry
from shared.chain.view import ScriptStats
from shared.consensus.pow import difficulty
from shared.crypto.address import AddressPrefix, encode_address
from shared.errors import DecodeError
from shared.primitives.hex import display_hash
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.script.opcodes import OP_RETURN
from shared.script.script import iterate, to_rust_asm
from shared.script.standard import ScriptType, classify, is_p2sh, is_unspendable

_TYPES: dict[ScriptType, ScriptTypeName] = {
    ScriptType.PUBKEY: "p2pk",
    ScriptType.PUBKEYHASH: "p2pkh",
    ScriptType.SCRIPTHASH: "p2sh",
    ScriptType.WITNESS_V0_KEYHASH: "v0_p2wpkh",
    ScriptType.WITNESS_V0_SCRIPTHASH: "v0_p2wsh",
    ScriptType.WITNESS_V1_TAPROOT: "v1_p2tr",
}
_COMMON_SIZE = 42
"""Bytes of the longest script that has an address."""
_UNCONFIRMED = Status(False)
_UNSPENT = OutputSpend(False)


def block_of(block: BlockInfo) -> EsploraBlock:
    """Return a block's summary."""
    entry, header = block.entry, block.entry.header
    return EsploraBlock(
        id=header.hash_hex,
        height=entry.height,
        version=header.version & 0xFFFFFFFF,
        timestamp=header.time,
        tx_count=entry.tx_count,
        size=entry.size,
        weight=entry.weight,
        merkle_root=display_hash(header.merkle_root),
        previousblockhash=display_hash(header.prev_hash) if any(header.prev_hash) else None,
        mediantime=block.median_time,
        nonce=header.nonce,
        bits=header.bits,
        difficulty=difficulty(header.bits),
    )


def block_in_chain_of(block: BlockInfo | None) -> BlockInChain:
    """Return a block's place on the best chain; nulls for a block that is stale or not known."""
    if block is None or not block.in_best_chain:
        return BlockInChain(False, None, None)
    return BlockInChain(True, block.entry.height, display_hash(block.next_hash) if block.next_hash else None)


def status_of(entry: BlockEntry | None) -> Status:
    """Return the confirmation status by the block on the best chain that holds a transaction."""
    if entry is None:
        return _UNCONFIRMED
    return Status(True, entry.height, entry.header.hash_hex, entry.header.time)


def transaction_of(info: TxInfo, prefix: AddressPrefix) -> EsploraTransaction:
    """Return a transaction with the outputs that it spends."""
    tx, is_coinbase, prevouts = info.tx, info.tx.is_coinbase, info.prevouts
    return EsploraTransaction(
        tx.txid_hex,
        tx.version & 0xFFFFFFFF,
        tx.lock_time,
        [_input_of(txin, is_coinbase, prevouts, prefix) for txin in tx.inputs],
        [output_of(output, prefix) for output in tx.outputs],
        tx.size,
        tx.weight,
        info.fee,
        status_of(info.block),
    )


def transactions_of(infos: Iterable[TxInfo], prefix: AddressPrefix) -> list[EsploraTransaction]:
    """Return transactions in their order."""
    return [transaction_of(info, prefix) for info in infos]


def output_of(output: TxOut, prefix: AddressPrefix) -> Output:
    """Return an output; one without an address has no `scriptpubkey_address`."""
    script = output.script_pubkey
    describe = _describe_again if len(script) <= _COMMON_SIZE else _describe
    script_hex, asm, kind, address = describe(script, prefix)
    return Output(
        scriptpubkey=script_hex,
        scriptpubkey_asm=asm,
        scriptpubkey_type=kind,
        scriptpubkey_address=address,
        value=output.value,
    )


def _describe(script: bytes, prefix: AddressPrefix) -> tuple[str, str, ScriptTypeName, str | UnsetType]:
    address = encode_address(script, prefix)
    return script.hex(), to_rust_asm(script), script_type(script), UNSET if address is None else address


_describe_again = lru_cache(maxsize=10_000)(_describe)
"""One script is in many outputs of an answer: of an address's history, it is in every transaction."""


def script_type(script: bytes) -> ScriptTypeName:
    """Return Esplora's name for the kind of an output script."""
    if not script:
        return "empty"
    if script[0] == OP_RETURN:
        return "op_return"
    if is_unspendable(script):
        return "provably_unspendable"
    return _TYPES.get(classify(script)[0], "unknown")


def _input_of(txin: TxIn, is_coinbase: bool, prevouts: Mapping[OutPoint, TxOut], prefix: AddressPrefix) -> Input:
    prevout = prevouts.get(txin.prevout)
    redeem_script, witness_script = inner_scripts(txin, prevout)
    return Input(
        txid=display_hash(txin.prevout.txid),
        vout=txin.prevout.vout,
        prevout=output_of(prevout, prefix) if prevout else None,
        scriptsig=txin.script_sig.hex(),
        scriptsig_asm=to_rust_asm(txin.script_sig),
        witness=[item.hex() for item in txin.witness] if txin.witness else UNSET,
        is_coinbase=is_coinbase,
        sequence=txin.sequence,
        inner_redeemscript_asm=UNSET if redeem_script is None else to_rust_asm(redeem_script),
        inner_witnessscript_asm=UNSET if witness_script is None else to_rust_asm(witness_script),
    )


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


def stats_of(stats: ScriptStats) -> Stats:
    """Return a script's counters."""
    return Stats(stats.tx_count, stats.funded_count, stats.funded_sum, stats.spent_count, stats.spent_sum)


def unspent_of(outpoint: OutPoint, value: int, entry: BlockEntry | None) -> UnspentOutput:
    """Return an unspent output of `value` satoshis, with the block that holds it."""
    return UnspentOutput(display_hash(outpoint.txid), outpoint.vout, status_of(entry), value)


def spend_of(found: Outspend | None) -> OutputSpend:
    """Return the input that spends an output."""
    if found is None:
        return _UNSPENT
    return OutputSpend(True, display_hash(found.spend.txid), found.spend.vin, status_of(found.block))


def balance_entry_of(change: BalanceChange) -> BalanceEntry:
    """Return the change of a balance by a confirmed transaction."""
    item = change.item
    return BalanceEntry(display_hash(item.txid), item.height, change.value, change.time, item.position)


def recent_of(tx: Transaction, entry: PoolEntry) -> RecentTransaction:
    """Return the summary of a transaction that entered the pool lately."""
    return RecentTransaction(tx.txid_hex, entry.fee, entry.vsize, sum(output.value for output in tx.outputs))
