"""What the payments of a connected block paid: its total of fees, and how feerates are spread over it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.chain.codec import BlockFees
from shared.primitives.block import Block
from shared.primitives.coin import Coin

RATES = 7
"""Feerates that are kept of a block."""


def block_fees(block: Block, spent: Sequence[Sequence[Coin]]) -> BlockFees | None:
    """Return what a block's payments paid, None where it has none.

    `spent` are the coins that each transaction but the coinbase spent, in the block's order.
    """
    rates: list[tuple[float, int]] = []
    total = 0
    for tx, coins in zip(block.transactions[1:], spent, strict=True):
        fee = sum([coin.output.value for coin in coins]) - sum([output.value for output in tx.outputs])
        vsize = tx.vsize
        total += fee
        rates.append((fee / vsize, vsize))
    return BlockFees(total, spread(rates)) if rates else None


def spread(rates: Sequence[tuple[float, int]]) -> tuple[float, ...]:
    """Return seven feerates of (feerate, virtual size), from the lowest to the highest.

    Each is that of whatever lies at its place when all are put end to end, the worst payer first: at the start, after a
    sixth of the virtual size, after two sixths, and so on.
    """
    ordered = sorted(rates)
    size = sum([vsize for _, vsize in ordered])
    found: list[float] = []
    end = 0
    for rate, vsize in ordered:
        end += vsize
        while len(found) < RATES - 1 and end * (RATES - 1) > size * len(found):
            found.append(rate)
    return (*found, ordered[-1][0])
