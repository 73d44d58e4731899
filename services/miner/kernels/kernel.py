"""What a kernel is: it finds the nonce with which a header's hash meets the target, and knows nothing of jobs. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

NONCES = 1 << 32
"""The number of nonces that a header can have."""

Search = Callable[[bytes, int, int, int], int | None]
"""Called with a serialised header (wire order) without its nonce, a target, a first nonce and a count.

Returns the first nonce, among `count` from the first one on, that meets the target; None if there is none. A hash meets
the target if it is not above it as a little-endian number. Nonces end at 2^32.
"""

_MEASURE_SECONDS = 0.005
_FIRST_COUNT = 500


@dataclass(frozen=True, slots=True)
class Kernel:
    """A search with its name and what it can do."""

    name: str
    search: Search
    rate: float
    """Hashes per second, as measured at the start."""

    @classmethod
    def measured(cls, name: str, search: Search) -> Kernel:
        """Return a kernel after a few milliseconds of search for what no hash meets."""
        count = _FIRST_COUNT
        while True:
            before = time.perf_counter()
            search(bytes(76), 0, 0, count)
            seconds = time.perf_counter() - before
            if seconds >= _MEASURE_SECONDS or count >= NONCES:
                return cls(name, search, count / max(seconds, 1e-9))
            count *= 4


def check_header(header_76: bytes) -> None:
    """Raise `ValueError` for what is no header without its nonce."""
    if len(header_76) != 76:
        raise ValueError(f"a header without its nonce has 76 bytes, not {len(header_76)}")
