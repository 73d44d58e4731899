"""RPC `getblockstats`: the figures of one block (rpc/blockchain.cpp). Satoshis, and satoshis per vbyte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.mempool.rpc.json.block_json import stored_block
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, block_or_tx_hash, expect, integer
from shared.chain.codec import BlockEntry
from shared.consensus.params import ChainParams
from shared.consensus.subsidy import block_subsidy
from shared.primitives.block import Block
from shared.primitives.coin import Coin
from shared.primitives.transaction import TxOut
from shared.primitives.weight import WITNESS_SCALE_FACTOR
from shared.script.standard import is_unspendable

_PER_UTXO_OVERHEAD = 36 + 4 + 1
"""Bytes of an outpoint, a height and a coinbase flag, as Core counts an entry of the coins."""


def getblockstats(node: NodeContext, hash_or_height: object, wanted: list[object] | None) -> Json:
    """Return the figures of a block, all or the `wanted` ones."""
    entry = _find(node, hash_or_height)
    block = stored_block(node, entry.hash)
    undo = node.view.blocks.undo(entry.hash) if entry.height > 0 else []
    if undo is None:
        raise RpcError(RpcCode.MISC_ERROR, "Undo data not available")
    stats = block_stats(block, entry.height, undo, node.params) | {"mediantime": node.median_time_past(entry)}
    if not wanted:
        return dict(sorted(stats.items()))
    chosen = {}
    for name in wanted:
        expect(name, str)
        if name not in stats:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid selected statistic '{name}'")
        chosen[name] = stats[str(name)]
    return chosen


def _find(node: NodeContext, hash_or_height: object) -> BlockEntry:
    if isinstance(hash_or_height, str):
        return node.block_entry(block_or_tx_hash(hash_or_height, "hash_or_height"))
    height = integer(hash_or_height)
    if height < 0:
        raise RpcError(RpcCode.INVALID_PARAMETER, f"Target block height {height} is negative")
    block_hash = node.view.block_hash(height)
    if block_hash is None:
        message = f"Target block height {height} after current tip {node.view.tip().height}"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    return node.block_entry(block_hash)


def block_stats(
    block: Block, height: int, undo: Sequence[Sequence[Coin]], params: ChainParams
) -> dict[str, int | str | list[int]]:
    """Return every figure but the median time; `undo` has the coins that each transaction but the coinbase spent."""
    txs = block.transactions
    paid = list(zip(txs[1:], undo, strict=True))
    fees = [_value(coin.output for coin in coins) - _value(tx.outputs) for tx, coins in paid]
    feerates = [fee * WITNESS_SCALE_FACTOR // tx.weight for fee, (tx, _) in zip(fees, paid, strict=True)]
    sizes = [tx.size for tx, _ in paid]
    total_weight = sum(tx.weight for tx, _ in paid)
    with_witness = [tx for tx, _ in paid if tx.has_witness]
    outputs = [output for tx in txs for output in tx.outputs]
    kept = [output for output in outputs if height > 0 and not is_unspendable(output.script_pubkey)]
    inputs = sum(len(tx.inputs) for tx, _ in paid)
    spent_size = sum(_utxo_size(coin.output) for coins in undo for coin in coins)
    return {
        "avgfee": sum(fees) // len(paid) if paid else 0,
        "avgfeerate": sum(fees) * WITNESS_SCALE_FACTOR // total_weight if total_weight else 0,
        "avgtxsize": sum(sizes) // len(paid) if paid else 0,
        "blockhash": block.hash_hex,
        "feerate_percentiles": _percentiles(
            [(rate, tx.weight) for rate, (tx, _) in zip(feerates, paid, strict=True)], total_weight
        ),
        "height": height,
        "ins": inputs,
        "maxfee": max(fees, default=0),
        "maxfeerate": max(feerates, default=0),
        "maxtxsize": max(sizes, default=0),
        "medianfee": _median(fees),
        "mediantxsize": _median(sizes),
        "minfee": min(fees, default=0),
        "minfeerate": min(feerates, default=0),
        "mintxsize": min(sizes, default=0),
        "outs": len(outputs),
        "subsidy": block_subsidy(height, params),
        "swtotal_size": sum(tx.size for tx in with_witness),
        "swtotal_weight": sum(tx.weight for tx in with_witness),
        "swtxs": len(with_witness),
        "time": block.header.time,
        "total_out": sum(_value(tx.outputs) for tx, _ in paid),
        "total_size": sum(sizes),
        "total_weight": total_weight,
        "totalfee": sum(fees),
        "txs": len(txs),
        "utxo_increase": len(outputs) - inputs,
        "utxo_increase_actual": len(kept) - inputs,
        "utxo_size_inc": sum(map(_utxo_size, outputs)) - spent_size,
        "utxo_size_inc_actual": sum(map(_utxo_size, kept)) - spent_size,
    }


def _value(outputs: Iterable[TxOut]) -> int:
    return sum(output.value for output in outputs)


def _utxo_size(output: TxOut) -> int:
    return len(output.serialize()) + _PER_UTXO_OVERHEAD


def _median(values: Sequence[int]) -> int:
    ordered = sorted(values)
    if not ordered:
        return 0
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


def _percentiles(scored: Sequence[tuple[int, int]], total_weight: int) -> list[int]:
    """Return the feerates at 10, 25, 50, 75 and 90 percent of the weight (CalculatePercentilesByWeight)."""
    if not scored:
        return [0] * 5
    marks = [total_weight * percent / 100 for percent in (10, 25, 50, 75, 90)]
    ordered = sorted(scored)
    found: list[int] = []
    seen = 0
    for rate, weight in ordered:
        seen += weight
        while len(found) < len(marks) and seen >= marks[len(found)]:
            found.append(rate)
    return found + [ordered[-1][0]] * (len(marks) - len(found))


METHODS = (
    Method(
        "getblockstats",
        "Blockchain",
        "Returns the figures of a block: sizes, fees, feerates, changes of the coins. Amounts are in satoshis.",
        (
            Arg("hash_or_height", Kind.ANY, "The block hash or height"),
            Arg("stats", Kind.ARRAY, "The names of the figures to return", "all values"),
        ),
        getblockstats,
    ),
)
