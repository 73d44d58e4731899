"""What exists on RabbitMQ beside the queues of running processes: exchanges, durable queues and bindings.

`deploy.setup.topology` makes all of it and keeps it up. No service may make, change or delete any of it: a service
declares nothing but transient queues of its own name.

    service ─▶ from.<service> ─ its topics ─▶ warren.events ─▶ durable and transient queues
                              ─ its name ───▶ warren.dead ───▶ dead.<service>
    mempool, wallet ────────────────────────▶ warren.replies ▶ transient queues of the requesters

A service publishes to an exchange of its own, and only the bindings made here lead on from there: each lets one topic
through. Topic permissions on one common exchange would not do: whoever may write to it can bind it behind an exchange
of his own, or make it the dead-letter exchange of his own queue, and RabbitMQ asks for no topic permission there.

Durable queues are quorum queues, and the broker moves their dead letters at least once. Limits and time limits are left
to policies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.bus.topics import (
    DEAD_LETTER_EXCHANGE,
    DURABLE_QUEUES,
    EXCHANGE,
    PUBLISHES,
    REPLY_EXCHANGE,
    SERVICES,
    Queue,
    dead_letter_queue,
    outlet,
)

EXCHANGES = (EXCHANGE, REPLY_EXCHANGE, DEAD_LETTER_EXCHANGE, *map(outlet, PUBLISHES))
"""Durable topic exchanges."""


@dataclass(frozen=True, slots=True)
class ExchangeBinding:
    """Lets messages of one routing key through from one exchange to another."""

    destination: str
    source: str
    routing_key: str


EXCHANGE_BINDINGS = (
    *(ExchangeBinding(EXCHANGE, outlet(who), topic) for who, topics in PUBLISHES.items() for topic in topics),
    *(ExchangeBinding(DEAD_LETTER_EXCHANGE, outlet(service), service) for service in SERVICES),
)


@dataclass(frozen=True, slots=True)
class DurableQueue:
    """A queue with its arguments, and the routing keys with which it is bound to an exchange."""

    name: str
    exchange: str
    routing_keys: tuple[str, ...]
    arguments: Mapping[str, str] = field(hash=False)


def _of_service(queue: Queue) -> DurableQueue:
    arguments = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # at-least-once needs it
    }
    return DurableQueue(queue.name, EXCHANGE, tuple(queue.topics), arguments)


def _of_operator(service: str) -> DurableQueue:
    """Return a service's dead-letter queue.

    The service's own dead letters have its name as key. The broker's keep the key with which they were published: a
    topic, or the queue's name if an operator put them there.
    """
    queues = [queue for queue in DURABLE_QUEUES if queue.service == service]
    keys = [service, *(key for queue in queues for key in (queue.name, *queue.topics))]
    return DurableQueue(dead_letter_queue(service), DEAD_LETTER_EXCHANGE, tuple(keys), {"x-queue-type": "quorum"})


QUEUES = (*map(_of_operator, SERVICES), *map(_of_service, DURABLE_QUEUES))
"""The dead-letter queues come first: nothing may die before they are there."""
