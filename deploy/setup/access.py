"""Users, permissions and policies of the deployed Redis and RabbitMQ, with least privilege.

`container_setup` writes them to files, `load_access` has running servers read them. Only the mempool service writes
chain state, only the wallet service sees `wallet:*`, and a miner has no access to Redis: it may only receive templates
and publish solutions.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any

from shared.bus.topics import (
    DEAD_LETTER_EXCHANGE,
    EXCHANGE,
    MEMPOOL_BLOCKS,
    MEMPOOL_TXS,
    WALLET_INBOX,
    WALLET_NAMES,
    WALLET_REQUESTS,
    Topic,
)
from shared.durations import DAY

VHOST = "warren"
OPERATOR = "operator"
"""RabbitMQ's administrator: for people, its management plugin, and `load_access`."""
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

_MAY_PUBLISH: Mapping[str, tuple[Topic, ...]] = {
    "mempool": tuple(Topic),
    "wallet": (Topic.TX_SUBMITTED, Topic.MINE_REQUESTED),
    "explorer": (
        Topic.TX_SUBMITTED,
        Topic.MINE_REQUESTED,
        Topic.TEMPLATE_REQUESTED,
        Topic.COINS_REQUESTED,
        Topic.ADDRESS_REQUESTED,
        Topic.WALLETS_REQUESTED,
    ),
    "miner": (Topic.BLOCK_MINED,),
}
_QUEUES: Mapping[str, str] = {
    "mempool": f"{re.escape(MEMPOOL_BLOCKS.name)}|{re.escape(MEMPOOL_TXS.name)}",
    "wallet": "|".join(re.escape(queue.name) for queue in (WALLET_INBOX, WALLET_REQUESTS, WALLET_NAMES)),
    "explorer": r"explorer\..*",
    "miner": r"miner\..*",
}
_ANSWERS = ("mempool", "wallet")
"""Users that reply to requests."""

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
    for user, rules in {**REDIS_RULES, ACL_LOADER: "+acl|load"}.items():
        valid = [passwords[user], *([former[user]] if former and user in former else [])]
        digests = " ".join("#" + hashlib.sha256(password.encode()).hexdigest() for password in valid)
        lines.append(f"user {user} on {digests} resetchannels {rules}")
    return "\n".join(lines) + "\n"


def rabbitmq_definitions(passwords: Mapping[str, str]) -> dict[str, Any]:
    """Return the definitions that RabbitMQ loads at start: virtual host, users and permissions.

    Policies are not among them: these are the operator's to change, and each start would undo that.
    """
    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            {
                "name": user,
                "password_hash": rabbitmq_hash(passwords[user], os.urandom(4)),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "administrator" if user == OPERATOR else "",
            }
            for user in (OPERATOR, *_QUEUES)
        ],
        "permissions": [
            {"user": OPERATOR, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"},
            *(_permission(user) for user in _QUEUES),
        ],
        "topic_permissions": [
            {
                "user": user,
                "vhost": VHOST,
                "exchange": EXCHANGE,
                "write": _any_of(*(re.escape(topic) for topic in topics)),
                "read": _any_of(re.escape(Topic.BLOCK_TEMPLATE)) if user == "miner" else ".*",
            }
            for user, topics in _MAY_PUBLISH.items()
        ],
    }


def rabbitmq_policies() -> list[dict[str, Any]]:
    """Return the limits of the queues as they are at first."""
    return [
        # The worker dead-letters a failing message long before; this limit is for one that kills the process.
        _policy("durable", r"^(mempool\.blocks|wallet\.(inbox|requests|names))$", {"delivery-limit": 20}),
        _policy("transactions", r"^mempool\.txs$", {"delivery-limit": 20, "max-length": _HELD_TXS}),
        _policy("transient", r"^(explorer|miner)\.[0-9a-f]{32}$", {"max-length": _HELD_FACTS}),
        _policy("dead", r"^warren\.dead$", {"max-length": _HELD_DEAD, "message-ttl": _TWO_WEEKS_MS}),
    ]


def rabbitmq_hash(password: str, salt: bytes) -> str:
    """Return a password as RabbitMQ stores it: base64 of a 4-byte salt and SHA-256 of salt and password."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _permission(user: str) -> dict[str, str]:
    own, shared = _QUEUES[user], f"{re.escape(EXCHANGE)}|{re.escape(DEAD_LETTER_EXCHANGE)}"
    return {
        "user": user,
        "vhost": VHOST,
        "configure": _any_of(own, shared),
        # The default exchange carries replies to requests.
        "write": _any_of(own, shared, r"amq\.default") if user in _ANSWERS else _any_of(own, shared),
        "read": _any_of(own, shared),
    }


def _any_of(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$"


def _policy(name: str, pattern: str, definition: Mapping[str, int]) -> dict[str, Any]:
    return {
        "name": name,
        "vhost": VHOST,
        "pattern": pattern,
        "apply-to": "queues",
        "priority": 0,
        "definition": dict(definition),
    }
