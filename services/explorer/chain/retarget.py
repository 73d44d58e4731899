"""The progress of a difficulty period and an estimate of the next difficulty, in mempool.space's fields. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.consensus.params import ChainParams
from shared.consensus.pow import difficulty

_MOST, _LEAST = 300.0, -75.0
"""Limits of a change of difficulty, in percent: to four times as much, or to a quarter."""
_MIN_SHARE = 0.07
"""Part of a period that must be over before its pace is used."""


@dataclass(frozen=True, slots=True)
class Period:
    """The difficulty period that the tip is in."""

    height: int
    """Of the tip."""
    tip_time: int
    start_time: int
    """Of its first block, in seconds."""
    bits: int
    previous_bits: int
    """Of the period before; of this one if it is the first."""


def difficulty_adjustment(period: Period, params: ChainParams, now: float) -> dict[str, Any]:
    """Return the adjustment at a time in seconds; times in the answer are in milliseconds, as mempool.space's."""
    interval = params.retarget_interval
    done = period.height % interval
    left = interval - done
    end = period.tip_time if left == 1 else max(now, period.tip_time)
    elapsed = max(0.0, end - period.start_time)
    is_telling = done >= _MIN_SHARE * interval and elapsed > 0
    pace = elapsed / done if is_telling else float(params.pow_spacing)
    change = 0.0
    if is_telling and not params.pow_no_retargeting:
        change = min(_MOST, max(_LEAST, (params.pow_spacing / pace - 1) * 100))
    remaining = int(left * pace * 1000)
    return {
        "progressPercent": done / interval * 100,
        "difficultyChange": change,
        "estimatedRetargetDate": int(now * 1000) + remaining,
        "remainingBlocks": left,
        "remainingTime": remaining,
        "previousRetarget": (difficulty(period.bits) / difficulty(period.previous_bits) - 1) * 100,
        "previousTime": period.start_time,
        "nextRetargetHeight": period.height + left,
        "timeAvg": int(pace * 1000),
        "adjustedTimeAvg": int(pace * 1000),
        "timeOffset": 0,
        "expectedBlocks": elapsed / params.pow_spacing,
    }
