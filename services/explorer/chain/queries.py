"""The explorer's one door to the chain: pages, API and streams read through a `ChainQueries` and its parts.

    chain.blocks         single blocks, lists of blocks, difficulty period and hash rate
    chain.txs            transactions with the outputs that they spend, spends of outputs, merkle proofs
    chain.scripts        counters, histories and coins by script hash
    chain.pool           the unconfirmed transactions, their fees and relatives
    chain.replacements   trees of transactions that replaced each other in the pool

`ChainView` knows keys and values; here they become whole answers, each from one state of the chain and no larger than
the part that is shown. Answers kept in memory (the pool's fees, merkle trees, effects on scripts) make this an object
to be built once. Any thread may read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from services.explorer.chain.block_queries import BlockQueries
from services.explorer.chain.pool_queries import PoolQueries
from services.explorer.chain.rbf_trees import RbfTrees
from services.explorer.chain.script_queries import ScriptQueries
from services.explorer.chain.tx_queries import TxQueries
from shared.chain.view import ChainView, Tip
from shared.consensus.params import ChainParams

T = TypeVar("T")


class ChainQueries:
    """Answers from committed chain state."""

    def __init__(self, view: ChainView, params: ChainParams) -> None:
        self._view = view
        self.params = params
        self.blocks = BlockQueries(view, params)
        self.txs = TxQueries(view, self.blocks)
        self.scripts = ScriptQueries(view, self.blocks, self.txs)
        self.pool = PoolQueries(view)
        self.replacements = RbfTrees(view)

    def tip(self) -> Tip:
        """Return the tip; `StoreUnavailable` while there is no chain."""
        return self._view.tip()

    def at_tip(self, read: Callable[[Tip], T]) -> T:
        """Return the result of `read`, whose reads all see the chain with the tip that it is given."""
        return self._view.at_tip(read)
