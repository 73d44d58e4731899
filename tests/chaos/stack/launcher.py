"""`./warren up`, with services that keep temporary files in a folder of their own, and may reach the store by a proxy.

Run as `python -m tests.chaos.stack.launcher FOLDER PORT up ...`; a PORT of 0 means no proxy.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from deploy import command_line
from deploy.console import Console
from deploy.files import write_atomically
from deploy.launcher import plan
from deploy.launcher.local import Stack
from deploy.launcher.options import UpOptions, up_options
from deploy.launcher.preflight import preflight
from deploy.processes.supervisor import Spec
from shared.config import load
from shared.errors import WarrenError


def main(folder: str, port: int, arguments: list[str]) -> int:
    def services(
        options: UpOptions, ports: Mapping[str, int], secrets: plan.Secrets, environment: Mapping[str, str]
    ) -> list[Spec]:
        if port:
            secrets = dataclasses.replace(secrets, redis_url=_by_proxy(secrets.redis_url, port))
        return plan.services(options, ports, secrets, {**environment, "TMPDIR": folder})

    asked = up_options(command_line.parse(arguments, os.environ), load(os.environ))
    preflight(asked)
    return Stack(asked, Console(sys.stdout), services).run()


def _by_proxy(url_file: Path, port: int) -> Path:
    """Return a file with the URL of the proxy before the server whose URL is in `url_file`."""
    url = url_file.read_text(encoding="utf-8").strip()
    path = url_file.with_name("redis-url-by-proxy")
    write_atomically(path, url.replace(f":{urlsplit(url).port}/", f":{port}/") + "\n")
    return path


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
    except WarrenError as error:
        print(f"warren: {error}", flush=True)
        sys.exit(1)
