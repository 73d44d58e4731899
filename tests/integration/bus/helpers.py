"""What the bus tests share: numbered messages, and waiting with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from shared.bus import events
from shared.bus.broker import Consumer, Delivery
from shared.bus.events import MineRequested, TxSubmitted

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up."""
NOTHING = 0.3
"""Seconds of silence that count as 'nothing came'."""


def tx(number: int) -> TxSubmitted:
    return TxSubmitted(txs=(f"{number:08x}",))


def mine(count: int) -> MineRequested:
    return MineRequested(count=count, script_pubkey="51")


def numbers(deliveries: Sequence[Delivery]) -> list[int]:
    """The numbers of `tx` messages."""
    decoded = [events.decode(delivery.type, delivery.body) for delivery in deliveries]
    return [int(message.txs[0], 16) for message in decoded if isinstance(message, TxSubmitted)]


def take(consumer: Consumer, count: int, max_messages: int = 256) -> list[Delivery]:
    """Return the next `count` deliveries, unacked; fail if they do not come in time."""
    taken: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE
    while len(taken) < count:
        assert time.monotonic() < deadline, f"{len(taken)} of {count} messages came"
        taken += consumer.receive(min(max_messages, count - len(taken)), 0.5)
    return taken


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)
