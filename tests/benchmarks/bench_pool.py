"""The cost of a pool as it grows: `python -m tests.benchmarks.bench_pool [SIZE…]`, by default 6,000 and 100,000.

For each size, on a private Redis: admission in batches of 100 (scripts apart), the choice of a block's transactions,
`getblocktemplate` over HTTP, and the time from the start of the service to its first template. One transaction in ten
spends from the one before. Processor time stands beside the time that passes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from services.mempool.mining.requests import Mining
from services.mempool.mining.work_templates import WorkTemplates
from services.mempool.transactions.submit import submit
from shared.bus.broker import ReplyAddress
from shared.bus.events import MineRequested, TxSubmitted
from shared.chain.store import connect
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.process.collector import calm_collector
from tests.benchmarks.bench_rpc import Client
from tests.benchmarks.services import services
from tests.builders import key, p2wpkh, spend
from tests.integration.mempool.conftest import Chain
from tests.servers import free_port, redis_server
from tests.unit.bus.fake_broker import FakeBroker

T = TypeVar("T")

BATCH = 100
OUTPUTS = 2_500
"""Of each transaction that is mined to have coins."""
OWNER = key("owner")
SCRIPT = p2wpkh(OWNER)
WITNESS = (bytes(71), OWNER.public_key.compressed)
"""It has the size of a signature; nobody verifies it here."""


class Trusting:
    """Runs no scripts: they cost the same whatever the size of the pool."""

    def verify(self, *_: object) -> None:
        """Find every script valid."""


def measure(label: str, action: Callable[[], T], count: int = 1) -> T:
    """Print the time, and the processor time of this process, for each of `count`."""
    own, began = time.process_time(), time.perf_counter()
    result = action()
    passed, own = time.perf_counter() - began, time.process_time() - own
    print(f"  {label:<56} {passed / count * 1e3:9.3f} ms   {own / count * 1e3:9.3f} ms here", flush=True)
    return result


def payments(chain: Chain, count: int) -> Iterator[Transaction]:
    """Yield payments of one input and two outputs, at many feerates."""
    coins = chain.mature_coins(-(-count // OUTPUTS))
    for coin in coins:
        share = (coin.output.value - 1_000_000) // OUTPUTS
        split = spend([coin], [TxOut(share, SCRIPT)] * OUTPUTS)
        chain.mine(txs=[split], fees=coin.output.value - share * OUTPUTS)
        before = None
        for vout in range(min(OUTPUTS, count)):
            child = before is not None and vout % 10 == 9
            prevout = OutPoint(before.txid, 0) if child else OutPoint(split.txid, vout)
            value = before.outputs[0].value if child else share
            fee = 200 + (vout * 7_919 + count) % 3_000
            outputs = (TxOut(value // 2, SCRIPT), TxOut(value - value // 2 - fee, p2wpkh(key(f"payee {count}"))))
            before = Transaction(2, (TxIn(prevout, b"", 0xFFFFFFFD, WITNESS),), outputs)
            yield before
            count -= 1


def fill(chain: Chain, count: int) -> None:
    """Admit the payments."""
    txs = [tx.serialize().hex() for tx in payments(chain, count)]
    chain.node.verifier = Trusting()  # type: ignore[assignment]

    def admit() -> None:
        for first in range(0, count, BATCH):
            replies, _ = submit(chain.node, [TxSubmitted(txs=(raw,)) for raw in txs[first : first + BATCH]])
            assert all(reply.verdicts[0].accepted for reply in replies), replies

    measure("admission of a transaction", admit, count)


def templates(chain: Chain) -> None:
    """Build the templates for miners and for others, twice: what the first has found is known to the second."""
    mining = Mining(chain.node, FakeBroker(), 60)
    mining.request(MineRequested(count=1, script_pubkey="51"), "job", ReplyAddress("nobody", "1"))
    for time_of in ("first", "second"):
        measure(f"{time_of} template for miners", mining.tick)
        mining.forget()
        measure(f"{time_of} template with all its transactions", WorkTemplates(chain.node).template)
    chain.client.delete(chain.keys.jobs)


def restart(url: str) -> None:
    """Start the service on this pool and ask it for templates."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:

        def first_template() -> Client:
            while True:
                try:
                    client = Client(port, Path(directory))
                    client.call("getblocktemplate", {"rules": ["segwit"]})
                    return client
                except (OSError, RuntimeError):
                    assert service.poll() is None
                    time.sleep(0.01)

        with services("mempool", redis_url=url, rpc_port=str(port), data_dir=directory) as (service,):
            client = measure("from the start of the service to its first template", first_template)
            for _ in range(3):
                measure("getblocktemplate", lambda: client.call("getblocktemplate", {"rules": ["segwit"]}))


def run(count: int) -> None:
    """Measure a pool of this size."""
    print(f"{count:,} transactions in the pool")
    server = redis_server()
    server.start()
    try:
        chain = Chain(connect(server.url))
        calm_collector(100_000)
        fill(chain, count)
        templates(chain)
        chain.node = measure("load of the chain and the pool", chain.new_writer)
        templates(chain)
        chain.client.delete(chain.keys.writer)
        restart(server.url)
    finally:
        server.close()


if __name__ == "__main__":
    for size in [int(argument) for argument in sys.argv[1:]] or [6_000, 100_000]:
        run(size)
