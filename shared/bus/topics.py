"""The topics of Warren and their listeners: read this page top to bottom to see the flow.

    wallet, explorer, RPC ── tx.submitted ──▶ mempool           claims: "please check this"
    miner, RPC ───────────── block.mined ───▶ mempool
    RPC, wallet, explorer ── mine.requested ▶ mempool
    RPC ──────────────────── chain.control ─▶ mempool           orders: invalidate a block, set the clock, …
    explorer ─────────────── coins.requested, address.requested ──▶ wallet     the faucet of a test chain
    explorer, RPC ───────── wallets.requested ▶ wallet          the wallets that a form offers as payees
    explorer, RPC ────── template.requested ▶ mempool           a template for miners that are none of ours
    mempool ── block.template, work.ended ──▶ every miner       work, and that there is none
    miner ──── miner.report ────────────────▶ every mempool     what each worker can do and does
    mempool ── tx.accepted, tx.removed, block.connected, block.disconnected ──▶ everyone     facts, after the commit
    mempool ── tx.rejected ─────────────────▶ anyone            the verdict on a claim that failed

A durable queue is shared by all instances of a service: each message is handled once. A transient queue belongs to
one running process and goes away with it: every process gets every message (fan-out).

Replies go straight to the process that asked. A message that its service cannot handle is kept in that service's
dead-letter queue, which only an operator reads.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """Routing keys of the topic exchange."""

    TX_SUBMITTED = "tx.submitted"
    BLOCK_MINED = "block.mined"
    MINE_REQUESTED = "mine.requested"
    CHAIN_CONTROL = "chain.control"
    COINS_REQUESTED = "coins.requested"
    ADDRESS_REQUESTED = "address.requested"
    WALLETS_REQUESTED = "wallets.requested"
    TEMPLATE_REQUESTED = "template.requested"
    BLOCK_TEMPLATE = "block.template"
    WORK_ENDED = "work.ended"
    MINER_REPORT = "miner.report"
    TX_ACCEPTED = "tx.accepted"
    TX_REMOVED = "tx.removed"
    TX_REJECTED = "tx.rejected"
    BLOCK_CONNECTED = "block.connected"
    BLOCK_DISCONNECTED = "block.disconnected"


CLAIMS = (
    Topic.TX_SUBMITTED,
    Topic.BLOCK_MINED,
    Topic.MINE_REQUESTED,
    Topic.CHAIN_CONTROL,
    Topic.COINS_REQUESTED,
    Topic.ADDRESS_REQUESTED,
    Topic.WALLETS_REQUESTED,
    Topic.TEMPLATE_REQUESTED,
)
"""Work for exactly one service: a claim that no queue takes is an error, and nobody else may listen in."""
WORK = (Topic.BLOCK_TEMPLATE, Topic.WORK_ENDED)
"""What a miner hears."""
FACTS = (Topic.TX_ACCEPTED, Topic.TX_REMOVED, Topic.BLOCK_CONNECTED, Topic.BLOCK_DISCONNECTED)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and the topics bound to it."""

    name: str
    """Begins with the name of the service that consumes it."""
    topics: tuple[Topic, ...]
    durable: bool = True

    @property
    def service(self) -> str:
        """The service that consumes it."""
        return self.name.partition(".")[0]


MEMPOOL_BLOCKS = Queue(
    "mempool.blocks",
    (Topic.BLOCK_MINED, Topic.MINE_REQUESTED, Topic.CHAIN_CONTROL, Topic.TEMPLATE_REQUESTED),
)
MEMPOOL_TXS = Queue("mempool.txs", (Topic.TX_SUBMITTED,))
WALLET_INBOX = Queue("wallet.inbox", FACTS)
WALLET_REQUESTS = Queue("wallet.requests", (Topic.COINS_REQUESTED, Topic.ADDRESS_REQUESTED))
WALLET_NAMES = Queue("wallet.names", (Topic.WALLETS_REQUESTED,))

DURABLE_QUEUES = (MEMPOOL_BLOCKS, MEMPOOL_TXS, WALLET_INBOX, WALLET_REQUESTS, WALLET_NAMES)
QUEUED = frozenset(topic for queue in DURABLE_QUEUES for topic in queue.topics)
"""Topics that a durable queue takes: on RabbitMQ, where setup makes it, its absence is an error."""

SERVICES = ("mempool", "wallet", "explorer", "miner")
GUESTS = "guests"
"""Other people's programs, all together."""

PUBLISHES: Mapping[str, tuple[Topic, ...]] = {
    "mempool": (
        *FACTS,
        Topic.TX_REJECTED,
        Topic.BLOCK_TEMPLATE,
        Topic.WORK_ENDED,
        Topic.TX_SUBMITTED,
        Topic.BLOCK_MINED,
        Topic.MINE_REQUESTED,
        Topic.CHAIN_CONTROL,
        Topic.TEMPLATE_REQUESTED,
        Topic.WALLETS_REQUESTED,
    ),
    "wallet": (Topic.TX_SUBMITTED, Topic.MINE_REQUESTED),
    "explorer": (
        Topic.TX_SUBMITTED,
        Topic.MINE_REQUESTED,
        Topic.TEMPLATE_REQUESTED,
        Topic.COINS_REQUESTED,
        Topic.ADDRESS_REQUESTED,
        Topic.WALLETS_REQUESTED,
    ),
    "miner": (Topic.BLOCK_MINED, Topic.MINER_REPORT),
    GUESTS: (Topic.TX_SUBMITTED,),
}
"""Publisher → topics; on RabbitMQ nothing else of it gets through."""

EXCHANGE = "warren.events"
REPLY_EXCHANGE = "warren.replies"
"""Its routing keys are the names of the requesters' transient queues."""
DEAD_LETTER_EXCHANGE = "warren.dead"
"""Its routing keys are the names of the services."""

_TRANSIENT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\.[0-9a-f]{32}")


def outlet(publisher: str) -> str:
    """Return the name of the exchange that a publisher has for itself."""
    return f"from.{publisher}"


def dead_letter_queue(service: str) -> str:
    """Return the name of the queue that keeps what a service cannot handle."""
    return f"dead.{service}"


def transient_queue(service: str, *topics: Topic) -> Queue:
    """Return a queue of this process's own, named after the service that listens. `ValueError` for a claim."""
    if claims := set(topics) & set(CLAIMS):
        raise ValueError(f"{', '.join(sorted(claims))}: a claim goes to its durable queue only")
    return Queue(transient_name(service), topics, durable=False)


def transient_name(service: str) -> str:
    """Return a new name for a queue of this process's own."""
    return f"{service}.{uuid.uuid4().hex}"


def is_transient_name(name: str) -> bool:
    """Whether this may be the name of a process's own queue: a reply goes nowhere else."""
    return _TRANSIENT_NAME.fullmatch(name) is not None
