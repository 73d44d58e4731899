"""`./warren up` with a user of its own for each process, as compose.yaml has it: `python -m tests.e2e.own_users up …`.

The option `--amqp-url` names the user `topology`, `--redis-url` the user `mempool`; their passwords tell the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deploy import command_line
from deploy.console import Console
from deploy.files import write_atomically
from deploy.launcher import plan
from deploy.launcher.local import Stack
from deploy.launcher.options import UpOptions, up_options
from deploy.launcher.preflight import preflight
from deploy.processes.supervisor import Spec
from shared.config import load


def password_of(user: str) -> str:
    return f"password-of-{user}"


def as_user(url: str, user: str) -> str:
    """Return the URL with another user."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{user}:{password_of(user)}@{rest.partition('@')[2]}"


def services(
    options: UpOptions, ports: Mapping[str, int], secrets: plan.Secrets, environment: Mapping[str, str]
) -> list[Spec]:
    folder = options.chain_dir / "secrets"
    return [with_own_user(spec, folder) for spec in plan.services(options, ports, secrets, environment)]


def with_own_user(spec: Spec, folder: Path) -> Spec:
    user = spec.argv[-1].rpartition(".")[2]
    environment = dict(spec.environment)
    for variable in ("WARREN_AMQP_URL_FILE", "WARREN_REDIS_URL_FILE"):
        if variable in environment:
            url = Path(environment[variable]).read_text(encoding="utf-8").strip()
            path = folder / f"{user}-{variable.lower()}"
            write_atomically(path, as_user(url, user) + "\n")
            environment[variable] = str(path)
    return replace(spec, environment=environment)


def main(arguments: list[str]) -> int:
    asked = up_options(command_line.parse(arguments, os.environ), load(os.environ))
    preflight(asked)
    return Stack(asked, Console(sys.stdout), services).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
