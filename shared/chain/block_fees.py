"""The fees of a block, mined or projected: their total, and feerates at evenly spaced points of its size. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.chain.codec import BlockFees
from shared.primitives.block import Block

RATES = 7
"""Number of feerates that stand for those of a whole block."""


def block_fees(block: Block, fees: Sequence[int]) -> BlockFees | None:
    """Return the fees of a block, None if it has only a coinbase.

    `fees` has the fee in satoshis of each transaction except the coinbase, in the block's order.
    """
    sizes = [tx.vsize for tx in block.transactions[1:]]
    rates = [(fee / vsize, vsize) for fee, vsize in zip(fees, sizes, strict=True)]
    return BlockFees(sum(fees), spread(rates)) if rates else None


def spread(rates: Sequence[tuple[float, int]]) -> tuple[float, ...]:
    """Return seven feerates of pairs (feerate, virtual size), from the lowest to the highest.

    The transactions are laid end to end by feerate, the lowest first. The first feerate is the one at the start, the
    second the one after a sixth of the whole virtual size, the third after two sixths, and so on.
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


def median_feerate(rates: Sequence[float]) -> float:
    """Return the median of a block's feerates, given as `spread` returns them: half of its virtual size pays no more.

    Core's getblockstats has another one, by weight and rounded down (`feerate_percentiles`).
    """
    return rates[RATES // 2]
