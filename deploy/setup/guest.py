"""Prints the definitions of a RabbitMQ user for another program: `python -m deploy.setup.guest NAME < PASSWORD`.

The user may hear facts, submit transactions and receive the verdicts (`access.GUEST`). `rabbitmqctl import_definitions`
reads what this prints, and leaves everything else as it is.
"""

from __future__ import annotations

import json
import sys

from deploy.setup.access import guest_definitions


def main(arguments: list[str]) -> int:
    """Print the definitions; the password comes from standard input, so that no list of processes shows it."""
    password = sys.stdin.readline().strip()
    if len(arguments) != 1 or not password:
        print("usage: python -m deploy.setup.guest NAME < FILE-WITH-THE-PASSWORD", file=sys.stderr)
        return 2
    try:
        print(json.dumps(guest_definitions(arguments[0], password), indent=2))
    except ValueError as error:
        print(f"guest: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
