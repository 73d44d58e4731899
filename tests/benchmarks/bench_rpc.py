"""Transactions admitted per second over JSON-RPC, and the time to connect and to show a large block.

    .venv/bin/python -m tests.benchmarks.bench_rpc [transactions]

Starts a private Redis and one mempool service. Transactions (one input, two outputs, P2WPKH) go in batches of 100, half
of them over one connection and half over four.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.mempool.rpc.server.auth import cookie_path
from shared.consensus.params import REGTEST
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction, TxOut
from tests import builders
from tests.benchmarks.services import services
from tests.servers import free_port, redis_server

BATCH = 100
OWNER = builders.key("bench")
SCRIPT = builders.p2wpkh(OWNER)
READS = [("getblock", level) for level in (0, 1, 2, 3)]


class Client:
    """A connection to the node's port."""

    def __init__(self, port: int, data_dir: Path) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        cookie = cookie_path(data_dir, REGTEST.name).read_bytes()
        self.headers = {"Authorization": "Basic " + b64encode(cookie).decode()}

    def post(self, body: object) -> Any:
        self.connection.request("POST", "/", json.dumps(body), self.headers)
        return json.loads(self.connection.getresponse().read())

    def call(self, method: str, *params: object) -> Any:
        reply = self.post({"method": method, "params": params})
        if reply["error"] is not None:
            raise RuntimeError(f"{method}: {reply['error']}")
        return reply["result"]

    def send(self, txs: Sequence[Transaction]) -> None:
        calls = [{"method": "sendrawtransaction", "params": [tx.serialize().hex()]} for tx in txs]
        for start in range(0, len(calls), BATCH):
            failed = [reply["error"] for reply in self.post(calls[start : start + BATCH]) if reply["error"]]
            if failed:
                raise RuntimeError(failed[0])


def timed(what: str, action: Any, *args: Any) -> Any:
    began = time.perf_counter()
    result = action(*args)
    print(f"{what:<48} {time.perf_counter() - began:8.3f} s", flush=True)
    return result


def wait_for_writer(port: int, data_dir: Path) -> Client:
    deadline = time.monotonic() + 30
    while True:
        try:
            client = Client(port, data_dir)
            if client.post({"method": "submitblock", "params": [raw(REGTEST.genesis)]})["result"] == "duplicate":
                return client
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError("the mempool service does not answer")
        time.sleep(0.05)


def raw(item: Block | Transaction) -> str:
    return item.serialize().hex()


def submit(client: Client, block: Block) -> None:
    verdict = client.call("submitblock", raw(block))
    if verdict is not None:
        raise RuntimeError(verdict)


def send_over(connections: int, txs: Sequence[Transaction], port: int, data_dir: Path) -> None:
    threads = [
        threading.Thread(target=Client(port, data_dir).send, args=(txs[part::connections],))
        for part in range(connections)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(txs) / (time.perf_counter() - began)
    print(f"{f'{len(txs)} transactions over {connections} connection(s)':<48} {rate:8.0f} /s", flush=True)


def run(client: Client, count: int, port: int, data_dir: Path) -> None:
    blocks = [REGTEST.genesis]
    for height in range(1, 102):
        blocks.append(builders.make_block(blocks[-1].header, height, SCRIPT))
        submit(client, blocks[-1])
    coin = builders.output_of(blocks[1].transactions[0], 0, OWNER)
    fan = builders.spend([coin], [TxOut(500_000, SCRIPT) for _ in range(count)])
    blocks.append(builders.make_block(blocks[-1].header, 102, SCRIPT, [fan]))
    submit(client, blocks[-1])
    txs = [builders.pay(builders.output_of(fan, vout, OWNER), OWNER, 200_000) for vout in range(count)]
    send_over(1, txs[: count // 2], port, data_dir)
    send_over(4, txs[count // 2 :], port, data_dir)
    size = client.call("getmempoolinfo")["size"]
    if size != count:
        raise RuntimeError(f"{size} transactions in the pool, not {count}")
    timed("getrawmempool true", client.call, "getrawmempool", True)
    block = builders.make_block(blocks[-1].header, 103, SCRIPT, txs, fees=1_000 * count)
    timed(f"submitblock, {count} pooled transactions", submit, client, block)
    for method, level in READS:
        timed(f"{method} {level}", client.call, method, block.hash_hex, level)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 6_000
    port = free_port()
    server = redis_server()
    server.start()
    settings = {"redis_url": server.url, "rpc_port": str(port)}
    try:
        with tempfile.TemporaryDirectory() as directory, services("mempool", data_dir=directory, **settings):
            run(wait_for_writer(port, Path(directory)), count, port, Path(directory))
    finally:
        server.close()


if __name__ == "__main__":
    main()
