"""The writer's handlers of topics. The table at the end is its whole subscription."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.mempool.blocks.operator import control
from services.mempool.mining.requests import Mining
from services.mempool.mining.work_templates import WorkTemplates
from services.mempool.state import NodeState
from services.mempool.transactions.announcements import Announcements
from services.mempool.transactions.submit import retry_orphans, submit
from shared import trace
from shared.bus.broker import Broker
from shared.bus.events import (
    BlockMined,
    BlockVerdict,
    ChainControl,
    Message,
    MineRequested,
    TemplateRequested,
    TxRejected,
    TxSubmitted,
)
from shared.bus.worker import Handler, Incoming, each
from shared.primitives.hex import parse_display_hash


def tx_submitted(
    node: NodeState, broker: Broker, check_lease: Callable[[], None], batch: Sequence[Incoming[TxSubmitted]]
) -> Sequence[Message]:
    """Check transactions and take them into the pool, all in one commit.

    A refusal commits nothing that Redis could fence off: `check_lease` raises `CommitConflict` if another writer may
    have moved the chain meanwhile.
    """
    messages, traceparents = zip(*((incoming.message, incoming.traceparent) for incoming in batch), strict=True)
    verdicts, rejected = submit(node, messages, traceparents)
    if not all(verdict.accepted for reply in verdicts for verdict in reply.verdicts):
        check_lease()
    _publish_rejections(broker, rejected)
    return verdicts


def block_mined(
    node: NodeState,
    mining: Mining,
    broker: Broker,
    check_lease: Callable[[], None],
    batch: Sequence[Incoming[BlockMined]],
) -> Sequence[Message]:
    """Check blocks one after another, each in a commit of its own, then the orphans whose parents they contain.

    `check_lease`: as for transactions.
    """
    verdicts = []
    for incoming in batch:
        with trace.within(incoming.traceparent):
            verdict = mining.solution(incoming.message)
            if not verdict.accepted:
                check_lease()
            _publish_rejections(broker, _orphans_of(node, verdict))
        verdicts.append(verdict)
    return verdicts


def mine_requested(mining: Mining, batch: Sequence[Incoming[MineRequested]]) -> Sequence[Message | None]:
    """Store mining requests; each is answered when its blocks are on the chain."""
    replies = []
    for incoming in batch:
        with trace.within(incoming.traceparent):
            replies.append(mining.request(incoming.message, incoming.message_id, incoming.reply_address))
    return replies


def template_requested(work: WorkTemplates, batch: Sequence[Incoming[TemplateRequested]]) -> Sequence[Message]:
    """Return the template of the next block: one reply for all requests of the batch."""
    shown = work.template()
    return [shown for _ in batch]


def _orphans_of(node: NodeState, verdict: BlockVerdict) -> Announcements[TxRejected]:
    if not len(node.orphans) or not verdict.accepted:
        return Announcements()
    block = node.view.blocks.get(parse_display_hash(verdict.hash))
    return retry_orphans(node, [tx.txid for tx in block.transactions]) if block else Announcements()


def _publish_rejections(broker: Broker, rejected: Announcements[TxRejected]) -> None:
    if rejected.messages:
        broker.publish_many(rejected.messages, rejected.traceparents)


def subscriptions(
    node: NodeState, mining: Mining, broker: Broker, check_lease: Callable[[], None]
) -> Mapping[type[Message], Handler[Any]]:
    """Return the writer's subscription table; `check_lease` raises `CommitConflict` once its lease has run out."""
    work = WorkTemplates(node)
    return {
        TxSubmitted: lambda batch: tx_submitted(node, broker, check_lease, batch),
        BlockMined: lambda batch: block_mined(node, mining, broker, check_lease, batch),
        MineRequested: lambda batch: mine_requested(mining, batch),
        ChainControl: each(lambda order: control(node, order)),
        TemplateRequested: lambda batch: template_requested(work, batch),
    }
