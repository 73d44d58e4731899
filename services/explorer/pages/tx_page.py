"""The page of a transaction: what it moves, how it was allowed to, where it is, and the proof of that."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from flask import render_template, request

from services.explorer.api.parameters import read_hash, read_number
from services.explorer.chain.cpfp import Members, ancestors, descendants, effective_feerate
from services.explorer.chain.fee_estimates import projected_place
from services.explorer.chain.miner_names import miner_name
from services.explorer.chain.models import BlockInfo, Outspend, TxInfo, TxPlace
from services.explorer.chain.queries import ChainQueries
from services.explorer.chain.rbf_trees import RbfTrees, Version
from services.explorer.errors import RequestError, transaction_not_found
from services.explorer.pages.links import SIDES_PER_PAGE
from services.explorer.pages.tx_rows import input_rows, output_rows, picture, proof_steps, sigops, versions
from services.explorer.pages.tx_text import lock_time_meaning, printable
from shared.chain.codec import PoolEntry
from shared.chain.view import ChainView, Replaced, Tip
from shared.consensus.limits import MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_VSIZE
from shared.crypto.address import AddressPrefix
from shared.policy import signals_replacement
from shared.primitives.transaction import LOCKTIME_THRESHOLD, Transaction

MAX_HEX_SHOWN = 20_000
"""Bytes of a transaction whose hex is on the page; that of a larger one is a click away."""
LISTED_RELATIVES = 25


@dataclass(frozen=True, slots=True)
class TxPageModel:
    """What is read of a transaction, all from one state of the chain."""

    info: TxInfo
    tip: int
    """Height."""
    place: TxPlace | None
    """Where it stands in its block, once confirmed."""
    outspends: list[Outspend | None]
    """What spends the outputs that are shown."""
    members: Members
    """Itself and its relatives while it is in the pool."""
    stale: BlockInfo | None
    """The block that it was found in, if that is not on the best chain."""
    replaced: Replaced | None
    """What took its place, if it left the pool for another."""
    versions: Version | None
    """The tree of replacements that it is in."""


@dataclass(frozen=True, slots=True)
class Family:
    """An unconfirmed transaction's relatives in the pool, and what a miner makes of them."""

    ancestors: list[tuple[Transaction, PoolEntry]]
    descendants: list[tuple[Transaction, PoolEntry]]
    feerate: float
    """Satoshis per virtual byte by which a miner judges the transaction."""


class TxPage:
    """Shows transactions."""

    def __init__(self, view: ChainView, reads: ChainQueries, replacements: RbfTrees, prefix: AddressPrefix) -> None:
        self._view = view
        self._reads = reads
        self._replacements = replacements
        self._prefix = prefix

    def show(self, txid: str) -> str:
        """Show a transaction, 50 inputs and 50 outputs at a time; `?block=` looks in a stale block too."""
        tx_id = read_hash(txid)
        start = read_number(request.args.get("start", "0"))
        stale = read_hash(request.args["block"]) if "block" in request.args else None
        window = slice(start, start + SIDES_PER_PAGE)
        seen = self._view.at_tip(lambda tip: self._read(tip, tx_id, stale, window))
        info, tx = seen.info, seen.info.tx
        inputs = input_rows(info, window, self._prefix)
        outputs = output_rows(info, window, seen.outspends, self._prefix)
        return render_template(
            "tx.html",
            now=time.time(),
            info=info,
            seen=seen,
            inputs=inputs,
            outputs=outputs,
            flow=picture(info, inputs, outputs) if start == 0 else None,
            start=start,
            step=SIDES_PER_PAGE,
            sides=_sides(tx),
            confirmations=seen.tip - info.block.height + 1 if info.block else 0,
            proof=proof_steps(seen.place) if seen.place else [],
            sigops=sigops(info),
            max_sigops=MAX_BLOCK_SIGOPS_COST,
            lock_time=lock_time_meaning(tx),
            lock_time_threshold=LOCKTIME_THRESHOLD,
            replaceable=signals_replacement(tx),
            fee=seen.replaced.entry.fee if seen.replaced else info.fee,
            versions=versions(seen.versions) if seen.versions else [],
            family=_family(tx_id, seen.members),
            most_relatives=LISTED_RELATIVES,
            block_place=self._block_place(tx_id, seen.members),
            raw=tx.serialize().hex() if tx.size <= MAX_HEX_SHOWN else "",
            **_coinbase(tx),
        )

    def _read(self, tip: Tip, txid: bytes, stale: bytes | None, window: slice) -> TxPageModel:
        [replaced] = self._view.replacements.replaced([txid])
        info = self._find(txid, stale) if replaced is None else self._former(replaced)
        if window.start >= _sides(info.tx):
            raise RequestError(400, "start index out of range")
        in_chain = info.block is not None or info.pool is not None
        return TxPageModel(
            info=info,
            tip=tip.height,
            place=self._reads.place(info.block, txid) if info.block else None,
            outspends=self._reads.outspends_in(info.tx, window) if in_chain else [None] * len(info.tx.outputs[window]),
            members=self._reads.family(txid) if info.pool else {},
            stale=self._reads.block(stale) if stale and replaced is None and not in_chain else None,
            replaced=replaced,
            versions=self._replacements.tree(txid),
        )

    def _former(self, replaced: Replaced) -> TxInfo:
        return TxInfo(replaced.tx, self._view.txs.prevouts([replaced.tx]))

    def _find(self, txid: bytes, stale: bytes | None) -> TxInfo:
        try:
            return self._reads.tx(txid)
        except RequestError:
            if stale is None:
                raise
        txids = self._reads.block_txids(stale)
        if txid not in txids:
            raise transaction_not_found()
        return self._reads.block_txs(stale, txids.index(txid), 1)[0]

    def _block_place(self, txid: bytes, members: Members) -> int:
        """Return the block, counted from the next as 1, that it would be in as things are; 0 if in the pool no more."""
        if txid not in members:
            return 0
        if self._reads.pool_stats().vsize <= MAX_BLOCK_VSIZE:
            return 1  # there is room for all, so nothing more has to be read
        return projected_place(self._reads.of_pool(tuple), effective_feerate(members, txid))


def _sides(tx: Transaction) -> int:
    return max(len(tx.inputs), len(tx.outputs))


def _family(txid: bytes, members: Members) -> Family | None:
    if txid not in members:
        return None
    above, below = (
        sorted((members[other] for other in find(members, txid)), key=lambda member: member[1].sequence)
        for find in (ancestors, descendants)
    )
    return Family(above, below, effective_feerate(members, txid))


def _coinbase(tx: Transaction) -> dict[str, Any]:
    if not tx.is_coinbase:
        return {"miner": "", "coinbase_text": ""}
    script_sig = tx.inputs[0].script_sig
    return {"miner": miner_name(script_sig), "coinbase_text": printable(script_sig)}
