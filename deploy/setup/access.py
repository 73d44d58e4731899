"""Users, permissions and policies of the deployed Redis and RabbitMQ, with least privilege.

`container_setup` writes them to files, `load_access` has running servers read them. Only the mempool service writes
chain state, only the wallet service sees `wallet:*`, and a miner has no access to Redis: it may only receive templates
and publish solutions and reports.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.bus.rabbit.topology import EXCHANGES, QUEUES
from shared.bus.topics import (
    EXCHANGE,
    FACTS,
    GUESTS,
    MEMPOOL_BLOCKS,
    MEMPOOL_TXS,
    REPLY_EXCHANGE,
    WALLET_INBOX,
    WALLET_NAMES,
    WALLET_REQUESTS,
    WORK,
    Queue,
    Topic,
    is_transient_name,
    outlet,
    transient_name,
)
from shared.durations import DAY

VHOST = "warren"
OPERATOR = "operator"
"""RabbitMQ's administrator: for people, its management plugin, and `load_access`. On Redis: for `./warren backup`."""
TOPOLOGY = "topology"
"""RabbitMQ's user that makes exchanges, durable queues and bindings (`deploy.setup.topology`)."""
ACL_LOADER = "setup"
"""The Redis user by which `load_access` has the ACL file read again."""

REDIS_RULES: Mapping[str, str] = {
    # `[^w]` keeps readers from `wallet:*`, and from the writer's lease.
    "mempool": "~{warren:*}:[^w]* ~{warren:*}:writer* +@all -@admin -@dangerous +info",
    "wallet": "%R~{warren:*}:[^w]* ~{warren:*}:wallet:* +@all -@admin -@dangerous +info",
    "explorer": "%R~{warren:*}:[^w]* +@read +@connection +@transaction +info -@dangerous +info",
}
"""ACL rules of each service's Redis user; `health` may only ping, `setup` only have the ACL file read; nobody can log
in as `default`."""
SENTINEL_RULES: Mapping[str, str] = {
    "replica": "+psync +replconf +ping",
    "sentinel": "allchannels +ping +info +role +slaveof +multi +exec +publish +subscribe +config|rewrite"
    " +client|setname +client|kill +script|kill",
}
"""ACL rules of the users by whom replicas and Sentinels log in at a Redis."""
_ASKS_SENTINEL = "+@connection +sentinel|masters +sentinel|master +sentinel|get-master-addr-by-name +sentinel|replicas"
_NO_NAMES = "-keys -scan -randomkey -dbsize -function -pubsub"
"""Redis checks no key pattern for these: they tell names and numbers of everybody's keys, or concern all users."""
_ALL_USERS: Mapping[str, str] = {
    **{user: f"{rules} {_NO_NAMES}" for user, rules in REDIS_RULES.items()},
    ACL_LOADER: f"+acl|load {_NO_NAMES}",
    OPERATOR: f"~{{warren:*}}:* +@all -@admin -@dangerous +info {_NO_NAMES} +scan",
}


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user of RabbitMQ may do; every user may have transient queues of its own name, and nothing else.

    What it may publish is not said here: bindings let it through (`shared.bus.rabbit.topology`).
    """

    outlet: str
    """The exchange that it publishes to."""
    hears: tuple[Topic, ...] = ()
    """Topics that it may bind its transient queues to."""
    consumes: tuple[Queue, ...] = ()
    asks: bool = False
    """Whether it receives replies."""
    answers: bool = False


RIGHTS: Mapping[str, Rights] = {
    "mempool": Rights(
        outlet("mempool"),
        hears=(Topic.MINER_REPORT,),
        consumes=(MEMPOOL_BLOCKS, MEMPOOL_TXS),
        asks=True,
        answers=True,
    ),
    "wallet": Rights(outlet("wallet"), consumes=(WALLET_INBOX, WALLET_REQUESTS, WALLET_NAMES), asks=True, answers=True),
    "explorer": Rights(outlet("explorer"), hears=FACTS, asks=True),
    "miner": Rights(outlet("miner"), hears=WORK),
}
GUEST = Rights(outlet(GUESTS), hears=(*FACTS, Topic.TX_REJECTED), asks=True)
"""The rights of other people's programs."""

_ANY_NAME = "[a-z][a-z0-9_-]*"

_HELD_TXS = 500_000
"""The most submitted transactions in the queue; more are refused to their publisher."""
_HELD_FACTS = 100_000
"""The most messages in the queue of a slow explorer or miner, which then loses the oldest."""
_HELD_DEAD = 100_000
_TWO_WEEKS_MS = 14 * DAY * 1000


def redis_acl(passwords: Mapping[str, str], former: Mapping[str, str] | None = None) -> str:
    """Return the text of Redis's ACL file, with SHA-256 hashes of the passwords and of `former` ones that hold."""
    # Nobody can log in as `default`. It keeps all rights because Redis runs the transactions of its append-only file
    # as this user when it loads the file, and would drop every one that the user may not run.
    lines = ["user default off resetpass ~* &* +@all", "user health on nopass +ping"]
    for user, rules in {**_ALL_USERS, **SENTINEL_RULES}.items():
        if user in passwords:
            valid = [passwords[user], *([former[user]] if former and user in former else [])]
            lines.append(f"user {user} on {' '.join(map(_digest, valid))} resetchannels {rules}")
    return "\n".join(lines) + "\n"


def sentinel_acl(own: str, asking: str) -> str:
    """Return the text of the Sentinels' ACL file, for the passwords of the Sentinels and of the services."""
    lines = [
        "user default off resetpass",
        "user health on nopass +ping",
        f"user sentinel on {_digest(own)} ~* &* +@all",
    ]
    return "\n".join([*lines, f"user services on {_digest(asking)} resetchannels {_ASKS_SENTINEL}"]) + "\n"


def _digest(password: str) -> str:
    return "#" + hashlib.sha256(password.encode()).hexdigest()


def rabbitmq_definitions(passwords: Mapping[str, str]) -> dict[str, Any]:
    """Return the definitions that RabbitMQ loads at start: virtual host, users and permissions.

    Policies are not among them: these are the operator's to change, and each start would undo that.
    """
    whole = {"user": OPERATOR, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}
    topology = _any_of(*(re.escape(name) for name in (*EXCHANGES, *(queue.name for queue in QUEUES))))
    names = {"user": TOPOLOGY, "vhost": VHOST, "configure": topology, "write": topology, "read": topology}
    definitions = _definitions({user: (passwords[user], rights) for user, rights in RIGHTS.items()})
    definitions["vhosts"] = [{"name": VHOST}]
    definitions["users"].append(_user(OPERATOR, passwords[OPERATOR], "administrator"))
    definitions["users"].append(_user(TOPOLOGY, passwords[TOPOLOGY]))
    definitions["permissions"] += [whole, names]
    return definitions


def guest_definitions(name: str, password: str, rights: Rights = GUEST) -> dict[str, Any]:
    """Return the definitions of a user for another program; `ValueError` unless the name is new and fit for one."""
    if not is_transient_name(transient_name(name)) or name in (*RIGHTS, OPERATOR, TOPOLOGY, "dead", "warren", "amq"):
        raise ValueError(f"{name!r}: up to 32 of a-z, 0-9, '-' and '_', a letter first, and no name of Warren's own")
    return _definitions({name: (password, rights)})


def rabbitmq_policies() -> list[dict[str, Any]]:
    """Return the limits of the queues as they are at first."""
    return [
        # The worker dead-letters a failing message long before; this limit is for one that kills the process.
        _policy("durable", r"^(mempool\.blocks|wallet\.(inbox|requests|names))$", {"delivery-limit": 20}),
        _policy("transactions", r"^mempool\.txs$", {"delivery-limit": 20, "max-length": _HELD_TXS}),
        _policy("transient", _any_of(_own_queues(_ANY_NAME)), {"max-length": _HELD_FACTS}),
        _policy("dead", r"^dead\.[a-z]+$", {"max-length": _HELD_DEAD, "message-ttl": _TWO_WEEKS_MS}),
    ]


def rabbitmq_hash(password: str, salt: bytes) -> str:
    """Return a password as RabbitMQ stores it: base64 of a 4-byte salt and SHA-256 of salt and password."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _definitions(users: Mapping[str, tuple[str, Rights]]) -> dict[str, Any]:
    """Return the definitions of users with their passwords and rights."""
    return {
        "users": [_user(user, password) for user, (password, _) in users.items()],
        "permissions": [_permission(user, rights) for user, (_, rights) in users.items()],
        "topic_permissions": [
            permission for user, (_, rights) in users.items() for permission in _topic_permissions(user, rights)
        ],
    }


def _user(name: str, password: str, tags: str = "") -> dict[str, str]:
    return {
        "name": name,
        "password_hash": rabbitmq_hash(password, os.urandom(4)),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags,
    }


def _permission(user: str, rights: Rights) -> dict[str, str]:
    """Return what a user may do with queues and exchanges: binding needs read on the one and write on the other."""
    own = _own_queues(user)
    write = [rights.outlet]
    write += [REPLY_EXCHANGE] if rights.answers else []
    read = [queue.name for queue in rights.consumes]
    read += [EXCHANGE] if rights.hears else []
    read += [REPLY_EXCHANGE] if rights.asks else []
    return {
        "user": user,
        "vhost": VHOST,
        "configure": _any_of(own),
        "write": _any_of(own, *map(re.escape, write)),
        "read": _any_of(own, *map(re.escape, read)),
    }


def _topic_permissions(user: str, rights: Rights) -> list[dict[str, str]]:
    """Return with which routing keys a user may bind its queues, and send replies.

    A key to bind with must be one of these letter by letter, so that it has no wildcards. On an exchange without an
    entry here all keys are allowed.
    """
    patterns = {
        EXCHANGE: ([], map(re.escape, map(str, rights.hears))),
        REPLY_EXCHANGE: ([_own_queues(_ANY_NAME)] * rights.answers, [_own_queues(user)] * rights.asks),
    }
    return [
        {"user": user, "vhost": VHOST, "exchange": exchange, "write": _any_of(*write), "read": _any_of(*read)}
        for exchange, (write, read) in patterns.items()
    ]


def _own_queues(user: str) -> str:
    return rf"{user}\.[0-9a-f]{{32}}"


def _any_of(*patterns: str) -> str:
    """Return a pattern that matches what one of the patterns matches as a whole; nothing if there are none."""
    return f"^({'|'.join(patterns)})$" if patterns else "^(?!)"


def _policy(name: str, pattern: str, definition: Mapping[str, int]) -> dict[str, Any]:
    return {
        "name": name,
        "vhost": VHOST,
        "pattern": pattern,
        "apply-to": "queues",
        "priority": 0,
        "definition": dict(definition),
    }
