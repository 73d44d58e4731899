"""Runs once before the other containers of compose.yaml: makes passwords, and gives each service its own alone.

It runs as root, without network, on volumes only. Passwords are made at the first start and kept; ACL and
definitions are written at each start, so that an update of the rules takes effect (`load_access`).

    /run/warren/passwords/…                 readable by root
    /run/warren/{redis,rabbitmq}/…          hashes, and what the servers of a cluster share
    /run/warren/{mempool,wallet,…}/…-url    each readable by the user of one service
    /run/warren/access/…                    for `load_access`
    /run/warren/operator/…-url              readable by root
    /run/warren/sentinel/…                  of a cluster: for its Sentinels

`RABBITMQ_HOSTS` and `SENTINEL_HOSTS` are a cluster's hosts, with commas between them (compose.cluster.yaml).

`--new-passwords` begins a change of all passwords but those by which servers know each other: Redis takes the former
ones too until `--forget-former` ends it. RabbitMQ has one password for each user; connections that are open stay so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deploy.files import kept_secret, make_private_dir, write_atomically
from deploy.setup.access import (
    ACL_LOADER,
    OPERATOR,
    REDIS_RULES,
    SENTINEL_RULES,
    VHOST,
    rabbitmq_definitions,
    redis_acl,
    sentinel_acl,
)

_FORMER = ".former"
_AMONG_SERVERS = ".servers"
"""End of the names of files with passwords by which servers know each other: these stay."""
SERVER_UID = 999
"""Uid of both servers in their official images."""
SERVICE_UIDS = {"mempool": 10001, "wallet": 10002, "explorer": 10003, "miner": 10004, "topology": 10006}
"""Service → uid, as in compose.yaml."""
LOADER_UID = 10005
"""Uid of the container `access`."""
_DATA = {"mempool": Path("/data/node"), "wallet": Path("/data/wallet")}


def main(arguments: Sequence[str], root: Path = Path("/run/warren"), environ: Mapping[str, str] = os.environ) -> int:
    """Write everything below `root`, and hand the data volumes to their services."""
    parser = argparse.ArgumentParser(prog="container_setup")
    parser.add_argument("--new-passwords", action="store_true")
    parser.add_argument("--forget-former", action="store_true")
    options = parser.parse_args(arguments)
    passwords = Passwords(root / "passwords")
    if options.new_passwords:
        passwords.renew()
    if options.forget_former:
        passwords.forget_former()
    brokers = environ.get("RABBITMQ_HOSTS", "rabbitmq").split(",")
    sentinels = [host for host in environ.get("SENTINEL_HOSTS", "").split(",") if host]
    redis = passwords.of("redis", [*REDIS_RULES, ACL_LOADER, OPERATOR, *(SENTINEL_RULES if sentinels else ())])
    rabbitmq = passwords.of("rabbitmq", [*SERVICE_UIDS, OPERATOR])
    definitions = json.dumps(rabbitmq_definitions(rabbitmq), indent=2)
    _give(root / "redis" / "users.acl", redis_acl(redis, passwords.former("redis", redis)), SERVER_UID)
    _give(root / "rabbitmq" / "definitions.json", definitions, SERVER_UID)
    _give(root / "access" / "definitions.json", definitions, LOADER_UID)
    logins = {
        "redis": [redis[ACL_LOADER], *passwords.former("redis", [ACL_LOADER]).values()],
        "rabbitmq": [rabbitmq[OPERATOR], *passwords.former("rabbitmq", [OPERATOR]).values()],
    }
    _give(root / "access" / "passwords.json", json.dumps(logins), LOADER_UID)
    _give(root / "rabbitmq" / "erlang-cookie", kept_secret(root / "passwords" / f"erlang{_AMONG_SERVERS}"), SERVER_UID)
    store = "redis:6379/0"
    if sentinels:
        asking = kept_secret(root / "passwords" / f"sentinel-services{_AMONG_SERVERS}")
        own = kept_secret(root / "passwords" / f"sentinel-sentinel{_AMONG_SERVERS}")
        for path, text in _sentinel_files(redis, own, asking).items():
            _give(root / path, text, SERVER_UID)
        store = f"{_addresses(sentinels, 26379)}/primary/0?sentinel_username=services&sentinel_password={asking}"
    scheme = "redis+sentinel" if sentinels else "redis"
    for service, uid in {**SERVICE_UIDS, OPERATOR: 0}.items():
        login = f"{service}:{rabbitmq[service]}"
        _give(root / service / "amqp-url", f"amqp://{login}@{_addresses(brokers, 5672)}/{VHOST}\n", uid)
        if service in redis:
            _give(root / service / "redis-url", f"{scheme}://{service}:{redis[service]}@{store}\n", uid)
    for service, directory in _DATA.items():
        if directory.is_dir() and directory.stat().st_uid != SERVICE_UIDS[service]:
            directory.chmod(0o700)
            os.chown(directory, SERVICE_UIDS[service], SERVICE_UIDS[service])
    return 0


def _addresses(hosts: Iterable[str], port: int) -> str:
    return ",".join(f"{host}:{port}" for host in hosts)


def _sentinel_files(redis: Mapping[str, str], own: str, asking: str) -> dict[str, str]:
    """Return path → text of the files by which a cluster's Redis servers and Sentinels know each other."""
    logins = {
        "sentinel auth-user primary": "sentinel",
        "sentinel auth-pass primary": redis["sentinel"],
        "sentinel sentinel-user": "sentinel",
        "sentinel sentinel-pass": own,
    }
    return {
        "redis/replication.conf": f"masteruser replica\nmasterauth {redis['replica']}\n",
        "sentinel/users.acl": sentinel_acl(own, asking),
        "sentinel/logins.conf": "".join(f"{option} {value}\n" for option, value in logins.items()),
    }


class Passwords:
    """The passwords of all users, each in a file that root alone may read; and while they change, the former ones."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_private_dir(directory)

    def of(self, server: str, users: Sequence[str]) -> dict[str, str]:
        """Return user → password for a server; a missing one is made."""
        return {user: kept_secret(self._path(server, user)) for user in users}

    def former(self, server: str, users: Iterable[str]) -> dict[str, str]:
        """Return user → former password, of users who have one."""
        paths = {user: self._path(server, user).with_suffix(_FORMER) for user in users}
        return {user: path.read_text(encoding="utf-8").strip() for user, path in paths.items() if path.exists()}

    def renew(self) -> None:
        """Put away every password, so that it is made anew; not those of a change that has not ended yet."""
        for path in [path for path in self._directory.iterdir() if not path.suffix]:
            if not path.with_suffix(_FORMER).exists():
                path.rename(path.with_suffix(_FORMER))

    def forget_former(self) -> None:
        """Remove the former passwords."""
        for path in self._directory.glob(f"*{_FORMER}"):
            path.unlink()

    def _path(self, server: str, user: str) -> Path:
        kind = _AMONG_SERVERS if server == "redis" and user in SENTINEL_RULES else ""
        return self._directory / f"{server}-{user}{kind}"


def _give(path: Path, text: str, uid: int) -> None:
    """Write a file that only this user can read, if root does it (who stays the owner of the directory)."""
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o755)  # whatever the umask
    write_atomically(path, text, owner=uid if os.geteuid() == 0 else None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
