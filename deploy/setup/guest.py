"""Prints the definitions of a RabbitMQ user for another program: `python -m deploy.setup.guest NAME < PASSWORD`.

The user may hear facts, submit transactions and receive the verdicts (`access.GUEST`). With `--miner` it may do what
`./warren miner` needs instead, and nothing else: hear templates, publish blocks and reports. `rabbitmqctl
import_definitions` reads what this prints, and leaves everything else as it is.
"""

from __future__ import annotations

import json
import sys

from deploy.setup.access import GUEST, RIGHTS, guest_definitions


def main(arguments: list[str]) -> int:
    """Print the definitions; the password comes from standard input, so that no list of processes shows it."""
    password = sys.stdin.readline().strip()
    name, *options = arguments or [""]
    if not name or options not in ([], ["--miner"]) or not password:
        print("usage: python -m deploy.setup.guest NAME [--miner] < FILE-WITH-THE-PASSWORD", file=sys.stderr)
        return 2
    try:
        print(json.dumps(guest_definitions(name, password, RIGHTS["miner"] if options else GUEST), indent=2))
    except ValueError as error:
        print(f"guest: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
