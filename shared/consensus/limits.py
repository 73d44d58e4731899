"""Consensus limits of every chain (Core's consensus/consensus.h, amount.h)."""

from __future__ import annotations

from typing import Final

COIN: Final = 100_000_000
"""Satoshis in one bitcoin."""

MAX_MONEY: Final = 21_000_000 * COIN
"""The largest amount and the largest sum of amounts (satoshis)."""

WITNESS_SCALE_FACTOR: Final = 4
MAX_BLOCK_WEIGHT: Final = 4_000_000
MAX_BLOCK_VSIZE: Final = MAX_BLOCK_WEIGHT // WITNESS_SCALE_FACTOR
MAX_BLOCK_SIGOPS_COST: Final = 80_000
MIN_COINBASE_SCRIPT: Final = 2
MAX_COINBASE_SCRIPT: Final = 100

LOCKTIME_THRESHOLD: Final = 500_000_000
"""A lock time below this number is a height; from this number on it is a time in seconds."""

SEQUENCE_LOCKTIME_DISABLE_FLAG: Final = 1 << 31
SEQUENCE_LOCKTIME_TYPE_FLAG: Final = 1 << 22
SEQUENCE_LOCKTIME_MASK: Final = 0xFFFF
SEQUENCE_LOCKTIME_GRANULARITY: Final = 9
"""The unit of a relative lock time by time is 2^9 = 512 seconds (BIP68)."""

MEDIAN_TIME_SPAN: Final = 11
MAX_FUTURE_BLOCK_TIME: Final = 2 * 60 * 60
MAX_TIMEWARP: Final = 600
"""Seconds by which the time of a period's first block may precede its parent's (BIP94)."""


def is_money(amount: int) -> bool:
    """Tell whether an amount in satoshis is from 0 to MAX_MONEY (Core's MoneyRange)."""
    return 0 <= amount <= MAX_MONEY
