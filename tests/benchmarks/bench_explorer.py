"""The time of each of the explorer's resources, on a large chain and on a small one.

    .venv/bin/python -m tests.benchmarks.bench_explorer [--outputs 1000000] [--requests 100] [--seconds 3]

Builds both chains in a private Redis (the large one takes about two minutes), serves each with a process of its own,
requests every resource of docs/http-api-explorer.md, and prints milliseconds. Then it prints requests per second over
50 connections on the large chain, and times some resources again while 1,000 transactions a second enter the pool.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event

from shared.chain.store import connect
from shared.crypto.hashes import sha256
from tests.benchmarks.explorer_chain import BUSY, BuiltChain, Size, address, build, payment, script
from tests.benchmarks.http_load import Client, Latencies, requests_per_second
from tests.benchmarks.services import services
from tests.builders import p2wpkh
from tests.servers import free_port, redis_server

SMALL = Size(1_000)
CONNECTIONS = 50
SAMPLES = 20
STREAM_BATCH, STREAM_RATE = 10, 1_000
BUSY_TIMES = (
    "/tx/:txid",
    "/tx/:txid (unconfirmed)",
    "/tx/:txid/outspends",
    "/address/:address",
    "/address/:address/txs",
    "/address/:address/txs/mempool",
    "/address/:address/utxo (another)",
    "/block/:hash/txs",
    "/mempool",
    "/fee-estimates",
    "/api/v1/fees/mempool-blocks",
    "/api/v1/cpfp/:txid",
    "page /",
    "page /address/:address",
    "page /mempool",
)
"""Resources that are timed again while transactions stream in."""


@dataclass(frozen=True)
class Resource:
    """A resource, and the paths to request in turn."""

    name: str
    paths: list[str]
    body: str | None = None


def resources(built: BuiltChain) -> list[Resource]:
    chain, busy = built.chain, built.busy
    tip = len(chain.blocks) - 1
    full = built.full.hash_hex
    step = max(1, len(built.busy_txs) // SAMPLES)
    spread = [tx.txid_hex for tx in built.busy_txs[::step]][:SAMPLES]
    in_full = [tx.txid_hex for tx in built.full.transactions[1 :: max(1, len(built.full.transactions) // SAMPLES)]]
    pooled = [tx.txid_hex for tx in built.pooled[:: max(1, len(built.pooled) // SAMPLES)]]
    starts = range(0, len(built.full.transactions), 25)
    txs = [*spread, *in_full, *pooled]
    pair = json.dumps([busy, address(1)])
    found = [
        ("/blocks/tip/hash", ["/blocks/tip/hash"]),
        ("/blocks/tip/height", ["/blocks/tip/height"]),
        ("/blocks", ["/blocks"]),
        ("/blocks/:height", [f"/blocks/{height}" for height in range(0, tip + 1, max(1, tip // SAMPLES))]),
        ("/block-height/:height", [f"/block-height/{tip // 2}"]),
        ("/block/:hash", [f"/block/{full}"]),
        ("/block/:hash/header", [f"/block/{full}/header"]),
        ("/block/:hash/raw", [f"/block/{full}/raw"]),
        ("/block/:hash/status", [f"/block/{full}/status"]),
        ("/block/:hash/txids", [f"/block/{full}/txids"]),
        ("/block/:hash/txid/:index", [f"/block/{full}/txid/{len(in_full) // 2}"]),
        ("/block/:hash/txs", [f"/block/{full}/txs"]),
        ("/block/:hash/txs/:start", [f"/block/{full}/txs/{start}" for start in starts]),
        ("/tx/:txid", [f"/tx/{txid}" for txid in txs]),
        ("/tx/:txid (unconfirmed)", [f"/tx/{txid}" for txid in pooled]),
        ("/tx/:txid/hex", [f"/tx/{txid}/hex" for txid in txs]),
        ("/tx/:txid/raw", [f"/tx/{txid}/raw" for txid in txs]),
        ("/tx/:txid/status", [f"/tx/{txid}/status" for txid in txs]),
        ("/tx/:txid/merkle-proof", [f"/tx/{txid}/merkle-proof" for txid in in_full]),
        ("/tx/:txid/merkleblock-proof", [f"/tx/{txid}/merkleblock-proof" for txid in in_full]),
        ("/tx/:txid/outspend/:vout", [f"/tx/{txid}/outspend/1" for txid in txs]),
        ("/tx/:txid/outspends", [f"/tx/{txid}/outspends" for txid in txs]),
        ("/txs/outspends", [f"/txs/outspends?txids={','.join(spread[:10])}"]),
        ("/address/:address", [f"/address/{busy}"]),
        ("/scripthash/:hash", [f"/scripthash/{sha256(p2wpkh(BUSY)).hex()}"]),
        ("/address/:address/txs", [f"/address/{busy}/txs"]),
        ("/address/:address/txs/chain", [f"/address/{busy}/txs/chain"]),
        ("/address/:address/txs/chain/:last", [f"/address/{busy}/txs/chain/{txid}" for txid in spread[2:]]),
        ("/address/:address/txs/mempool", [f"/address/{busy}/txs/mempool"]),
        ("/address/:address/txs?after_txid", [f"/address/{busy}/txs?max_txs=25&after_txid={t}" for t in spread[2:]]),
        ("/address/:address/txs/summary", [f"/address/{busy}/txs/summary?max_txs=100"]),
        ("/address/:address/utxo (another)", [f"/address/{address(n)}/utxo" for n in range(SAMPLES)]),
        ("/address-prefix/:prefix", [f"/address-prefix/{busy[:8]}", f"/address-prefix/{busy[:12]}"]),
        ("/mempool", ["/mempool"]),
        ("/mempool/txids", ["/mempool/txids"]),
        ("/mempool/txids/page", ["/mempool/txids/page?max_txs=50"]),
        ("/mempool/recent", ["/mempool/recent"]),
        ("/fee-estimates", ["/fee-estimates"]),
        ("/api/v1/fees/recommended", ["/api/v1/fees/recommended"]),
        ("/api/v1/fees/mempool-blocks", ["/api/v1/fees/mempool-blocks"]),
        ("/api/v1/cpfp/:txid", [f"/api/v1/cpfp/{txid}" for txid in pooled]),
        ("/api/v1/validate-address/:address", [f"/api/v1/validate-address/{busy}"]),
        ("/api/v1/difficulty-adjustment", ["/api/v1/difficulty-adjustment"]),
        ("/api/v1/blocks", ["/api/v1/blocks"]),
        ("/api/v1/transaction-times", [f"/api/v1/transaction-times?txId[]={txid}" for txid in pooled]),
        ("/wait?txid", [f"/wait?txid={txid}" for txid in spread]),
        ("page /", ["/"]),
        ("page /block/:hash", [f"/block/{full}"]),
        ("page /tx/:txid", [f"/tx/{txid}" for txid in txs]),
        ("page /address/:address", [f"/address/{busy}"]),
        ("page /mempool", ["/mempool"]),
    ]
    return [
        *(Resource(name, paths) for name, paths in found),
        Resource("POST /addresses/txs", ["/addresses/txs?max_txs=25"], pair),
        Resource("/address/:address/utxo (all coins)", [f"/address/{busy}/utxo"]),
    ]


@contextlib.contextmanager
def served(redis_url: str) -> Iterator[int]:
    """Run the explorer and give its port."""
    port = free_port()
    with services("explorer", redis_url=redis_url, explorer_port=str(port)) as (service,):
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                if Client(port).ask("/readyz")[0] == 200:
                    break
            if service.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the explorer does not answer")
            time.sleep(0.05)
        yield port


def stream(built: BuiltChain, count: Synchronized[int], stop: Event) -> None:
    """Let transactions enter the pool, ten at a time and 1,000 a second at most, until told to stop."""
    began = time.perf_counter()
    while not stop.wait(max(0.0, began + count.value / STREAM_RATE - time.perf_counter())):
        numbers = range(count.value, count.value + STREAM_BATCH)
        txs = [payment(next(built.coins), script(10**9 + number), number) for number in numbers]
        built.chain.pool_add_all(txs)
        count.value += STREAM_BATCH


@contextlib.contextmanager
def stream_of_transactions(built: BuiltChain) -> Iterator[Synchronized[int]]:
    """Let a process of its own fill the pool until the block is left; gives how many transactions it has added."""
    context = multiprocessing.get_context("fork")
    count, stop = context.Value("q", 0), context.Event()
    process = context.Process(target=stream, args=(built, count, stop))
    process.start()
    try:
        yield count
    finally:
        stop.set()
        process.join()


def measure(port: int, wanted: list[Resource], count: int, seconds: float) -> dict[str, Latencies]:
    client = Client(port)
    found = {}
    for resource in wanted:
        headers = {"Accept": "text/html"} if resource.name.startswith("page ") else {}
        found[resource.name] = client.measure(resource.paths, resource.body, headers, count, seconds)
        failed = {status: n for status, n in found[resource.name].statuses.items() if status != 200}
        if failed:
            print(f"{resource.name}: {failed}", flush=True)
    return found


def print_table(names: tuple[str, str], small: dict[str, Latencies], large: dict[str, Latencies]) -> None:
    print(
        f"{'milliseconds':<40} {names[0] + ' p50':>10} {'p99':>8}   {names[1] + ' p50':>10} {'p99':>8}   ratio of p50"
    )
    for name, few in small.items():
        many = large[name]
        a, b = few.percentile(50), many.percentile(50)
        print(f"{name:<40} {a:10.2f} {few.percentile(99):8.2f}   {b:10.2f} {many.percentile(99):8.2f}   {b / a:12.1f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--outputs", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=100, help="of each resource")
    parser.add_argument("--seconds", type=float, default=3.0, help="at most, for each resource")
    asked = parser.parse_args()
    tables = []
    for size in (SMALL, Size(asked.outputs)):
        server = redis_server()
        server.start()
        try:
            began = time.perf_counter()
            built = build(connect(server.url), size)
            counts = f"{size.history:,} transactions of one address, {size.full_block:,} in a block and in the pool"
            print(f"{size.outputs:,} outputs, {counts}: built in {time.perf_counter() - began:.0f} s", flush=True)
            with served(server.url) as port:
                wanted = resources(built)
                tables.append(measure(port, wanted, asked.requests, asked.seconds))
                if size is SMALL:
                    continue
                print_table(("small", "large"), *tables)
                print()
                for name in ("/blocks/tip/height", "/tx/:txid", "/address/:address/txs", "/block/:hash/txs"):
                    paths = next(resource.paths for resource in wanted if resource.name == name)
                    rate = requests_per_second(port, paths, CONNECTIONS, asked.seconds)
                    print(f"{name:<40} {rate:10,.0f} requests/s over {CONNECTIONS} connections", flush=True)
                began = time.perf_counter()
                with stream_of_transactions(built) as added:
                    again = [resource for resource in wanted if resource.name in BUSY_TIMES]
                    streamed = measure(port, again, asked.requests, asked.seconds)
                rate = added.value / (time.perf_counter() - began)
                print(f"\nat rest, and while {rate:,.0f} transactions a second enter the pool:")
                print_table(("rest", "busy"), {name: tables[1][name] for name in streamed}, streamed)
        finally:
            server.close()


if __name__ == "__main__":
    main()
