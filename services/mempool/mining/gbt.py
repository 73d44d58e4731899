"""The next block as `getblocktemplate` shows it, for miners that speak JSON-RPC or ask the explorer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.mempool.mining.template import BLOCK_VERSION
from shared.bus.events import TemplateTx, WorkTemplate
from shared.chain.commit import PoolRecord
from shared.consensus.block_check import commitment_script
from shared.consensus.limits import MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_SIZE, MAX_BLOCK_WEIGHT, MAX_TIMEWARP
from shared.consensus.params import ChainParams
from shared.consensus.pow import HeaderSource, bits_to_target, next_bits
from shared.consensus.subsidy import block_subsidy
from shared.pool.graph import Graph
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


@dataclass(frozen=True, slots=True)
class Contents:
    """The transactions of a block as its template shows them."""

    txs: tuple[TemplateTx, ...]
    fees: int
    """Satoshis."""
    commitment: bytes
    """The scriptPubKey that commits to their witnesses."""

    @classmethod
    def of(cls, chosen: Sequence[PoolRecord], graph: Graph) -> Contents:
        """Return transactions of a pool, in the order of the block, whose parents in the pool are all among them."""
        places: dict[bytes, int] = {}
        shown = []
        for place, record in enumerate(chosen, 1):
            txid, entry = record.txid, record.entry
            places[txid] = place
            shown.append(
                TemplateTx(
                    data=record.raw.hex(),
                    txid=display_hash(txid),
                    hash=display_hash(entry.wtxid),
                    depends=() if graph.is_alone(txid) else tuple(sorted(map(places.__getitem__, graph.parents(txid)))),
                    fee=entry.fee,
                    sigops=entry.sigop_cost,
                    weight=entry.weight,
                )
            )
        witness_root, _ = merkle_root([bytes(32), *[record.entry.wtxid for record in chosen]])
        fees = sum([record.entry.fee for record in chosen])
        return cls(tuple(shown), fees, commitment_script(witness_root))


def work_template(
    *,
    branch: HeaderSource,
    tip_hash: bytes,
    height: int,
    seq: int,
    times: tuple[int, int],
    contents: Contents,
    params: ChainParams,
) -> WorkTemplate:
    """Return the template of the block at `height`, on top of `tip_hash`, with these transactions.

    `times` are its earliest and its proper time, as from `next_time`; `seq` is the number of the newest event.
    """
    min_time, now = times
    bits = next_bits(branch, height, now, params)
    return WorkTemplate(
        capabilities=("proposal",),
        version=BLOCK_VERSION,
        rules=("csv", "!segwit", "taproot", *(["!signet"] if params.signet_challenge else [])),
        vbavailable={},
        vbrequired=0,
        previousblockhash=display_hash(tip_hash),
        transactions=contents.txs,
        coinbaseaux={},
        coinbasevalue=block_subsidy(height, params) + contents.fees,
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
        default_witness_commitment=contents.commitment.hex(),
    )
