"""The template that miners who speak JSON-RPC are given: of the pool and the tip as they are now."""

from __future__ import annotations

from services.mempool.block_tree import Branch
from services.mempool.mining import gbt
from services.mempool.mining.select_txs import select_txs
from services.mempool.state import NodeState
from shared.bus.events import WorkTemplate


class WorkTemplates:
    """Makes templates, and chooses their transactions anew only when the pool has changed."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._contents: gbt.Contents | None = None
        self._chosen_of: object = None
        """The state of the pool that the transactions are chosen of."""

    def template(self) -> WorkTemplate:
        """Return the template of the next block."""
        node = self._node
        tip = node.tree.tip
        return gbt.work_template(
            branch=Branch(node.tree, tip),
            tip_hash=tip.hash,
            height=tip.height + 1,
            seq=node.view.tip().seq,
            times=gbt.next_time(tip.header, tip.height, node.tree.median_time_past(tip), node.now(), node.params),
            contents=self._choose(),
            params=node.params,
        )

    def _choose(self) -> gbt.Contents:
        pool = self._node.pool
        if self._contents is None or self._chosen_of is not pool.state:
            self._contents = gbt.Contents.of(select_txs(pool), pool.graph)
            self._chosen_of = pool.state
        return self._contents
