"""Hash rate of the mining kernel beside a plain hashlib loop: `python -m tests.benchmarks.bench_miner`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from services.miner.kernels.hashlib_kernel import search

_HEADER = bytes(range(76))
_COUNT = 300_000
_ROUNDS = 3


def plain(header_76: bytes, target: int, start_nonce: int, count: int) -> int | None:
    """The simplest search, in plain Python."""
    for nonce in range(start_nonce, start_nonce + count):
        digest = hashlib.sha256(hashlib.sha256(header_76 + nonce.to_bytes(4, "little")).digest()).digest()
        if int.from_bytes(digest, "little") <= target:
            return nonce
    return None


def rate(kernel: Callable[[bytes, int, int, int], int | None]) -> float:
    """Best of some rounds, in millions of hashes per second, on a target that no hash meets."""
    best = 0.0
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        assert kernel(_HEADER, 1, 0, _COUNT) is None
        best = max(best, _COUNT / (time.perf_counter() - started) / 1e6)
    return best


def main() -> None:
    base = rate(plain)
    ours = rate(search)
    print(f"{'plain hashlib loop':24} {base:8.3f} MH/s")
    print(f"{'kernel':24} {ours:8.3f} MH/s   {ours / base:.2f} x")


if __name__ == "__main__":
    main()
