"""Subscribes to every fact, through a queue of this process alone; each wakes the hub, which reads the news.

The messages themselves are not used: pushed events come from the outbox, and pages from committed state.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from services.explorer.live.event_hub import EventHub
from shared import metrics, trace
from shared.bus.events import BlockConnected, BlockDisconnected, Fact, Message, TxAccepted, TxRemoved
from shared.bus.topics import FACTS, Queue, transient_queue
from shared.bus.worker import Handler, Incoming
from shared.logs import with_fields

log = logging.getLogger(__name__)

FACTS_HEARD = metrics.counter("explorer_facts", "Facts heard from the broker.", ("type",))
LAST_FACT = metrics.gauge("explorer_last_fact_seconds", "When the last fact was heard, in seconds since 1970.")


def subscription() -> Queue:
    """Return the queue to listen on, which goes away with this process."""
    return transient_queue("explorer", *FACTS)


def handlers(hub: EventHub) -> dict[type[Message], Handler[Any]]:
    """Return the subscription table."""

    def hear(batch: Sequence[Incoming[Any]]) -> list[None]:
        hub.wake()
        for incoming in batch:
            FACTS_HEARD.labels(str(incoming.message.topic)).inc()
            _log(incoming)
        LAST_FACT.set_to_current_time()
        return [None] * len(batch)

    return dict.fromkeys((TxAccepted, TxRemoved, BlockConnected, BlockDisconnected), hear)


def _log(incoming: Incoming[Fact]) -> None:
    match incoming.message:
        case (BlockConnected() | BlockDisconnected()) as fact:
            level, subject = logging.INFO, {"hash": fact.hash, "height": fact.height}
        case fact:
            level, subject = trace.detail_level(incoming.traceparent), {"txid": fact.txid}
    if log.isEnabledFor(level):
        with trace.within(incoming.traceparent):
            log.log(level, "heard %s", fact.topic, extra=with_fields(seq=fact.seq, **subject))
