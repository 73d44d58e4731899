"""Messages per second of both bus backends: `python -m tests.benchmarks.bench_bus [messages]`.

Servers are private ones, Redis with every write on disk before it is confirmed. Publisher, consumer and server share
this machine's processors.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from deploy.setup import topology
from shared.bus.broker import Broker, Consumer
from shared.bus.events import TxSubmitted, TxVerdict, TxVerdicts
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.bus.topics import MEMPOOL_TXS
from tests.servers import rabbitmq_server, redis_server

_TX = TxSubmitted(txs=("02" * 250,))
_TIMEOUT = 120.0
_SINGLE = 300


def timed(count: int, action: Callable[[], None]) -> float:
    """Return `count` per second of `action`."""
    started = time.perf_counter()
    action()
    return count / (time.perf_counter() - started)


def drain(consumer: Consumer, count: int) -> None:
    while count > 0:
        batch = consumer.receive(256, _TIMEOUT)
        consumer.ack(batch)
        count -= len(batch)


def measure(connect: Callable[[], Broker], count: int) -> dict[str, float]:
    """Return operation → messages per second."""
    client, server = connect(), connect()
    server.consumer([MEMPOOL_TXS]).close()
    results = {}
    results["publish one by one"] = timed(_SINGLE, lambda: [client.publish(_TX) for _ in range(_SINGLE)] and None)
    results["publish_many"] = timed(count, lambda: client.publish_many([_TX] * count))
    consumer = server.consumer([MEMPOOL_TXS])
    results["consume and ack"] = timed(_SINGLE + count, lambda: drain(consumer, _SINGLE + count))
    stop = threading.Event()

    def answer() -> None:
        while not stop.is_set():
            batch = consumer.receive(256, 0.05)
            verdict = TxVerdicts(verdicts=(TxVerdict(txid="00" * 32, wtxid="00" * 32, accepted=True),))
            server.reply_many([(d.reply_address, verdict) for d in batch if d.reply_address is not None])
            consumer.ack(batch)

    thread = threading.Thread(target=answer)
    thread.start()
    results["request one by one"] = timed(
        _SINGLE, lambda: [client.request(_TX, _TIMEOUT) for _ in range(_SINGLE)] and None
    )
    requests = count // 4
    results["request_many"] = timed(requests, lambda: client.request_many([_TX] * requests, _TIMEOUT) and None)
    stop.set()
    thread.join()
    client.close()
    server.close()
    return results


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    columns = []
    for make, backend in ((redis_server, RedisStreamsBroker), (rabbitmq_server, RabbitBroker)):
        server = make()
        try:
            server.start()
            if backend is RabbitBroker:
                topology.make(server.url)
            columns.append(measure(lambda backend=backend, url=server.url: backend(url), count))  # type: ignore[misc]
        finally:
            server.close()
    streams, rabbit = columns
    print(f"{'messages per second':24} {'redis_streams':>14} {'rabbit':>10} {'ratio':>7}")
    for what, rate in streams.items():
        print(f"{what:24} {rate:14,.0f} {rabbit[what]:10,.0f} {rate / rabbit[what]:7.2f}")


if __name__ == "__main__":
    main()
