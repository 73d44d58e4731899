"""What a transaction and a read cost the writer and Redis: `python -m tests.benchmarks.bench_scaling [TRANSACTIONS]`.

Counts processor time, which other load on the machine hardly changes, beside the time that passes; on a primary with
two replicas, waiting for none, one or both of them. docs/scaling.md has a run, and its consequences. It needs
`WARREN_TEST_SERVERS=native`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import redis

from services.mempool.transactions.submit import submit
from shared.bus.events import TxSubmitted
from shared.chain.store import connect
from shared.crypto.hashes import sha256
from shared.primitives.transaction import Transaction
from shared.process.collector import calm_collector
from tests.benchmarks.bench_node import fan_out
from tests.builders import key, p2wpkh
from tests.clusters import RedisCluster
from tests.integration.mempool.conftest import Chain

BATCHES = (1, 10, 100)
READS = 2_000


def main(count: int) -> None:
    cluster = RedisCluster()
    try:
        cluster.start()
        for replicas in (0, 1, 2):
            with connect(cluster.url) as client:
                client.flushall()
            with connect(cluster.url, replicas) as client, redis.Redis.from_url(cluster.primary().url) as operator:
                chain = Chain(client)
                calm_collector(100_000)
                _writes(chain, fan_out(chain, len(BATCHES) * count), count, replicas, operator)
                if not replicas:
                    _reads(chain, operator)
    finally:
        cluster.close()


def _writes(chain: Chain, txs: list[Transaction], count: int, replicas: int, operator: redis.Redis) -> None:
    for number, batch in enumerate(BATCHES):
        part = [tx.serialize().hex() for tx in txs[number * count : (number + 1) * count]]
        written = _bytes(operator)

        def work(part: list[str] = part, batch: int = batch) -> None:
            for first in range(0, count, batch):
                submit(chain.node, [TxSubmitted(txs=(raw,)) for raw in part[first : first + batch]])

        _measure(f"{replicas} replicas, {batch} to a commit: a transaction", count, work, operator)
        print(f"{'':<58} {(_bytes(operator) - written) / count:8,.0f} bytes to each replica")


def _reads(chain: Chain, operator: redis.Redis) -> None:
    view = chain.view
    script = sha256(p2wpkh(key("payee 1")))
    txid = view.pool.txids(1)[0]
    _measure("a read of the tip", READS, lambda: [view.tip() for _ in range(READS)], operator)
    _measure("a read of a transaction", READS, lambda: [view.txs.get(txid) for _ in range(READS)], operator)
    _measure(
        "a read of a script's totals", READS, lambda: [view.scripts.stats([script]) for _ in range(READS)], operator
    )


def _measure(label: str, count: int, work: Callable[[], object], operator: redis.Redis) -> None:
    """Print the time, and the processor time of this process and of Redis, in microseconds for each of `count`."""
    server, own, began = _server_seconds(operator), time.process_time(), time.perf_counter()
    work()
    passed, own, server = time.perf_counter() - began, time.process_time() - own, _server_seconds(operator) - server
    passed, own, server = (seconds / count * 1e6 for seconds in (passed, own, server))
    print(f"{label:<58} {passed:8,.0f} µs   {own:8,.0f} µs here   {server:8,.0f} µs in Redis")


def _server_seconds(operator: redis.Redis) -> float:
    found = operator.info("cpu")
    return float(found["used_cpu_user_main_thread"]) + float(found["used_cpu_sys_main_thread"])


def _bytes(operator: redis.Redis) -> int:
    return int(operator.info("replication")["master_repl_offset"])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
