"""A coin: an unspent output with the facts that its spending depends on."""

from __future__ import annotations

import msgspec

from shared.primitives.transaction import TxOut


class Coin(msgspec.Struct, frozen=True, gc=False):
    """An output, the height of its block, and whether it is a coinbase's output, which must mature."""

    output: TxOut
    height: int
    is_coinbase: bool
