"""The stack on Redis Streams and on RabbitMQ, side by side in one run.

    .venv/bin/python -m tests.benchmarks.bench_shapes [--rounds 3] [--shapes embedded,rabbitmq] [--rows posts,wallets]

Starts mempool, wallet and explorer twice, once on each bus, and lets both do the same work in turn: transactions by
JSON-RPC in batches of 100, `POST /tx` by 8 clients, payments by 16 clients, each of a wallet of its own, and payments
by 16 clients of one wallet. Prints the best of all rounds, its processor time for each transaction by process, and the
ratio of both shapes. Servers are processes or containers as in the tests; of a container the time is not known.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from deploy.setup import topology
from shared.consensus.params import REGTEST
from shared.crypto.address import decode_address
from shared.primitives.transaction import Transaction, TxOut
from tests import builders
from tests.benchmarks import http_load
from tests.benchmarks.bench_rpc import BATCH, OWNER, SCRIPT, submit, wait_for_writer
from tests.benchmarks.services import cpu_seconds, services
from tests.servers import free_ports, rabbitmq_server, redis_server

POSTERS = 8
PAYERS = 16
COIN = 200_000
PAYMENT = "0.0005"
PASSWORD = "a password for benchmarks"
SIZES = {"batches": 2_000, "posts": 400, "wallets": 160, "one wallet": 160}
"""Transactions of one round."""
ROWS = {
    "batches": f"JSON-RPC, batches of {BATCH}",
    "posts": f"POST /tx, {POSTERS} clients",
    "wallets": f"payments, {PAYERS} clients and wallets",
    "one wallet": f"payments, {PAYERS} clients, one wallet",
}
JSON = {"Content-Type": "application/json"}
PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@dataclass
class Result:
    """The highest rate of a row, and its least processor time."""

    rate: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """Milliseconds for each transaction, by process."""


class Shape:
    """A running stack with coins to spend."""

    def __init__(self, name: str, rounds: int, stack: ExitStack) -> None:
        self.name = name
        self.results = {row: Result() for row in ROWS}
        self.rpc_port, self.wallet_port, self.explorer_port = free_ports(3)
        self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = redis_server()
        stack.callback(redis.close)
        redis.start()
        settings = {
            "redis_url": redis.url,
            "rpc_port": str(self.rpc_port),
            "wallet_port": str(self.wallet_port),
            "explorer_port": str(self.explorer_port),
            "data_dir": str(self.directory),
            "creator_blocks": "0",
        }
        self.pids = {"redis": getattr(redis, "pid", 0)}
        if name == "rabbitmq":
            rabbit = rabbitmq_server()
            stack.callback(rabbit.close)
            rabbit.start()
            topology.make(rabbit.url)
            settings |= {"broker": "rabbitmq", "amqp_url": rabbit.url}
            self.pids["rabbitmq"] = getattr(rabbit, "pid", 0)
        names = ("mempool", "wallet", "explorer")
        running = stack.enter_context(services(*names, **settings))
        self.pids |= {service: process.pid for service, process in zip(names, running, strict=True)}
        self.client = wait_for_writer(self.rpc_port, self.directory)
        for port in (self.wallet_port, self.explorer_port):
            http_load.wait_for(port)
        self.wallets = [f"payer{number}" for number in range(PAYERS)] + ["one"]
        self.cookies: dict[str, str] = {}
        self._fund(rounds)

    def _fund(self, rounds: int) -> None:
        """Mine coins for every transaction of all rounds, and a few for payments that come too soon."""
        own = rounds * (SIZES["batches"] + SIZES["posts"])
        each = rounds * SIZES["wallets"] // PAYERS + 5
        counts = dict.fromkeys(self.wallets, each) | {"one": rounds * SIZES["one wallet"] + 5}
        outputs = [TxOut(COIN, SCRIPT)] * own
        for wallet, count in counts.items():
            outputs += [TxOut(COIN, script)] * count if (script := self._open(wallet)) else []
        blocks = [REGTEST.genesis]
        for height in range(1, 102):
            blocks.append(builders.make_block(blocks[-1].header, height, SCRIPT))
            submit(self.client, blocks[-1])
        fan = builders.spend([builders.output_of(blocks[1].transactions[0], 0, OWNER)], outputs)
        submit(self.client, builders.make_block(blocks[-1].header, 102, SCRIPT, [fan]))
        self.txs = [builders.pay(builders.output_of(fan, vout, OWNER), OWNER, COIN // 2) for vout in range(own)]

    def _open(self, wallet: str) -> bytes:
        """Create and unlock a wallet; return its scriptPubKey."""
        base = "/api/wallets"
        body = json.dumps({"id": wallet, "password": PASSWORD})
        connection = http.client.HTTPConnection("127.0.0.1", self.wallet_port)
        connection.request("POST", base, body, JSON)
        address = json.loads(connection.getresponse().read())["address"]
        connection.request("POST", f"{base}/{wallet}/unlock", json.dumps({"password": PASSWORD}), JSON)
        self.cookies[wallet] = connection.getresponse().headers["Set-Cookie"].partition(";")[0]
        connection.close()
        return decode_address(address, REGTEST.address)

    # ── the rows ────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, row: str) -> None:
        """Do one round of a row, and keep its result if it is the best."""
        actions: dict[str, Callable[[int], None]] = {
            "batches": lambda count: self.client.send(self._take(count)),
            "posts": self._post,
            "wallets": lambda count: self._pay(self.wallets[:PAYERS], count),
            "one wallet": lambda count: self._pay(["one"], count),
        }
        count = SIZES[row]
        before = {name: cpu_seconds(pid) for name, pid in self.pids.items()}
        began = time.perf_counter()
        actions[row](count)
        rate = count / (time.perf_counter() - began)
        cpu = {name: 1000 * (cpu_seconds(pid) - before[name]) / count for name, pid in self.pids.items()}
        best = self.results[row]
        best.rate = max(best.rate, rate)
        if not best.cpu or sum(cpu.values()) < sum(best.cpu.values()):
            best.cpu = cpu

    def _take(self, count: int) -> Sequence[Transaction]:
        taken, self.txs = self.txs[:count], self.txs[count:]
        return taken

    def _post(self, count: int) -> None:
        bodies = [tx.serialize().hex() for tx in self._take(count)]
        _at_once([_Requests(self.explorer_port, "/tx", bodies[n::POSTERS], {}) for n in range(POSTERS)])

    def _pay(self, wallets: Sequence[str], count: int) -> None:
        bodies = [json.dumps({"to": PAYEE, "amount": PAYMENT})] * (count // PAYERS)
        payers = [wallets[n % len(wallets)] for n in range(PAYERS)]
        _at_once(
            [
                _Requests(self.wallet_port, f"/api/wallets/{w}/send", bodies, JSON | {"Cookie": self.cookies[w]})
                for w in payers
            ]
        )


@dataclass(frozen=True)
class _Requests:
    """The requests of one client, over one connection."""

    port: int
    path: str
    bodies: Sequence[str]
    headers: dict[str, str]

    def send(self) -> None:
        client = http_load.Client(self.port)
        for body in self.bodies:
            status, answer = client.ask(self.path, body, self.headers)
            if status != 200:
                raise RuntimeError(f"{self.path}: {status} {answer.decode()}")
        client.close()


def _at_once(clients: Sequence[_Requests]) -> None:
    with ThreadPoolExecutor(len(clients)) as pool:
        for done in [pool.submit(client.send) for client in clients]:
            done.result()


def show(shapes: Sequence[Shape]) -> None:
    for row, title in ROWS.items():
        if not shapes[0].results[row].rate:
            continue
        print(title)
        for shape in shapes:
            best = shape.results[row]
            cpu = "  ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in best.cpu.items())
            print(f"    {shape.name:10} {best.rate:8,.0f} /s   CPU ms: {sum(best.cpu.values()):6.2f} = {cpu}")
        if len(shapes) == 2:
            print(f"    {'ratio':10} {shapes[1].results[row].rate / shapes[0].results[row].rate:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", default="embedded,rabbitmq")
    parser.add_argument("--rows", default=",".join(ROWS))
    options = parser.parse_args()
    with ExitStack() as stack:
        shapes = [Shape(name, options.rounds, stack) for name in options.shapes.split(",")]
        print(f"{options.rounds} rounds", flush=True)
        for _ in range(options.rounds):
            for row in options.rows.split(","):
                for shape in shapes:
                    shape.run(row)
        show(shapes)


if __name__ == "__main__":
    main()
