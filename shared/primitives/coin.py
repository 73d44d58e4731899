"""A coin: an unspent output with the facts that its spending depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.primitives.transaction import TxOut


@dataclass(frozen=True, slots=True)
class Coin:
    """An output, the height of its block, and whether it is a coinbase's output, which must mature."""

    output: TxOut
    height: int
    is_coinbase: bool
