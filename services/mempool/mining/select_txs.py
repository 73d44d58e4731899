"""What goes into a block: the pool as a template's choice sees it, or the transactions that a request names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.mempool.mining.template import Candidate
from services.mempool.state import NodeState
from shared.errors import DecodeError
from shared.primitives.hex import parse_display_hash, parse_hex
from shared.primitives.transaction import Transaction

CHOICE_REFUSED = "TestBlockValidity failed"
"""How the answer begins when the named transactions do not make a valid block, as Core's generateblock says it."""

_TXID = re.compile(r"[0-9a-fA-F]{64}")


def pool_candidates(node: NodeState) -> list[Candidate]:
    """Return what the choice needs to know of every transaction in the pool."""
    pool = node.pool
    candidates = []
    for item in pool:
        txid = item.tx.txid
        alone = frozenset([txid])
        candidates.append(
            Candidate(
                tx=item.tx,
                fee=item.fee,
                modified_fee=item.fee + node.prioritised.get(txid, 0),
                vsize=item.vsize,
                sigop_cost=item.record.entry.sigop_cost,
                ancestors=frozenset(pool.ancestors([txid])) if item.parents else alone,
                descendants=frozenset(pool.descendants([txid])) if item.children else alone,
            )
        )
    return candidates


def chosen_txs(node: NodeState, names: Sequence[str]) -> list[Transaction]:
    """Return the transactions of a request: each a txid of the pool, or a raw transaction in hex.

    Raises `DecodeError` with Core's words (generateblock).
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
