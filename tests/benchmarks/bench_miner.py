"""Rates of the kernels, what two workers do, how soon work is interrupted: `python -m tests.benchmarks.bench_miner`.

Rates are by processor time, so that a busy machine does not change them. What two workers do together is shown by the
clock as well, which says something on a quiet machine with two processors only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import multiprocessing
import threading
import time
from multiprocessing.synchronize import Barrier

from services.miner.grind import Grinder
from services.miner.job import Job
from services.miner.kernels import hashlib_kernel
from services.miner.kernels.kernel import Kernel, Search
from shared.process.shutdown import ExitFlag
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.miner.test_job import template

_HEADER = bytes(range(76))
_ROUNDS = 5
_SECONDS = 3.0
_TEMPLATES = 60


def plain(header_76: bytes, target: int, start_nonce: int, count: int) -> int | None:
    """The simplest search, in plain Python."""
    for nonce in range(start_nonce, start_nonce + count):
        digest = hashlib.sha256(hashlib.sha256(header_76 + nonce.to_bytes(4, "little")).digest()).digest()
        if int.from_bytes(digest, "little") <= target:
            return nonce
    return None


def rate(search: Search, count: int) -> float:
    """Best of some rounds, in millions of hashes per second of processor time, on a target that no hash meets."""
    best = 0.0
    for _ in range(_ROUNDS):
        started = time.thread_time()
        assert search(_HEADER, 0, 0, count) is None
        best = max(best, count / (time.thread_time() - started) / 1e6)
    return best


def compiled() -> tuple[Search, float]:
    """The compiled kernel, and the processor time that it took to make."""
    from services.miner.kernels.llvm_kernel import LlvmSearch

    started = time.process_time()
    search = LlvmSearch()
    return search, time.process_time() - started


def _work(ready: Barrier, results: multiprocessing.queues.Queue[tuple[float, float]]) -> None:
    search, _ = compiled()
    ready.wait()
    started, used, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < _SECONDS:
        search(_HEADER, 0, done % (1 << 32), 1_000_000)
        done += 1_000_000
    results.put((done / (time.perf_counter() - started), done / (time.process_time() - used)))


def together(workers: int) -> tuple[float, float]:
    """Hashes per second of so many processes at once: by the clock, and by the processor time of each."""
    ready = multiprocessing.Barrier(workers)
    results: multiprocessing.queues.Queue[tuple[float, float]] = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=_work, args=(ready, results)) for _ in range(workers)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    return sum(by_clock for by_clock, _ in found), sum(by_processor for _, by_processor in found)


def interruptions(name: str, search: Search) -> list[float]:
    """Seconds from a new template to the first search for it, in rising order."""
    started: dict[str, float] = {}

    def noted(header_76: bytes, target: int, start: int, count: int) -> int | None:
        started.setdefault(header_76[4:36].hex(), time.perf_counter())
        return search(header_76, 0, start, count)

    stop = ExitFlag()
    grinder = Grinder(FakeBroker(), "bench", stop, Kernel.measured(name, noted))
    thread = threading.Thread(target=grinder.run)
    thread.start()
    waits = []
    for number in range(_TEMPLATES):
        previous = f"{number:064x}"
        job = Job.from_template(template(id=previous, previous_hash=previous))
        time.sleep(0.05 + number * 0.0007)  # the next one comes at another place of a slice
        offered = time.perf_counter()
        grinder.offer(job)
        while (wire := job.previous_hash.hex()) not in started:
            time.sleep(0.0005)
        waits.append(started[wire] - offered)
    stop.set()
    grinder.wake()
    thread.join()
    return sorted(waits[1:])


def main() -> None:
    base = rate(plain, 300_000)
    print(f"{'plain hashlib loop':24} {base:8.3f} MH/s")
    ours = rate(hashlib_kernel.search, 300_000)
    print(f"{'kernel hashlib':24} {ours:8.3f} MH/s   {ours / base:.2f} x")
    if importlib.util.find_spec("llvmlite") is None:
        return
    search, seconds = compiled()
    for name, kernel in (("hashlib", hashlib_kernel.search), ("llvm", search)):
        waits = interruptions(name, kernel)
        middle, last = waits[len(waits) // 2] * 1e3, waits[-1] * 1e3
        print(f"{f'template interrupts {name}':28} {middle:6.1f} ms median {last:6.1f} ms at most, of {len(waits)}")
    fast = rate(search, 10_000_000)
    print(f"{'kernel llvm':24} {fast:8.3f} MH/s   {fast / ours:.2f} x hashlib; {seconds:.2f} s to compile")
    one, two = (list(map(max, zip(*(together(workers) for _ in range(3)), strict=True))) for workers in (1, 2))
    for way, alone, both in zip(("by the clock", "by processor time"), one, two, strict=True):
        print(f"1 and 2 workers {alone / 1e6:17.3f} {both / 1e6:8.3f} MH/s {way}   {both / alone:.2f} x")


if __name__ == "__main__":
    main()
