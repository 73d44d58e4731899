"""Helpers of the bus tests: numbered messages, a service that replies, and waiting with a deadline."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import redis as redis_py

from shared.bus import events
from shared.bus.broker import Broker, Consumer, Delivery
from shared.bus.events import MineRequested, TxSubmitted, TxVerdict, TxVerdicts

PATIENCE = 20.0
"""Seconds that anything may take before a test gives up."""
NOTHING = 0.3
"""Seconds of silence that count as 'nothing came'."""


def tx(number: int) -> TxSubmitted:
    return TxSubmitted(txs=(f"{number:08x}",))


def verdict(number: int) -> TxVerdicts:
    """The reply to `tx(number)` that names it."""
    return TxVerdicts(verdicts=(TxVerdict(txid=f"{number}", wtxid=f"{number}", accepted=True),))


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


@contextlib.contextmanager
def answering(broker: Broker, consumer: Consumer, limit: int | None = None) -> Iterator[None]:
    """Answer requests with their own numbers, on another thread: until the block ends, or `limit` of them."""
    stop = threading.Event()

    def serve() -> None:
        left = -1 if limit is None else limit
        while left and (limit is not None or not stop.is_set()):
            for delivery in consumer.receive(1, 0.05):
                if delivery.reply_address is not None:
                    broker.reply_many([(delivery.reply_address, verdict(*numbers([delivery])))])
                consumer.ack([delivery])
                left -= 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def signs_of_life(redis: redis_py.Redis) -> list[bytes]:
    """Keys by which the consumers of the embedded bus show that they live."""
    return list(redis.scan_iter("warren-bus:alive:*"))
