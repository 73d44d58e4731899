"""The effect of a move of the tip on the pool: the transactions that leave it or return to it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from services.mempool.pool.acceptance import Acceptor, Origin
from services.mempool.pool.pool import Pool
from services.mempool.state import NodeState
from shared.bus.events import Removal
from shared.chain.codec import BlockEntry
from shared.chain.commit import PoolRecord
from shared.chain.overlay import Overlay
from shared.errors import ValidationError
from shared.logs import with_fields
from shared.primitives.transaction import Transaction

log = logging.getLogger(__name__)

Removed = list[tuple[PoolRecord, Removal]]
"""Transactions that leave the pool, with the reasons."""


def leaving(pool: Pool, confirmed: Mapping[bytes, Transaction]) -> Removed:
    """Return the transactions that leave the pool when the chain grows: new blocks confirm them or conflict."""
    removed = [(record, Removal.MINED) for txid in confirmed if (record := pool.get(txid)) is not None]
    conflicting = {
        spender
        for tx in confirmed.values()
        for txin in tx.inputs
        if (spender := pool.spender(txin.prevout)) is not None and spender not in confirmed
    }
    removed += [(record, Removal.CONFLICT) for record in pool.descendants(conflicting).values()]
    return removed


def rebuild_pool(
    node: NodeState,
    tip: BlockEntry,
    overlay: Overlay,
    returning: Iterable[Transaction],
    confirmed: Mapping[bytes, Transaction],
) -> tuple[Pool, list[PoolRecord], Removed]:
    """Return the pool after a reorganisation, its new transactions, and the ones that left it.

    `returning` are the transactions of disconnected blocks, in the order of the chain. They come before transactions
    that were in the pool all along; each is checked again on the new chain.
    """
    pool = Pool(prioritised=node.prioritised)
    acceptor = Acceptor(node.context(tip, overlay), pool, node.verifier)

    def check(tx: Transaction, sequence: int) -> PoolRecord | None:
        if tx.txid in confirmed:
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
            removed.append((record, Removal.MINED if record.tx.txid in confirmed else Removal.CONFLICT))
    return pool, added, removed
