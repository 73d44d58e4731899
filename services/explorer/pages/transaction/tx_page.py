"""The page of a transaction: amounts, the scripts that unlock them, its block, and the proof that it is in there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import render_template, request

from services.explorer.api.parameters import read_hash, read_number
from services.explorer.chain.cpfp import PoolRelatives
from services.explorer.chain.fee_estimates import itself, projected_place
from services.explorer.chain.miner_names import miner_name
from services.explorer.chain.models import BlockInfo, MerkleProof, Outspend, TxInfo
from services.explorer.chain.queries import ChainQueries
from services.explorer.chain.rbf_trees import Version
from services.explorer.errors import RequestError, transaction_not_found
from services.explorer.pages.links import SIDES_PER_PAGE
from services.explorer.pages.transaction.tx_rows import input_rows, output_rows, picture, proof_steps, sigops, versions
from services.explorer.pages.transaction.tx_text import lock_time_meaning, printable
from shared.chain.view import Replaced, Tip
from shared.consensus.limits import MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_VSIZE
from shared.policy import signals_replacement
from shared.primitives.transaction import LOCKTIME_THRESHOLD, Transaction

MAX_HEX_SHOWN = 20_000
"""Bytes of a transaction up to which its hex is on the page; a larger one has a link."""
LISTED_RELATIVES = 25


@dataclass(frozen=True, slots=True)
class TxDetails:
    """A transaction as its page shows it, read from one state of the chain."""

    info: TxInfo
    tip: int
    """Height."""
    proof: MerkleProof | None
    """Its place in its block, once confirmed."""
    outspends: list[Outspend | None]
    """Spends of the outputs shown."""
    relatives: PoolRelatives | None
    """Its relatives while it is in the pool."""
    stale: BlockInfo | None
    """The stale block that it was found in."""
    replaced: Replaced | None
    """Its record if another transaction replaced it in the pool."""
    versions: Version | None
    """The tree of replacements that it is in."""


class TxPage:
    """Shows transactions."""

    def __init__(self, chain: ChainQueries, clock: Callable[[], float] = time.time) -> None:
        self._chain = chain
        self._clock = clock

    def show(self, txid: str) -> str:
        """Show a transaction, 25 inputs and outputs from `?start=` on; `?block=` names a stale block to search, too."""
        tx_id = read_hash(txid)
        start = read_number(request.args.get("start", "0"))
        stale = read_hash(request.args["block"]) if "block" in request.args else None
        window = slice(start, start + SIDES_PER_PAGE)
        seen = self._chain.at_tip(lambda tip: self._read(tip, tx_id, stale, window))
        info, tx = seen.info, seen.info.tx
        prefix = self._chain.params.address
        inputs = input_rows(info, window, prefix)
        outputs = output_rows(info, window, seen.outspends, prefix)
        return render_template(
            "tx.html",
            now=self._clock(),
            info=info,
            seen=seen,
            inputs=inputs,
            outputs=outputs,
            flow=picture(info, inputs, outputs) if start == 0 else None,
            start=start,
            step=SIDES_PER_PAGE,
            sides=_sides(tx),
            confirmations=seen.tip - info.block.height + 1 if info.block else 0,
            proof=proof_steps(seen.proof) if seen.proof else [],
            sigops=sigops(info),
            max_sigops=MAX_BLOCK_SIGOPS_COST,
            lock_time=lock_time_meaning(tx),
            lock_time_threshold=LOCKTIME_THRESHOLD,
            replaceable=signals_replacement(tx),
            fee=seen.replaced.entry.fee if seen.replaced else info.fee,
            versions=versions(seen.versions) if seen.versions else [],
            relatives=seen.relatives,
            most_relatives=LISTED_RELATIVES,
            block_place=self._block_place(seen.relatives),
            raw=tx.serialize().hex() if tx.size <= MAX_HEX_SHOWN else "",
            **_coinbase(tx),
        )

    def _read(self, tip: Tip, txid: bytes, stale: bytes | None, window: slice) -> TxDetails:
        txs, replaced = self._chain.txs, self._chain.replacements.replaced(txid)
        info = self._find(txid, stale) if replaced is None else txs.with_prevouts(replaced.tx)
        if window.start >= _sides(info.tx):
            raise RequestError(400, "start index out of range")
        in_chain = info.block is not None or info.pool is not None
        return TxDetails(
            info=info,
            tip=tip.height,
            proof=txs.proof_in(info.block, txid) if info.block else None,
            outspends=txs.outspends_in(info.tx, window) if in_chain else [None] * len(info.tx.outputs[window]),
            relatives=self._chain.pool.cpfp(txid) if info.pool else None,
            stale=self._chain.blocks.get(stale) if stale and replaced is None and not in_chain else None,
            replaced=replaced,
            versions=self._chain.replacements.tree(txid),
        )

    def _find(self, txid: bytes, stale: bytes | None) -> TxInfo:
        try:
            return self._chain.txs.get(txid)
        except RequestError:
            if stale is None:
                raise
        txids = self._chain.blocks.txids(stale)
        if txid not in txids:
            raise transaction_not_found()
        return self._chain.blocks.txs(stale, txids.index(txid), 1)[0]

    def _block_place(self, relatives: PoolRelatives | None) -> int:
        """Return the projected block that the transaction is in, 1 for the next one; 0 if it has left the pool."""
        if relatives is None:
            return 0
        if self._chain.pool.stats().vsize <= MAX_BLOCK_VSIZE:
            return 1  # the whole pool fits in, so nothing more has to be read
        return projected_place(self._chain.pool.derive(itself), relatives.feerate)


def _sides(tx: Transaction) -> int:
    return max(len(tx.inputs), len(tx.outputs))


def _coinbase(tx: Transaction) -> dict[str, Any]:
    if not tx.is_coinbase:
        return {"miner": "", "coinbase_text": ""}
    script_sig = tx.inputs[0].script_sig
    return {"miner": miner_name(script_sig), "coinbase_text": printable(script_sig)}
