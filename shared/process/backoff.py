"""The delay before the next attempt, for all code that reconnects or retries."""

from __future__ import annotations

import random


def backoff(attempt: int, *, base: float = 0.1, cap: float = 5.0, jitter: float | None = None) -> float:
    """Return the seconds to wait after failed attempt number `attempt` (the first is 0).

    The ceiling doubles from `base` up to `cap`; the delay lies at random between half of it and all of it, so that
    clients that failed together do not retry together. `jitter`, from 0 to 1, replaces the random number.
    """
    ceiling = min(cap, base * 2.0 ** min(attempt, 32))
    share = random.random() if jitter is None else jitter
    return ceiling * (0.5 + 0.5 * share)
