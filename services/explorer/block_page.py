"""The page of a block: what it is, who made it and what it earned, and its transactions."""

from __future__ import annotations

from flask import Response, make_response, redirect, render_template, request, url_for

from services.explorer import serialize
from services.explorer.arguments import read_hash, read_number
from services.explorer.esplora import TXS_PER_PAGE
from services.explorer.meanings import printable
from services.explorer.miners import miner_name
from services.explorer.reads import ChainReads
from shared.chain.view import ChainView
from shared.consensus.limits import MAX_BLOCK_WEIGHT
from shared.consensus.subsidy import block_subsidy
from shared.params import ChainParams
from shared.primitives.hexes import display_hash

_HEIGHT_DIGITS = 10


class BlockPage:
    """Shows blocks."""

    def __init__(self, view: ChainView, reads: ChainReads, params: ChainParams) -> None:
        self._view = view
        self._reads = reads
        self._params = params

    def show(self, block_hash: str) -> str | Response:
        """Show a block and 25 of its transactions; a height leads to the block's own address."""
        if len(block_hash) <= _HEIGHT_DIGITS and block_hash.isdigit():
            found = self._reads.block_hash(read_number(block_hash))
            return make_response(redirect(url_for("pages.block", block_hash=display_hash(found))))
        block_id = read_hash(block_hash)
        start = read_number(request.args.get("start", "0"))
        return self._reads.snapshot(lambda: self._show(block_id, start))

    def _show(self, block_hash: bytes, start: int) -> str:
        block = self._reads.block(block_hash)
        txs = self._reads.block_txs(block_hash, start, TXS_PER_PAGE)
        [coinbase] = self._reads.coinbases([block_hash])
        height = block.entry.height
        script_sig = coinbase.inputs[0].script_sig
        [paid] = self._view.block_fees([block_hash])
        return render_template(
            "block.html",
            block=block,
            facts=serialize.block_json(block),
            confirmations=self._reads.tip().height - height + 1 if block.in_best_chain else 0,
            instead=None if block.in_best_chain else self._view.block_hash(height),
            miner=miner_name(script_sig),
            coinbase_text=printable(script_sig),
            reward=sum(output.value for output in coinbase.outputs),
            paid=paid,
            subsidy=block_subsidy(height, self._params),
            max_weight=MAX_BLOCK_WEIGHT,
            txs=txs,
            start=start,
            step=TXS_PER_PAGE,
        )
