"""Prints the secrets of deploy/kubernetes as JSON for `kubectl`: passwords, and the files that contain them.

    python -m deploy.setup.kubernetes_secrets | kubectl create -n warren -f -

They are made as those of the containers are (`container_setup`). To write them anew with an upgrade's permissions:

    kubectl -n warren get secret warren-passwords -o json |
        python -m deploy.setup.kubernetes_secrets --keep | kubectl apply -n warren -f -
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.files import kept_secret, make_private_dir
from deploy.setup import container_setup

REDIS_HOSTS = "redis-0.redis,redis-1.redis,redis-2.redis"
SENTINEL_HOSTS = "sentinel-0.sentinel,sentinel-1.sentinel,sentinel-2.sentinel"
RABBITMQ_HOSTS = "rabbitmq-0.rabbitmq,rabbitmq-1.rabbitmq,rabbitmq-2.rabbitmq"
_PASSWORDS = "passwords"
_OF_PEOPLE = {"rpc": "password", "creator": "creator-password"}
"""Secret → its file with one password: of the node's port, and of the wallet `creator`."""


def make(root: Path, former: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a list of secrets, made in the folder `root`; with the passwords of the secret `former`, if given."""
    make_private_dir(root / _PASSWORDS)
    for name, value in (former or {}).get("data", {}).items():
        (root / _PASSWORDS / Path(name).name).write_bytes(base64.b64decode(value))
    hosts = {"RABBITMQ_HOSTS": RABBITMQ_HOSTS, "SENTINEL_HOSTS": SENTINEL_HOSTS, "REDIS_HOSTS": REDIS_HOSTS}
    container_setup.main([], root, hosts)
    found = {name: {file: kept_secret(root / _PASSWORDS / f"{name}.kept")} for name, file in _OF_PEOPLE.items()}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        found[folder.name] = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}
    return {"apiVersion": "v1", "kind": "List", "items": [_secret(*item) for item in found.items()]}


def _secret(name: str, files: Mapping[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"warren-{name}"}, "stringData": dict(files)}


def main(arguments: Sequence[str]) -> int:
    """Print the secrets; return the exit status."""
    parser = argparse.ArgumentParser(prog="kubernetes_secrets")
    parser.add_argument("--keep", action="store_true", help="keep the passwords of the secret on standard input")
    former = json.load(sys.stdin) if parser.parse_args(arguments).keep else None
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(make(Path(folder), former), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
