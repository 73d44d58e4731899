"""Runs once whenever the containers start, beside running servers: has them read users and permissions again.

Redis loads its ACL file, RabbitMQ the definitions, both written by `container_setup`. So a new version's rules and new
passwords take effect without a restart of a server. Policies are made where one is missing, and stay as the operator
has changed them.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from deploy.setup.access import ACL_LOADER, OPERATOR, VHOST, rabbitmq_policies

_TIMEOUT = 20.0
_MANAGEMENT_PORT = 15672


class AccessProblem(Exception):
    """A server did not take the new rules; the message says which and why."""


class ServerAway(AccessProblem):
    """A server does not answer; it reads the rules when it starts."""


class ManagementApi:
    """RabbitMQ's HTTP API on one node."""

    def __init__(self, host: str, passwords: Sequence[str], port: int = _MANAGEMENT_PORT) -> None:
        """Take the passwords that the user `operator` may have, the likeliest first."""
        self._host, self._port = host, port
        self._passwords = list(passwords)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the decoded answer, None if it is empty; raises `AccessProblem`."""
        for password in self._passwords:
            status, answer = self._send(method, path, body, password)
            if status != http.client.UNAUTHORIZED:
                break
        if status >= http.client.BAD_REQUEST:
            raise AccessProblem(f"RabbitMQ at {self._host} answers {status} to {method} {path}: {answer[:500]!r}")
        return json.loads(answer) if answer else None

    def _send(self, method: str, path: str, body: object, password: str) -> tuple[int, bytes]:
        login = b64encode(f"{OPERATOR}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServerAway(f"RabbitMQ's management at {self._host}:{self._port}: {error}") from None
        finally:
            connection.close()


def load_rabbitmq(api: ManagementApi, definitions: object) -> None:
    """Import users and permissions, and make the missing policies."""
    api.ask("POST", "/api/definitions", definitions)
    make_policies(api)


def make_policies(api: ManagementApi) -> None:
    """Make each policy that is missing.

    One that is there keeps its limits and priority, which are the operator's; the pattern of its queues is ours.
    """
    present = {policy["name"]: policy for policy in api.ask("GET", f"/api/policies/{VHOST}")}
    for policy in rabbitmq_policies():
        known = present.get(policy["name"], {})
        if known.get("pattern") != policy["pattern"]:
            kept = {key: known[key] for key in ("definition", "priority") if key in known}
            api.ask("PUT", f"/api/policies/{VHOST}/{quote(policy['name'], safe='')}", {**policy, **kept})


def load_redis(host: str, passwords: Sequence[str], port: int = 6379) -> None:
    """Have a Redis read its ACL file again; the user has one of the passwords."""
    for password in passwords:
        with redis.Redis(host, port, username=ACL_LOADER, password=password, socket_timeout=_TIMEOUT) as client:
            try:
                client.execute_command("ACL LOAD")
            except redis.AuthenticationError:
                continue
            except (redis.ConnectionError, redis.TimeoutError) as error:
                raise ServerAway(f"Redis at {host}: {error}") from None
            except redis.RedisError as error:
                raise AccessProblem(f"Redis at {host}: {error}") from None
            return
    raise AccessProblem(f"Redis at {host} does not know the user {ACL_LOADER}: restart it once")


def _reached(load: Callable[..., None], *arguments: Any) -> bool:
    """Load; tell whether the server was there."""
    try:
        load(*arguments)
    except ServerAway as problem:
        print(f"warren: {problem}", file=sys.stderr)
        return False
    return True


def main(root: Path = Path("/run/warren/access"), environ: Mapping[str, str] = os.environ) -> int:
    """Load everything into the servers; return the exit status: a cluster may lack some of its hosts.

    Each Redis (`REDIS_HOSTS`) has an ACL file of its own; the nodes of RabbitMQ (`RABBITMQ_HOSTS`) share everything.
    """
    passwords: Mapping[str, list[str]] = json.loads((root / "passwords.json").read_text(encoding="utf-8"))
    definitions = json.loads((root / "definitions.json").read_text(encoding="utf-8"))
    try:
        servers = environ.get("REDIS_HOSTS", "redis").split(",")
        loaded = [host for host in servers if _reached(load_redis, host, passwords["redis"])]
        nodes = [
            ManagementApi(host, passwords["rabbitmq"]) for host in environ.get("RABBITMQ_HOSTS", "rabbitmq").split(",")
        ]
        return 0 if loaded and any(_reached(load_rabbitmq, node, definitions) for node in nodes) else 1
    except AccessProblem as problem:
        print(f"warren: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
