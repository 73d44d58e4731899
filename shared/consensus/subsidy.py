"""How many new coins a block may make."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.params import ChainParams


def block_subsidy(height: int, params: ChainParams) -> int:
    """Return the satoshis that the coinbase at `height` may make beside the fees (Core's GetBlockSubsidy).

    Halves every `halving_interval` blocks, to zero after the 64th time.
    """
    halvings = height // params.halving_interval
    return params.subsidy >> halvings if halvings < 64 else 0
