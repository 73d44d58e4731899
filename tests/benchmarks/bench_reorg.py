"""The cost of a deep reorganisation, on a private Redis: `python -m tests.benchmarks.bench_reorg`.

An empty branch replaces a branch of BLOCKS blocks, each with PAYMENTS payments, of which one has an output of BYTES
bytes that nobody can spend. Prints the time of the block that causes the reorganisation, the time that Redis is busy
with its commit, and the growth of the process's memory.
`python -m tests.benchmarks.bench_reorg [BLOCKS] [PAYMENTS] [BYTES]`, by default 1,000, 5 and none; 1,088, 1 and 999,000
are the blocks of Core's feature_block.py.
"""

from __future__ import annotations

import resource
import sys
import time

from services.mempool.blocks.accept_block import accept_block
from shared.chain.store import connect
from shared.primitives.block import Block
from shared.primitives.transaction import TxOut
from shared.process.collector import calm_collector
from tests.builders import Spendable, key, make_block, output_of, p2wpkh, spend
from tests.integration.mempool.conftest import Chain
from tests.servers import redis_server

FEE = 500


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def confirmed_coins(chain: Chain, count: int) -> list[Spendable]:
    """Mine `count` coins of one transaction."""
    (coin,) = chain.mature_coins()
    owner = key("owner")
    share = (coin.output.value - 1_000_000) // count
    split = spend([coin], [TxOut(share, p2wpkh(owner))] * count)
    chain.mine(txs=[split], fees=coin.output.value - share * count)
    return [output_of(split, vout, owner) for vout in range(count)]


def main(blocks: int = 1_000, payments: int = 5, filler: int = 0) -> None:
    """Grow both branches, and time the block that tips the balance."""
    server = redis_server()
    server.start()
    try:
        chain = Chain(connect(server.url))
        coins = confirmed_coins(chain, payments)
        base = chain.node.tree.tip
        calm_collector(100_000)
        started = time.perf_counter()
        for number in range(blocks):
            extra = [TxOut(0, bytes(filler))] if filler else []
            script = p2wpkh(key(f"{number}"))
            txs = []
            for coin in coins:
                txs.append(spend([coin], [TxOut(coin.output.value - FEE, script), *extra]))
                extra = []
            chain.mine(txs=txs, fees=FEE * len(txs))
            coins = [output_of(tx, 0, key(f"{number}")) for tx in txs]
        grown = time.perf_counter() - started
        header, height = base.header, base.height
        rivals: list[Block] = []
        for _ in range(blocks + 1):
            height += 1
            rivals.append(make_block(header, height, b"\x51", tag=b"rival"))
            header = rivals[-1].header
        for rival in rivals[:-1]:
            accept_block(chain.node, rival)
        before = _megabytes()
        started, computed = time.perf_counter(), time.process_time()
        verdict = accept_block(chain.node, rivals[-1])
        seconds = time.perf_counter() - started
        computed = time.process_time() - computed
        assert verdict.accepted
        assert not verdict.reason
        print(f"{blocks:,} blocks of {payments} payments mined              {grown:8.2f} s")
        print(f"reorganised away, {blocks:,} off and {blocks + 1:,} on       {seconds:8.2f} s")
        print(f"of which this process computed                   {computed:8.2f} s")
        print(f"of which the last commit's script took at most   {_slowest(chain):8.2f} s")
        print(f"the process grew by                              {_megabytes() - before:8.1f} MB")
        print(f"payments back in the pool                        {len(chain.node.pool):8,}")
    finally:
        server.close()


def _slowest(chain: Chain) -> float:
    entries = chain.client.slowlog_get(128)
    return max((entry["duration"] for entry in entries), default=0) / 1e6


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
