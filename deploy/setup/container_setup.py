"""Runs once before the other containers of compose.yaml: makes passwords, and gives each service its own alone.

It runs as root, without network, on volumes only. Passwords are made at the first start and kept; ACL and
definitions are written at each start, so that an update of the rules takes effect.

    /run/warren/passwords/…                 readable by root
    /run/warren/{redis,rabbitmq}/…          hashes only
    /run/warren/{mempool,wallet,…}/…-url    each readable by the user of one service
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from deploy.files import kept_secret, make_private_dir, write_atomically
from deploy.setup.access import REDIS_RULES, VHOST, rabbitmq_definitions, redis_acl

SERVER_UID = 999
"""Uid of both servers in their official images."""
SERVICE_UIDS = {"mempool": 10001, "wallet": 10002, "explorer": 10003, "miner": 10004}
"""Service → uid, as in compose.yaml."""
_DATA = {"mempool": Path("/data/node"), "wallet": Path("/data/wallet")}


def main(root: Path = Path("/run/warren")) -> int:
    """Write everything below `root`, and hand the data volumes to their services."""
    make_private_dir(root / "passwords")
    redis = {user: kept_secret(root / "passwords" / f"redis-{user}") for user in REDIS_RULES}
    rabbitmq = {user: kept_secret(root / "passwords" / f"rabbitmq-{user}") for user in SERVICE_UIDS}
    _give(root / "redis" / "users.acl", redis_acl(redis), SERVER_UID)
    _give(root / "rabbitmq" / "definitions.json", json.dumps(rabbitmq_definitions(rabbitmq), indent=2), SERVER_UID)
    for service, uid in SERVICE_UIDS.items():
        _give(root / service / "amqp-url", f"amqp://{service}:{rabbitmq[service]}@rabbitmq:5672/{VHOST}\n", uid)
        if service in redis:
            _give(root / service / "redis-url", f"redis://{service}:{redis[service]}@redis:6379/0\n", uid)
    for service, directory in _DATA.items():
        if directory.is_dir() and directory.stat().st_uid != SERVICE_UIDS[service]:
            directory.chmod(0o700)
            os.chown(directory, SERVICE_UIDS[service], SERVICE_UIDS[service])
    return 0


def _give(path: Path, text: str, uid: int) -> None:
    """Write a file that only this user can read (root stays the owner of the directory)."""
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o755)  # whatever the umask
    write_atomically(path, text, owner=uid)


if __name__ == "__main__":
    sys.exit(main())
