"""The speed of the writer, on a private Redis: `python -m tests.benchmarks.bench_node [TRANSACTIONS]`.

Prints the time to admit transactions to the pool in batches of 100, to build the template of a block with all of them,
to connect that block, to reorganise it away, and to connect it without cached scripts.
"""

from __future__ import annotations

import sys
import time

from services.mempool.blocks.accept_block import accept_block
from services.mempool.mining.requests import Mining
from services.mempool.transactions.submit import submit
from shared.bus.broker import ReplyAddress
from shared.bus.events import BlockTemplate, MineRequested, TxSubmitted
from shared.chain.store import connect
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction, TxOut
from shared.process.collector import calm_collector
from tests.builders import key, make_block, output_of, p2wpkh, spend
from tests.integration.mempool.conftest import Chain
from tests.integration.mempool.test_mining import solve
from tests.servers import redis_server
from tests.unit.bus.fake_broker import FakeBroker

BATCH = 100


def fan_out(chain: Chain, count: int) -> list[Transaction]:
    """`count` independent payments, each of a coin of its own."""
    owner = key("owner")
    outputs_per_tx = 500
    coins = chain.mature_coins(-(-count // outputs_per_tx))
    splits = []
    for coin in coins:
        share = (coin.output.value - 100_000) // outputs_per_tx
        splits.append(spend([coin], [TxOut(share, p2wpkh(owner))] * outputs_per_tx))
    fees = sum(c.output.value - sum(o.value for o in s.outputs) for c, s in zip(coins, splits, strict=True))
    chain.mine(txs=splits, fees=fees)
    paid = [output_of(split, vout, owner) for split in splits for vout in range(outputs_per_tx)][:count]
    return [spend([coin], [TxOut(coin.output.value - 500, p2wpkh(key(f"payee {n}")))]) for n, coin in enumerate(paid)]


def timed(label: str, started: float, count: int = 0) -> None:
    seconds = time.perf_counter() - started
    rate = f"  {count / seconds:10,.0f} /s" if count else ""
    print(f"{label:<58} {seconds:8.3f} s{rate}")


def main(count: int) -> None:
    server = redis_server()
    server.start()
    try:
        chain = Chain(connect(server.url))
        calm_collector(100_000)
        txs = fan_out(chain, count)
        raw = [tx.serialize().hex() for tx in txs]
        started = time.perf_counter()
        for first in range(0, count, BATCH):
            replies, _ = submit(chain.node, [TxSubmitted(txs=(text,)) for text in raw[first : first + BATCH]])
            assert all(reply.verdicts[0].accepted for reply in replies), replies
        timed(f"{count:,} transactions admitted, in batches of {BATCH}", started, count)

        broker = FakeBroker()
        mining = Mining(chain.node, broker, 60)
        mining.request(MineRequested(count=1, script_pubkey="51"), "job", ReplyAddress("nobody", "1"))
        started = time.perf_counter()
        mining.tick()
        timed("template of all of them", started)
        template = broker.published[-1]
        assert isinstance(template, BlockTemplate)
        solution = solve(template)
        started = time.perf_counter()
        verdict = mining.solution(solution)
        assert verdict.accepted, verdict
        timed("block of pooled transactions connected", started, count)

        block = chain.view.blocks.get(chain.view.tip().hash)
        assert isinstance(block, Block)
        chain.node.verifier = type(chain.node.verifier)()
        prev = chain.node.tree.get(block.header.prev_hash)
        assert prev is not None
        rivals = [make_block(prev.header, prev.height + 1, b"\x51", tag=b"rival")]
        rivals.append(make_block(rivals[0].header, prev.height + 2, b"\x51", tag=b"rival"))
        accept_block(chain.node, rivals[0])
        started = time.perf_counter()
        assert accept_block(chain.node, rivals[1]).accepted
        timed("reorganised away, every transaction checked for the pool", started, count)
        assert len(chain.node.pool) == count
        chain.node.verifier = type(chain.node.verifier)()
        again = make_block(rivals[1].header, prev.height + 3, b"\x51", txs)
        started = time.perf_counter()
        assert accept_block(chain.node, again).accepted
        timed("block of unknown scripts connected", started, count)
        for label, read in (
            ("balance of one of its payees", lambda: chain.view.scripts.unspent_paying([p2wpkh(key("payee 7"))])),
            ("one of its transactions", lambda: chain.view.txs.get(txs[7].txid)),
        ):
            started = time.perf_counter()
            for _ in range(200):
                read()
            timed(f"200 × {label}", started, 200)
    finally:
        server.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 6_000)
