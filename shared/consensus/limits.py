"""Consensus limits of every chain (Core's consensus/consensus.h, amount.h)."""

from __future__ import annotations

from typing import Final

from shared.primitives.weight import WITNESS_SCALE_FACTOR

COIN: Final = 100_000_000
"""Satoshis in one bitcoin."""

MAX_MONEY: Final = 21_000_000 * COIN
"""The largest amount and the largest sum of amounts (satoshis)."""

MAX_BLOCK_WEIGHT: Final = 4_000_000
MAX_BLOCK_SIZE: Final = MAX_BLOCK_WEIGHT
"""Bytes with witness, as every byte weighs at least one unit (MAX_BLOCK_SERIALIZED_SIZE)."""
MAX_BLOCK_VSIZE: Final = MAX_BLOCK_WEIGHT // WITNESS_SCALE_FACTOR
MIN_TRANSACTION_WEIGHT: Final = WITNESS_SCALE_FACTOR * 60
"""Core's lower bound: no valid transaction serializes to fewer bytes."""
MAX_BLOCK_SIGOPS_COST: Final = 80_000
MIN_COINBASE_SCRIPT: Final = 2
MAX_COINBASE_SCRIPT: Final = 100

MAX_HEIGHT: Final = 0x7FFFFFFF
"""Heights are 32-bit integers with a sign in Core."""
MEDIAN_TIME_SPAN: Final = 11
MAX_FUTURE_BLOCK_TIME: Final = 2 * 60 * 60
MAX_TIMEWARP: Final = 600
"""Seconds by which the time of a period's first block may precede its parent's (BIP94)."""


def is_money(amount: int) -> bool:
    """Tell whether an amount in satoshis is from 0 to MAX_MONEY (Core's MoneyRange)."""
    return 0 <= amount <= MAX_MONEY
