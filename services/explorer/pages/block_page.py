"""The page of a block: what it is, who made it and what it earned, and its transactions."""

from __future__ import annotations

import time
from dataclasses import dataclass

from flask import Response, make_response, redirect, render_template, request, url_for

from services.explorer.api import esplora_json
from services.explorer.api.esplora import TXS_PER_PAGE
from services.explorer.api.parameters import read_hash, read_number
from services.explorer.chain.miner_names import miner_name
from services.explorer.chain.models import BlockInfo, TxInfo
from services.explorer.chain.queries import ChainQueries
from services.explorer.pages.tx_text import printable
from shared.chain.codec import BlockFees
from shared.chain.view import ChainView, Tip
from shared.consensus.limits import MAX_BLOCK_WEIGHT
from shared.consensus.params import ChainParams
from shared.consensus.subsidy import block_subsidy
from shared.primitives.hex import display_hash
from shared.primitives.transaction import Transaction

_HEIGHT_DIGITS = 10


@dataclass(frozen=True, slots=True)
class BlockPageModel:
    """What is read of a block, all from one state of the chain."""

    block: BlockInfo
    txs: list[TxInfo]
    """Those that are shown."""
    coinbase: Transaction
    paid: BlockFees | None
    tip: int
    """Height."""
    instead: bytes | None
    """Hash of the best chain's block at the height of a stale one."""


class BlockPage:
    """Shows blocks."""

    def __init__(self, view: ChainView, reads: ChainQueries, params: ChainParams) -> None:
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
        seen = self._view.at_tip(lambda tip: self._read(tip, block_id, start))
        block, coinbase = seen.block, seen.coinbase
        height = block.entry.height
        script_sig = coinbase.inputs[0].script_sig
        return render_template(
            "block.html",
            now=time.time(),
            block=block,
            facts=esplora_json.block_json(block),
            confirmations=seen.tip - height + 1 if block.in_best_chain else 0,
            instead=seen.instead,
            miner=miner_name(script_sig),
            coinbase_text=printable(script_sig),
            reward=sum(output.value for output in coinbase.outputs),
            paid=seen.paid,
            subsidy=block_subsidy(height, self._params),
            max_weight=MAX_BLOCK_WEIGHT,
            txs=seen.txs,
            start=start,
            step=TXS_PER_PAGE,
        )

    def _read(self, tip: Tip, block_hash: bytes, start: int) -> BlockPageModel:
        block = self._reads.block(block_hash)
        [coinbase] = self._reads.coinbases([block_hash])
        [paid] = self._view.blocks.fees([block_hash])
        return BlockPageModel(
            block=block,
            txs=self._reads.block_txs(block_hash, start, TXS_PER_PAGE),
            coinbase=coinbase,
            paid=paid,
            tip=tip.height,
            instead=None if block.in_best_chain else self._view.block_hash(block.entry.height),
        )
