"""`python -m tests.mutation --sample 60 --seed 1`: the changes that no test notices."""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if "WARREN_TEST_SERVERS" not in os.environ and shutil.which("redis-server") and shutil.which("rabbitmq-server"):
    os.environ["WARREN_TEST_SERVERS"] = "native"  # up at once, where containers take seconds

from tests.mutation import nearest, sources
from tests.mutation.mutant import Mutant
from tests.mutation.trials import Copy, Outcome, Stopped, Trial

TEST_SECONDS = 60.0
"""How much testing a change gets, by the times that the tests take by themselves."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, metavar="N", help="try N changes, of each kind alike; default: all")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="draws the sample; default: 1")
    parser.add_argument("--only", action="append", default=[], metavar="PATH[:LINE]", help="a folder, file or line")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many at a time")
    parser.add_argument("--tree", type=Path, default=sources.ROOT, metavar="PATH", help="default: this one")
    parser.add_argument("--list", action="store_true", help="show the changes, try none")
    parser.add_argument("--fresh", action="store_true", help="measure again which tests run which lines")
    return parser.parse_args()


def _drawn(arguments: argparse.Namespace) -> list[Mutant]:
    paths = sources.paths(arguments.tree, [place.partition(":")[0] for place in arguments.only])
    if not paths:
        sys.exit(f"no module of those that are changed is in {' '.join(arguments.only)}")
    texts = {path: (arguments.tree / path).read_bytes() for path in paths}
    found = [mutant for path, text in texts.items() for mutant in sources.mutants(path, text)]
    if lines := [place for place in arguments.only if ":" in place]:
        found = [mutant for mutant in found if f"{mutant.path}:{mutant.line}" in lines]
    return found if arguments.sample is None else sources.sample(found, texts, arguments.sample, arguments.seed)


def _measure(arguments: argparse.Namespace) -> None:
    files = nearest.asked_files(arguments.tree) if arguments.fresh else nearest.stale(arguments.tree)
    if files:
        nearest.trace(files, nearest.base_environment(), arguments.jobs, arguments.tree)


def _trials(tree: Path, mutants: Sequence[Mutant], jobs: int) -> Iterator[Trial]:
    """Try changes, several at a time; yields each as it is done."""
    known, reviewed = nearest.Nearest(tree), sources.Reviewed.load()
    stop = threading.Event()
    copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()

    def trial(mutant: Mutant) -> Trial:
        if why := reviewed.why(mutant, (tree / mutant.path).read_bytes()):
            return Trial(mutant, Outcome.EQUIVALENT, remark=why)
        if stop.is_set():
            raise Stopped
        copy = copies.get()
        try:
            return copy.try_change(mutant, nearest.within(*known.tests(mutant), TEST_SECONDS))
        finally:
            copies.put(copy)

    with contextlib.ExitStack() as stack:
        for _ in range(min(jobs, len(mutants))):
            copies.put(stack.enter_context(Copy(tree, stop)))
        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        stack.callback(stop.set)  # before the pool is waited for
        yield from pool.map(trial, mutants)


def _shown(tree: Path, mutant: Mutant) -> str:
    return f"{mutant.path}:{mutant.line}: {mutant.operator}\n{mutant.diff((tree / mutant.path).read_bytes())}"


def _report(tree: Path, trials: Sequence[Trial], seconds: float) -> None:
    for trial in trials:
        if trial.outcome in (Outcome.UNNOTICED, Outcome.UNKNOWN):
            files = Counter(test.file for test in trial.tests)
            print(f"\n{_shown(tree, trial.mutant)}")
            print(f"  {trial.remark or f'{len(trial.tests)} tests ran:'}")
            print("".join(f"  {name} ({count})\n" for name, count in files.items()), end="")
    count = Counter(trial.outcome for trial in trials)
    tried = count[Outcome.NOTICED] + count[Outcome.UNNOTICED]
    share = f" ({100 * count[Outcome.NOTICED] / tried:.1f} %)" if tried else ""
    print(
        f"\n{len(trials)} changes made in {seconds / 60:.1f} minutes: {count[Outcome.EQUIVALENT]} change nothing, "
        f"{count[Outcome.NOTICED]} of {tried}{share} noticed, {count[Outcome.UNNOTICED]} unnoticed"
        + (f", {count[Outcome.UNKNOWN]} could not be tried" if count[Outcome.UNKNOWN] else "")
    )


def main() -> int:
    arguments = _arguments()
    mutants = _drawn(arguments)
    if arguments.list:
        for mutant in mutants:
            print(_shown(arguments.tree, mutant))
        print(f"{len(mutants)} changes")
        return 0
    _measure(arguments)
    started = time.monotonic()
    trials = []
    for trial in _trials(arguments.tree, mutants, arguments.jobs):
        trials.append(trial)
        place = f"{trial.mutant.path}:{trial.mutant.line}"
        print(
            f"{len(trials):3}/{len(mutants)} {trial.outcome:9} {trial.seconds:5.1f} s  {place}: "
            f"{trial.mutant.operator}  {trial.remark}",
            flush=True,
        )
    _report(arguments.tree, trials, time.monotonic() - started)
    return 1 if any(trial.outcome in (Outcome.UNNOTICED, Outcome.UNKNOWN) for trial in trials) else 0


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored in what a shell puts into the background
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; the tree is as it was")
