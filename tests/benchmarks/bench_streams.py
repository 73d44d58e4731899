"""How soon facts reach many listeners, and how the explorer answers meanwhile.

    .venv/bin/python -m tests.benchmarks.bench_streams [streams] [websockets] [seconds]

Starts a private Redis, a mempool service and an explorer. Event streams and websockets are open while transactions and
blocks are sent and 50 requests at a time are asked; prints latency from before a block is submitted (so with its
validation and commit) and from the reply that follows the commit, the rate and latency of requests, and the
explorer's memory. All of it, clients too, shares the machine's processors.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from websockets.asyncio.client import connect

from shared.consensus.params import REGTEST
from shared.primitives.block import BlockHeader
from shared.primitives.transaction import TxOut
from tests import builders
from tests.benchmarks.bench_rpc import OWNER, SCRIPT, Client, submit, wait_for_writer
from tests.benchmarks.services import services
from tests.servers import free_ports, redis_server

REQUESTS_AT_A_TIME = 50
DEFAULTS = ("200", "20", "20")
TX_PAUSE = 0.1
TXS_AT_A_TIME = 10
BLOCK_EVERY = 10
"""Rounds of transactions."""


class Times:
    """When each block was sent, committed, and received by whom."""

    def __init__(self) -> None:
        self.submitted: dict[str, float] = {}
        self.committed: dict[str, float] = {}
        self.events: list[tuple[str, float]] = []
        self.blocks: list[tuple[str, float]] = []
        self.requests: list[float] = []
        self.facts = 0


async def listen(port: int, times: Times) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    try:
        while line := await reader.readline():
            if line.startswith(b"data:"):
                times.facts += 1
                if b'"tx_count"' in line:
                    times.events.append((json.loads(line[5:])["hash"], time.perf_counter()))
    finally:
        writer.close()


async def watch(port: int, times: Times) -> None:
    async with connect(f"ws://127.0.0.1:{port}/api/v1/ws", max_size=None) as ws:
        await ws.send(json.dumps({"action": "want", "data": ["blocks", "stats", "mempool-blocks"]}))
        async for text in ws:
            message = json.loads(text)
            if "block" in message:
                times.blocks.append((message["block"]["id"], time.perf_counter()))


async def ask(port: int, times: Times) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            began = time.perf_counter()
            writer.write(b"GET /blocks/tip/height HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            times.requests.append(time.perf_counter() - began)
    finally:
        writer.close()


def send(client: Client, rounds: int, times: Times, coins: list, header, height: int) -> None:
    for number in range(rounds):
        txs = [builders.pay(coins.pop(), OWNER, 200_000) for _ in range(TXS_AT_A_TIME)]
        client.send(txs)
        if number % BLOCK_EVERY == BLOCK_EVERY - 1:
            block = builders.make_block(header, height, SCRIPT)
            times.submitted[block.hash_hex] = time.perf_counter()
            submit(client, block)
            times.committed[block.hash_hex] = time.perf_counter()
            header, height = block.header, height + 1
        time.sleep(TX_PAUSE)


def percentiles(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return f"p50 {cuts[49] * 1000:7.1f} ms   p99 {cuts[98] * 1000:7.1f} ms   max {max(values) * 1000:7.1f} ms"


def show(what: str, received: list[tuple[str, float]], times: Times) -> None:
    print(f"{what}, since sent       {percentiles([at - times.submitted[name] for name, at in received])}")
    print(f"{what}, since the reply  {percentiles([at - times.committed[name] for name, at in received])}")


def memory(pid: int) -> int:
    """Return a process's resident memory in MB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) // 1024


async def measure(client: Client, port: int, pid: int, streams: int, sockets: int, seconds: int, setup: tuple) -> None:
    times = Times()
    print(f"explorer's memory before                         {memory(pid):6} MB", flush=True)
    tasks = [asyncio.create_task(listen(port, times)) for _ in range(streams)]
    tasks += [asyncio.create_task(watch(port, times)) for _ in range(sockets)]
    await asyncio.sleep(3)  # all are connected
    print(f"with {streams} event streams and {sockets} websockets open       {memory(pid):6} MB", flush=True)
    for title, askers in (
        ("without requests", 0),
        (f"with {REQUESTS_AT_A_TIME} requests at a time", REQUESTS_AT_A_TIME),
    ):
        times.events, times.blocks, times.requests, times.facts = [], [], [], 0
        asking = [asyncio.create_task(ask(port, times)) for _ in range(askers)]
        began = time.perf_counter()
        rounds = seconds * 5
        sender = threading.Thread(target=send, args=(client, rounds, times, *setup))
        sender.start()
        while sender.is_alive():
            await asyncio.sleep(0.05)
        took = time.perf_counter() - began
        await asyncio.sleep(1)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        print(f"-- {title}: {len(times.events) // streams} blocks, {rounds * TXS_AT_A_TIME} transactions, {took:.1f} s")
        print(f"facts received                                   {times.facts / took:6.0f} /s")
        show("block by event stream", times.events, times)
        show("block by websocket   ", times.blocks, times)
        if askers:
            print(f"requests                                         {len(times.requests) / took:6.0f} /s")
            print(f"requests                        {percentiles(times.requests)}")
        print(f"explorer's memory                                {memory(pid):6} MB", flush=True)
        tip = client.call("getblockheader", client.call("getbestblockhash"), False)
        setup = (setup[0], BlockHeader.parse(bytes.fromhex(tip)), client.call("getblockcount") + 1)
    if missing := [task.exception() for task in tasks if task.done()]:
        raise RuntimeError(f"{len(missing)} listeners were cut off: {missing[0]}")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def prepare(client: Client, count: int) -> tuple:
    header = REGTEST.genesis.header
    blocks = []
    for height in range(1, 102):
        blocks.append(builders.make_block(header, height, SCRIPT))
        header = blocks[-1].header
        submit(client, blocks[-1])
    fan = builders.spend(
        [builders.output_of(blocks[0].transactions[0], 0, OWNER)], [TxOut(500_000, SCRIPT) for _ in range(count)]
    )
    block = builders.make_block(header, 102, SCRIPT, [fan])
    submit(client, block)
    return [builders.output_of(fan, vout, OWNER) for vout in range(count)], block.header, 103


def main() -> None:
    streams, sockets, seconds = (int(text) for text in [*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :]])
    rpc_port, port = free_ports(2)
    server = redis_server()
    server.start()
    settings = {"redis_url": server.url, "rpc_port": str(rpc_port), "explorer_port": str(port)}
    try:
        with (
            tempfile.TemporaryDirectory() as directory,
            services("mempool", "explorer", data_dir=directory, **settings) as (_, explorer),
        ):
            client = wait_for_writer(rpc_port, Path(directory))
            setup = prepare(client, 2 * seconds * 5 * TXS_AT_A_TIME)
            asyncio.run(measure(client, port, explorer.pid, streams, sockets, seconds, setup))
    finally:
        server.close()


if __name__ == "__main__":
    main()
