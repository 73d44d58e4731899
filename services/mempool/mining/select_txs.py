"""Selects the transactions of a block: the best chunks of the pool, or the transactions that a request names.

Chunks are taken by feerate, as in Core's BlockAssembler, so that children pay for their parents (CPFP). They come from
`shared/pool/linearize.py`, as the feerates of every interface do, in the order that `shared/pool/chunk_order.py` keeps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.mempool.pool.pool import Pool, as_member
from services.mempool.state import NodeState
from shared.chain.commit import PoolRecord
from shared.consensus.limits import MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT
from shared.errors import DecodeError
from shared.policy import BLOCK_MIN_FEERATE, BLOCK_RESERVED_SIGOPS, BLOCK_RESERVED_WEIGHT, fee_for
from shared.pool.graph import Graph
from shared.primitives.hex import parse_display_hash, parse_hex
from shared.primitives.transaction import Transaction
from shared.primitives.weight import WITNESS_SCALE_FACTOR

CHOICE_REFUSED = "TestBlockValidity failed"
"""Beginning of the reply if the named transactions do not make a valid block (Core's generateblock)."""

_TXID = re.compile(r"[0-9a-fA-F]{64}")


def select_txs(pool: Pool) -> list[PoolRecord]:
    """Return the transactions for a block, parents before children, best chunk first.

    A chunk that does not fit into the block is skipped; at the end its transactions are tried one by one, if they pay
    the least feerate.
    """
    block = _Block(pool.graph)
    least_weight = pool.least_weight()
    passed_over: list[PoolRecord] = []
    for chunk in pool.chunks():
        if not _pays_enough(chunk.fee, chunk.size) or block.room < least_weight:
            break  # the chunks that follow pay less, or nothing fits any more
        txs = pool.records(chunk.txids)
        if not block.add(txs) and (len(txs) > 1 or block.has_room_for(txs)):
            passed_over += txs  # a single transaction that is too large would be so at the end as well
    for record in passed_over:
        if _pays_enough(pool.modified_fee(record), as_member(record, 0).size):
            block.add([record])
    return block.txs


class _Block:
    """A block that is being filled."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._sigops = MAX_BLOCK_SIGOPS_COST - BLOCK_RESERVED_SIGOPS
        self._missing: set[bytes] = set()
        """Txids of skipped transactions: their descendants cannot be added."""
        self.room = MAX_BLOCK_WEIGHT - BLOCK_RESERVED_WEIGHT
        """Weight units left."""
        self.txs: list[PoolRecord] = []

    def add(self, txs: Sequence[PoolRecord]) -> bool:
        """Add transactions that belong together; return False if they do not fit or an ancestor is missing."""
        weight, sigops = _size_of(txs)
        if weight > self.room or sigops > self._sigops or self._lacks_a_parent(txs):
            self._missing.update([record.txid for record in txs])
            return False
        self.room -= weight
        self._sigops -= sigops
        self.txs += txs
        if self._missing:
            self._missing.difference_update([record.txid for record in txs])
        return True

    def has_room_for(self, txs: Sequence[PoolRecord]) -> bool:
        """Tell whether transactions fit, their parents apart."""
        weight, sigops = _size_of(txs)
        return weight <= self.room and sigops <= self._sigops

    def _lacks_a_parent(self, txs: Sequence[PoolRecord]) -> bool:
        missing = self._missing
        return bool(missing) and any(not missing.isdisjoint(self._graph.parents(record.txid)) for record in txs)


def _size_of(txs: Sequence[PoolRecord]) -> tuple[int, int]:
    """Return weight units and signature operation cost."""
    weight = sigops = 0
    for record in txs:
        weight += record.entry.weight
        sigops += record.entry.sigop_cost
    return weight, sigops


def _pays_enough(fee: int, size: int) -> bool:
    return fee >= fee_for(-(-size // WITNESS_SCALE_FACTOR), BLOCK_MIN_FEERATE)


def chosen_txs(node: NodeState, names: Sequence[str]) -> list[Transaction]:
    """Return the transactions of a request: each a txid of the pool, or a raw transaction in hex.

    Raises `DecodeError` with Core's texts (generateblock).
    """
    return [_named(node, name) for name in names]


def _named(node: NodeState, name: str) -> Transaction:
    if _TXID.fullmatch(name):
        item = node.pool.get(parse_display_hash(name))
        if item is None:
            raise DecodeError(f"Transaction {name.lower()} not in mempool.")
        return item.tx
    try:
        return Transaction.parse(parse_hex(name, "transaction"))
    except DecodeError:
        raise DecodeError(f"Transaction decode failed for {name}. Make sure the tx has at least one input.") from None
