"""The block subsidy: the new coins of a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.consensus.params import ChainParams


def block_subsidy(height: int, params: ChainParams) -> int:
    """Return the new satoshis that the coinbase at `height` may claim beside the fees (Core's GetBlockSubsidy).

    The subsidy halves every `halving_interval` blocks and is zero from the 64th halving on.
    """
    halvings = height // params.halving_interval
    return params.subsidy >> halvings if halvings < 64 else 0


def issued(height: int, params: ChainParams) -> int:
    """Return the sum in satoshis of the subsidies up to `height`; the genesis block counts if it can be spent.

    Unclaimed and burnt satoshis are not subtracted.
    """
    total = 0 if params.genesis_spendable else -params.subsidy
    for halvings in range(64):
        start = halvings * params.halving_interval
        if start > height:
            break
        total += min(params.halving_interval, height - start + 1) * (params.subsidy >> halvings)
    return total
