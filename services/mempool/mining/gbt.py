"""The next block as `getblocktemplate` shows it, for miners that speak JSON-RPC or ask the explorer. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from services.mempool.mining.template import BLOCK_VERSION
from shared.bus.events import TemplateTx, WorkTemplate
from shared.chain.commit import PoolRecord
from shared.consensus.block_check import commitment_script
from shared.consensus.limits import MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_SIZE, MAX_BLOCK_WEIGHT, MAX_TIMEWARP
from shared.consensus.params import ChainParams
from shared.consensus.pow import HeaderSource, bits_to_target, next_bits
from shared.consensus.subsidy import block_subsidy
from shared.primitives.block import BlockHeader
from shared.primitives.hex import display_hash
from shared.primitives.merkle import merkle_root


def next_time(tip: BlockHeader, height: int, median_time_past: int, now: int, params: ChainParams) -> tuple[int, int]:
    """Return the earliest time of the block after `tip`, and its proper time now, in seconds.

    `height` and `median_time_past` are the tip's (Core's UpdateTime and GetMinimumTime).
    """
    earliest = median_time_past + 1
    if params.enforce_bip94 and (height + 1) % params.retarget_interval == 0:
        earliest = max(earliest, tip.time - MAX_TIMEWARP)
    return earliest, max(earliest, now)


def long_poll_id(tip_hash: bytes, seq: int) -> str:
    """Return the long poll id, which names a state of the chain and the pool (BIP22)."""
    return f"{display_hash(tip_hash)}{seq}"


def work_template(
    *,
    branch: HeaderSource,
    tip_hash: bytes,
    height: int,
    seq: int,
    times: tuple[int, int],
    chosen: Sequence[PoolRecord],
    params: ChainParams,
) -> WorkTemplate:
    """Return the template of the block at `height`, on top of `tip_hash`, with the chosen transactions.

    `times` are its earliest and its proper time, as from `next_time`; `seq` is the number of the newest event.
    """
    min_time, now = times
    positions = {item.tx.txid: number for number, item in enumerate(chosen, 1)}
    witness_root, _ = merkle_root([bytes(32), *(item.tx.wtxid for item in chosen)])
    bits = next_bits(branch, height, now, params)
    return WorkTemplate(
        capabilities=("proposal",),
        version=BLOCK_VERSION,
        rules=("csv", "!segwit", "taproot", *(["!signet"] if params.signet_challenge else [])),
        vbavailable={},
        vbrequired=0,
        previousblockhash=display_hash(tip_hash),
        transactions=tuple(_tx(item, positions) for item in chosen),
        coinbaseaux={},
        coinbasevalue=block_subsidy(height, params) + sum(item.entry.fee for item in chosen),
        longpollid=long_poll_id(tip_hash, seq),
        target=f"{bits_to_target(bits):064x}",
        mintime=min_time,
        mutable=("time", "transactions", "prevblock"),
        noncerange="00000000ffffffff",
        sigoplimit=MAX_BLOCK_SIGOPS_COST,
        sizelimit=MAX_BLOCK_SIZE,
        weightlimit=MAX_BLOCK_WEIGHT,
        curtime=now,
        bits=f"{bits:08x}",
        height=height,
        signet_challenge=params.signet_challenge.hex() if params.signet_challenge else "",
        default_witness_commitment=commitment_script(witness_root).hex(),
    )


def _tx(item: PoolRecord, positions: dict[bytes, int]) -> TemplateTx:
    parents = {positions[txin.prevout.txid] for txin in item.tx.inputs if txin.prevout.txid in positions}
    return TemplateTx(
        data=item.tx.serialize().hex(),
        txid=item.tx.txid_hex,
        hash=item.tx.wtxid_hex,
        depends=tuple(sorted(parents)),
        fee=item.entry.fee,
        sigops=item.entry.sigop_cost,
        weight=item.tx.weight,
    )
