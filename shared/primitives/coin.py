"""A coin: an unspent output, with what its spending depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.primitives.transaction import TxOut


@dataclass(frozen=True, slots=True)
class Coin:
    """An output with the height of its block, and whether a coinbase made it (then it must mature)."""

    output: TxOut
    height: int
    is_coinbase: bool
