"""The cost of admitting transactions and of the block that confirms them: `python -m tests.benchmarks.bench_connect`.

Works on a private Redis, without broker and HTTP: TRANSACTIONS (6,000 by default) payments of one input and two outputs
enter the pool in batches of 100, and one block made of the pool's transactions confirms them. Prints the processor time
of this process and of Redis, the least of ROUNDS blocks (3 by default), then of empty blocks.
`python -m tests.benchmarks.bench_connect [TRANSACTIONS] [ROUNDS] [--profile]`
"""

from __future__ import annotations

import cProfile
import os
import pstats
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from services.mempool.blocks.accept_block import accept_block
from services.mempool.mining.select_txs import select_txs
from services.mempool.transactions.submit import submit
from shared.bus.events import TxSubmitted
from shared.chain.store import connect
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction, TxOut
from shared.process.collector import calm_collector
from tests.benchmarks.bench_reorg import confirmed_coins
from tests.builders import Spendable, key, output_of, p2wpkh, spend
from tests.integration.mempool.conftest import Chain
from tests.servers import redis_server

BATCH = 100
EMPTY_BLOCKS = 120
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time in seconds."""

    python: float
    redis: float

    def line(self, name: str, count: int) -> str:
        per_item = self.python * 1e6 / count
        return f"{name:<40}{self.python * 1e3:8.1f} ms, Redis {self.redis * 1e3:6.1f} ms {per_item:8.1f} µs each"


def _redis_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _cost(pid: int, work: Callable[[], object]) -> Cost:
    redis, python = _redis_seconds(pid), time.process_time()
    work()
    return Cost(time.process_time() - python, _redis_seconds(pid) - redis)


def _payment(coin: Spendable, number: int) -> Transaction:
    half = coin.output.value // 2 - 250
    return spend([coin], [TxOut(half, p2wpkh(key(f"to {number}"))), TxOut(half, p2wpkh(coin.owner))])


def _submit(chain: Chain, txs: list[Transaction]) -> None:
    for first in range(0, len(txs), BATCH):
        batch = [TxSubmitted(txs=(tx.serialize().hex(),)) for tx in txs[first : first + BATCH]]
        replies, _ = submit(chain.node, batch)
        assert all(reply.verdicts[0].accepted for reply in replies)


def _full_block(chain: Chain) -> Block:
    chosen = select_txs(chain.node.pool)
    return chain.block([item.tx for item in chosen], fees=sum(item.entry.fee for item in chosen))


def _accept(chain: Chain, block: Block) -> None:
    verdict = accept_block(chain.node, block)
    assert verdict.accepted
    assert not verdict.reason


def main(count: int, rounds: int, *, profiled: bool) -> None:
    """Measure on a chain of its own."""
    server = redis_server()
    server.start()
    profile = cProfile.Profile()
    try:
        chain = Chain(connect(server.url))
        pid = chain.client.info("server")["process_id"]
        coins = confirmed_coins(chain, count)
        calm_collector(100_000)
        admissions, blocks = [], []
        for _ in range(rounds):
            txs = [_payment(coin, number) for number, coin in enumerate(coins)]
            coins = [output_of(tx, 1, coin.owner) for tx, coin in zip(txs, coins, strict=True)]
            admissions.append(_cost(pid, lambda txs=txs: _submit(chain, txs)))
            block = _full_block(chain)
            assert len(block.transactions) == count + 1
            if profiled:
                profile.enable()
            blocks.append(_cost(pid, lambda block=block: _accept(chain, block)))
            profile.disable()
        empty = [
            _cost(pid, lambda: [_accept(chain, chain.block()) for _ in range(EMPTY_BLOCKS)]) for _ in range(rounds)
        ]
    finally:
        server.close()
    print(min(admissions, key=lambda cost: cost.python).line(f"{count:,} transactions enter the pool", count))
    print(min(blocks, key=lambda cost: cost.python).line("the block that confirms them", count))
    print(min(empty, key=lambda cost: cost.python).line(f"{EMPTY_BLOCKS} empty blocks", EMPTY_BLOCKS))
    if profiled:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument != "--profile"]
    main(*(numbers + [6_000, 3][len(numbers) :]), profiled="--profile" in sys.argv)
