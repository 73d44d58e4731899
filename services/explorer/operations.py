"""Every described operation of the API in the order of its description, from the tables beside the functions."""

from __future__ import annotations

from services.explorer.api import mempool_space, nigiri
from services.explorer.api.esplora import blocks, packages, pool, scripts, transactions
from services.explorer.api.operation import Operation
from services.explorer.live import sse_endpoint, wait_endpoint
from services.explorer.openapi import routes

OPERATIONS: tuple[Operation, ...] = (
    *blocks.OPERATIONS,
    *transactions.OPERATIONS,
    *packages.OPERATIONS,
    *pool.OPERATIONS,
    *scripts.ADDRESS_OPERATIONS,
    *scripts.SCRIPT_HASH_OPERATIONS,
    *wait_endpoint.OPERATIONS,
    *sse_endpoint.OPERATIONS,
    *mempool_space.OPERATIONS,
    *routes.OPERATIONS,
)
FAUCET_OPERATIONS: tuple[Operation, ...] = nigiri.OPERATIONS


def operations(*, has_faucet: bool) -> tuple[Operation, ...]:
    """Return the operations of a chain with or without a faucet."""
    return OPERATIONS + FAUCET_OPERATIONS if has_faucet else OPERATIONS
