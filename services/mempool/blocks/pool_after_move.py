"""The effect of a move of the tip on the pool: the transactions that leave it or return to it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator

from services.mempool.pool.acceptance import Acceptor, Origin
from services.mempool.pool.pool import Pool
from services.mempool.state import NodeState
from shared.bus.events import Removal
from shared.chain.codec import BlockEntry
from shared.chain.commit import PoolRecord
from shared.chain.overlay import Overlay
from shared.errors import ValidationError
from shared.logs import with_fields
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction

log = logging.getLogger(__name__)

MAX_RETURNING_BYTES = 20_000_000
"""Core's MAX_DISCONNECTED_TX_POOL_BYTES."""

Removed = list[tuple[PoolRecord, Removal]]
"""Transactions that leave the pool, with the reasons."""


class Leaving:
    """The transactions that leave the pool when the chain grows: new blocks confirm them or conflict."""

    def __init__(self) -> None:
        self._mined: dict[bytes, PoolRecord] = {}
        self._spenders: set[bytes] = set()
        """Txids of the pool's transactions that spend what another one in a new block spends."""

    def add(self, pool: Pool, block: Block) -> None:
        """Compare a connected block with the pool."""
        if not len(pool):
            return
        for tx in block.transactions:
            record = pool.get(tx.txid)
            if record is not None:  # no other transaction of the pool spends its coins
                self._mined[tx.txid] = record
                continue
            for txin in tx.inputs:
                if (spender := pool.spender(txin.prevout)) is not None:
                    self._spenders.add(spender)

    def records(self, pool: Pool) -> Removed:
        """Return the transactions: the mined ones in the order of the chain, then the conflicting ones."""
        removed = [(record, Removal.MINED) for record in self._mined.values()]
        conflicting = self._spenders.difference(self._mined)
        removed += [(record, Removal.CONFLICT) for record in pool.descendants(conflicting).values()]
        return removed


class Returning:
    """Transactions of disconnected blocks, without their coinbases, that may return to the pool.

    They are bounded: of a reorganisation so deep that they have more bytes, the latest are dropped, as in Core
    (DisconnectedBlockTransactions).
    """

    def __init__(self, max_bytes: int = MAX_RETURNING_BYTES) -> None:
        self._room = max_bytes
        self._txs: deque[Transaction] = deque()
        """Last of the chain first."""

    def add(self, block: Block) -> None:
        """Add the transactions of a disconnected block, the parent of the one before."""
        for tx in block.transactions[:0:-1]:
            self._txs.append(tx)
            self._room -= tx.size
        while self._room < 0:
            self._room += self._txs.popleft().size

    def __iter__(self) -> Iterator[Transaction]:
        """Return the transactions in the order of the chain."""
        return reversed(self._txs)


def rebuild_pool(
    node: NodeState,
    tip: BlockEntry,
    overlay: Overlay,
    returning: Iterable[Transaction],
) -> tuple[Pool, list[PoolRecord], Removed]:
    """Return the pool after a reorganisation, its new transactions, and the ones that left it.

    `returning` are the transactions of disconnected blocks, in the order of the chain. They come before transactions
    that were in the pool all along; each is checked again on the new chain.
    """
    located = overlay.txs  # None for a transaction that is off the chain now
    overlay.prefetch(txin.prevout for record in node.pool for txin in record.tx.inputs)
    pool = Pool(prioritised=node.prioritised)
    acceptor = Acceptor(node.context(tip, overlay), pool, node.verifier)

    def check(tx: Transaction, sequence: int) -> PoolRecord | None:
        if located.get(tx.txid) is not None:
            return None
        try:
            return acceptor.accept(tx, sequence, Origin.BLOCK).record
        except ValidationError as error:
            log.info("left the pool", extra=with_fields(txid=tx.txid_hex, reason=error.reject_reason))
            return None

    added = []
    for tx in returning:
        new = check(tx, node.next_sequence)
        if new is not None:
            node.take_sequence()
            pool.add(new)
            added.append(new)
    removed = []
    for record in node.pool.parents_first():
        if check(record.tx, record.entry.sequence) is not None:
            pool.add(record)
        else:
            removed.append((record, Removal.CONFLICT if located.get(record.tx.txid) is None else Removal.MINED))
    return pool, added, removed
