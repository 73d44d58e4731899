"""`python -m tests.chaos --minutes 2 --shape embedded --seed 1`: load and faults, then an audit."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ["WARREN_TEST_SERVERS"] = "native"  # a fault needs their processes

from deploy.errors import LaunchError
from tests import inherited
from tests.chaos.audit import failed
from tests.chaos.plan import KINDS, lines, plan
from tests.chaos.report import report
from tests.chaos.run import Refused, run
from tests.chaos.stack.shapes import SHAPES
from tests.servers import NoServer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, metavar="N", help="of load; default: 1")
    parser.add_argument("--shape", choices=KINDS, default="embedded", help="default: embedded")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="decides which faults strike; default: 1")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="of faults: 'kill *'")
    parser.add_argument("--list", action="store_true", help="show the plan, do nothing")
    parser.add_argument("--keep", action="store_true", help="keep ledger, logs and data; they are kept after a failure")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    seconds = 60 * arguments.minutes
    try:
        faults = plan(arguments.shape, arguments.seed, seconds, arguments.only)
    except ValueError as error:
        sys.exit(str(error))
    print(f"{arguments.shape}, seed {arguments.seed}, {seconds:.0f} s:", *lines(faults), sep="\n", flush=True)
    if arguments.list:
        return 0
    inherited.shed()
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="warren-chaos-"))

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    is_kept = True
    try:
        entries, checks = run(SHAPES[arguments.shape](folder), faults, seconds, folder, say)
        print("", *report(entries, checks), sep="\n", flush=True)
        is_kept = failed(checks) or arguments.keep
        return 1 if failed(checks) else 0
    except (LaunchError, NoServer, Refused) as error:
        sys.exit(f"nothing was tried: {error}")
    finally:
        if is_kept:
            print(f"ledger, logs and data: {folder}", flush=True)
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored in what a shell puts into the background
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted; the stack is stopped")
