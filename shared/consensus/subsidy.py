"""How many new coins a block may make."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.consensus.params import ChainParams


def block_subsidy(height: int, params: ChainParams) -> int:
    """Return the satoshis that the coinbase at `height` may make beside the fees (Core's GetBlockSubsidy).

    Halves every `halving_interval` blocks, to zero after the 64th time.
    """
    halvings = height // params.halving_interval
    return params.subsidy >> halvings if halvings < 64 else 0


def issued(height: int, params: ChainParams) -> int:
    """Return the satoshis that all blocks up to `height` may have made; the genesis block's count if they can be spent.

    What a miner did not claim, or someone burnt, is not taken off.
    """
    total = 0 if params.genesis_spendable else -params.subsidy
    for halvings in range(64):
        start = halvings * params.halving_interval
        if start > height:
            break
        total += min(params.halving_interval, height - start + 1) * (params.subsidy >> halvings)
    return total
