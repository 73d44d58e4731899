"""The page of a block: header, miner, reward and fees, and its transactions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Response, make_response, redirect, render_template, request, url_for

from services.explorer.api.parameters import read_hash, read_number
from services.explorer.chain.miner_names import miner_name
from services.explorer.chain.models import BlockInfo, TxInfo
from services.explorer.chain.queries import ChainQueries
from services.explorer.pages.links import TXS_PER_PAGE
from services.explorer.pages.transaction.tx_text import printable
from shared.chain.codec import BlockFees
from shared.chain.view import Tip
from shared.consensus.limits import MAX_BLOCK_WEIGHT
from shared.consensus.pow import difficulty
from shared.consensus.subsidy import block_subsidy
from shared.primitives.hex import display_hash
from shared.primitives.transaction import Transaction

_HEIGHT_DIGITS = 10


@dataclass(frozen=True, slots=True)
class BlockDetails:
    """A block as its page shows it, read from one state of the chain."""

    block: BlockInfo
    txs: list[TxInfo]
    """The transactions shown."""
    coinbase: Transaction
    paid: BlockFees | None
    tip: int
    """Height."""
    instead: bytes | None
    """For a stale block: hash of the best chain's block at its height."""


class BlockPage:
    """Shows blocks."""

    def __init__(self, chain: ChainQueries, clock: Callable[[], float] = time.time) -> None:
        self._chain = chain
        self._clock = clock

    def show(self, block_hash: str) -> str | Response:
        """Show a block and 25 of its transactions; a height redirects to the block's hash."""
        if len(block_hash) <= _HEIGHT_DIGITS and block_hash.isdigit():
            at_height = self._chain.blocks.hash_at(read_number(block_hash))
            return make_response(redirect(url_for("pages.block", block_hash=display_hash(at_height))))
        block_id = read_hash(block_hash)
        start = read_number(request.args.get("start", "0"))
        found = self._chain.at_tip(lambda tip: self._read(tip, block_id, start))
        block, coinbase = found.block, found.coinbase
        height = block.entry.height
        script_sig = coinbase.inputs[0].script_sig
        return render_template(
            "block.html",
            now=self._clock(),
            block=block,
            difficulty=difficulty(block.entry.header.bits),
            confirmations=found.tip - height + 1 if block.in_best_chain else 0,
            instead=found.instead,
            miner=miner_name(script_sig),
            coinbase_text=printable(script_sig),
            reward=sum(output.value for output in coinbase.outputs),
            paid=found.paid,
            subsidy=block_subsidy(height, self._chain.params),
            max_weight=MAX_BLOCK_WEIGHT,
            txs=found.txs,
            start=start,
            step=TXS_PER_PAGE,
        )

    def _read(self, tip: Tip, block_hash: bytes, start: int) -> BlockDetails:
        block = self._chain.blocks.get(block_hash)
        [coinbase] = self._chain.blocks.coinbases([block_hash])
        [paid] = self._chain.blocks.fees([block_hash])
        return BlockDetails(
            block=block,
            txs=self._chain.blocks.txs(block_hash, start, TXS_PER_PAGE),
            coinbase=coinbase,
            paid=paid,
            tip=tip.height,
            instead=None if block.in_best_chain else self._chain.blocks.hash_at(block.entry.height),
        )
