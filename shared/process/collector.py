"""Python's garbage collector, which by default goes through all objects of a process again and again.

One such pass took 50 ms of a service that had only started, and while it lasts no thread answers anybody: it was what
made one of a hundred requests slow.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 10_000
"""New objects after which they alone are looked at: within a millisecond, so that no request waits for it."""


def calm_collector(young: int = YOUNG) -> None:
    """Exclude the objects that are there now from all collections, and let these come less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, 20, 50)


@contextmanager
def paused_collector() -> Iterator[None]:
    """Collect nothing inside: for work that makes a hundred thousand objects, and drops them at its end.

    Looking at them while they are needed finds nothing, and takes a tenth of the time of a full block.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
