"""Python's garbage collector, which by default goes through all objects of a process again and again.

One such pass took 50 ms of a service that had only started, and while it lasts no thread answers anybody: it was what
made one of a hundred requests slow.
"""

from __future__ import annotations

import gc

YOUNG = 10_000
"""New objects after which they alone are looked at: within a millisecond, so that no request waits for it."""


def calm_collector(young: int = YOUNG) -> None:
    """Exclude the objects that are there now from all collections, and let these come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, 20, 50)
