"""Warren beside bitcoind, row by row, in one run: `python -m tests.benchmarks.bench_core [--bitcoind PATH]`.

Both nodes are started as their users start them, and get the same transactions and blocks over JSON-RPC. Prints for
each row what each of them takes, and Warren's number as a multiple of bitcoind's; processor time is that of all
processes of a node. Without `--bitcoind` Warren's numbers stand alone. docs/speed.md has a run, and says how to build
bitcoind.

`large pool` and `replay` take minutes, so they run only when `--rows` names them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from shared.consensus.params import REGTEST
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction, TxOut
from tests import builders
from tests.benchmarks.nodes import Node, bitcoind, request, warren

BATCH = 100
OWNER = builders.key("bench")
SCRIPT = builders.p2wpkh(OWNER)
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
MATURE = 100
READS = 2_000
RATIOS = {"/s": "its rate", "s": "its time", "MB": "its memory"}
LARGE_POOL = 100_000
FORK_HEIGHT = 228
LARGE_REORG = 1_088
FILLER = bytes(999_000)
ROWS = ("speed", "large pool", "replay")


@dataclass
class Measured:
    """A node's numbers: row → (number, unit, microseconds of processor time per operation or 0)."""

    rows: dict[str, tuple[float, str, float]] = field(default_factory=dict)

    def rate(self, row: str, node: Node, count: int, action: Callable[[], object]) -> None:
        """Run `count` operations; write down how many a second, and the processor time of each."""
        cpu, began = node.cpu(), time.perf_counter()
        action()
        seconds = time.perf_counter() - began
        self.rows[row] = (count / seconds, "/s", 1e6 * (node.cpu() - cpu) / count)

    def seconds(self, row: str, action: Callable[[], object], times: int = 1) -> None:
        """Run an action some times; write down the shortest."""
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            action()
            taken.append(time.perf_counter() - began)
        self.rows[row] = (min(taken), "s", 0.0)


@dataclass(frozen=True)
class Load:
    """Blocks with mature coins, and payments of them that depend on no other."""

    blocks: list[Block]
    txs: list[Transaction]

    @classmethod
    def make(cls, count: int) -> Load:
        """Return a load with `count` payments of one input and two outputs."""
        blocks = [REGTEST.genesis]
        per_fan = 6_000
        fans = -(-count // per_fan)
        for height in range(1, MATURE + fans + 1):
            blocks.append(builders.make_block(blocks[-1].header, height, SCRIPT))
        made = []
        for number in range(fans):
            coin = builders.output_of(blocks[1 + number].transactions[0], 0, OWNER)
            fan = builders.spend([coin], [TxOut(500_000, SCRIPT)] * min(per_fan, count - number * per_fan))
            blocks.append(builders.make_block(blocks[-1].header, len(blocks), SCRIPT, [fan]))
            made.append(fan)
        coins = [builders.output_of(fan, vout, OWNER) for fan in made for vout in range(len(fan.outputs))]
        return cls(blocks[1:], [builders.pay(coin, OWNER, 200_000) for coin in coins])


def submit(node: Node, blocks: Sequence[Block]) -> None:
    for block in blocks:
        if (verdict := node.call("submitblock", block.serialize().hex())) is not None:
            raise RuntimeError(verdict)


def single(txs: Sequence[Transaction]) -> list[bytes]:
    return [request("sendrawtransaction", tx.serialize().hex()) for tx in txs]


def batched(bodies: Sequence[bytes]) -> list[bytes]:
    return [b"[" + b",".join(bodies[first : first + BATCH]) + b"]" for first in range(0, len(bodies), BATCH)]


def expect(actual: object, expected: object, what: str) -> None:
    if actual != expected:
        raise RuntimeError(f"{what}: {actual!r}, not {expected!r}")


def speed(node: Node, load: Load, measured: Measured) -> None:
    """Admission, a template, the block with all that is pooled, look-ups, blocks without payments."""
    submit(node, load.blocks)
    third = len(load.txs) // 3
    bodies = single(load.txs)
    one, four, batches = bodies[:third], bodies[third : 2 * third], batched(bodies[2 * third :])
    measured.rate("sendrawtransaction, 1 connection", node, third, lambda: node.send_all(one, 1))
    measured.rate("sendrawtransaction, 4 connections", node, third, lambda: node.send_all(four, 4))
    last = len(bodies) - 2 * third
    measured.rate(f"sendrawtransaction, batches of {BATCH}", node, last, lambda: node.send_all(batches, 1))
    expect(node.call("getmempoolinfo")["size"], len(load.txs), "transactions in the pool")
    pooled = f"{len(load.txs):,} pooled"
    measured.seconds(f"getblocktemplate, {pooled}", partial(node.call, "getblocktemplate", {"rules": ["segwit"]}))
    measured.seconds(f"mine and connect {pooled}", partial(node.call, "generatetoaddress", 1, ADDRESS))
    best = node.call("getbestblockhash")
    block = node.call("getblock", best, 1)
    expect(block["nTx"], len(load.txs) + 1, "transactions in the block")
    txids = block["tx"][1:]
    chosen = [txids[number * 7919 % len(txids)] for number in range(READS)]
    for row, parameters in (("getrawtransaction", ()), ("getrawtransaction with block hash", (best,))):
        reads = [request("getrawtransaction", txid, True, *parameters) for txid in chosen]
        measured.rate(row, node, READS, partial(node.send_all, reads, 1))
    measured.rate("getblockcount", node, READS, lambda: node.send_all([request("getblockcount")] * READS, 1))
    body = request("getblock", best, 1)
    measured.seconds(f"getblock 1 with {len(txids):,} transactions", partial(node.send_all, [body], 1), 10)
    measured.seconds("generatetoaddress 120", partial(node.call, "generatetoaddress", 120, ADDRESS))


def large_pool(node: Node, load: Load, measured: Measured) -> None:
    """A template from a pool of a hundred thousand."""
    submit(node, load.blocks)
    bodies = batched(single(load.txs))
    measured.rate(f"{len(load.txs):,} by batches of {BATCH}", node, len(load.txs), partial(node.send_all, bodies, 1))
    body = request("getblocktemplate", {"rules": ["segwit"]})
    measured.seconds(f"getblocktemplate, {len(load.txs):,} pooled", partial(node.send_all, [body], 1))
    expect(node.call("getmempoolinfo")["size"], len(load.txs), "transactions in the pool")


def replayed_blocks() -> Iterator[Block]:
    """Yield a chain with a thousand full blocks, then an empty branch that replaces them (Core's feature_block.py)."""
    header, coins = REGTEST.genesis.header, list[builders.Spendable]()

    def next_block(txs: Sequence[Transaction] = ()) -> Block:
        nonlocal header
        block = builders.make_block(header, len(coins) + 1, SCRIPT, txs)
        coins.append(builders.output_of(block.transactions[0], 0, OWNER))
        header = block.header
        return block

    for _ in range(FORK_HEIGHT):
        yield next_block()
    fork = header
    for number in range(LARGE_REORG):
        yield next_block([builders.spend([coins[number]], [TxOut(coins[number].output.value, FILLER)])])
    header = fork
    for height in range(FORK_HEIGHT + 1, FORK_HEIGHT + LARGE_REORG + 2):
        rival = builders.make_block(header, height, SCRIPT, tag=b"rival")
        header = rival.header
        yield rival


def replay(node: Node, _: Load, measured: Measured) -> None:
    """Blocks over `submitblock`; only the node's time counts."""
    connection = node.connect()
    seconds, count, tip = 0.0, 0, ""
    for block in replayed_blocks():
        body = request("submitblock", block.serialize().hex())
        began = time.perf_counter()
        answer = connection.post(body)
        seconds += time.perf_counter() - began
        if b'"result":null' not in answer and b'"inconclusive"' not in answer:
            raise RuntimeError(answer)
        count, tip = count + 1, block.hash_hex
    expect(node.call("getbestblockhash"), tip, "best block")
    connection.close()
    measured.rows[f"replay of {count:,} blocks, {LARGE_REORG:,} of them reorganised away"] = (seconds, "s", 0.0)


def measure(row: str, names: dict[str, Callable[[], AbstractContextManager[Node]]], count: int) -> dict[str, Measured]:
    action = {"speed": speed, "large pool": large_pool, "replay": replay}[row]
    load = Load([], []) if row == "replay" else Load.make(LARGE_POOL if row == "large pool" else count)
    found = {}
    for name, start in names.items():
        found[name] = Measured()
        with start() as node:
            action(node, load, found[name])
            for part, size in node.memory().items():
                found[name].rows[f"memory, {row}" + (" (Redis)" if part == "redis" else "")] = (size, "MB", 0.0)
    return found


def text(number: tuple[float, str, float] | None) -> str:
    if number is None:
        return "-"
    value, unit, cpu = number
    shown = f"{value:,.3f} {unit}" if unit == "s" else f"{value:,.0f} {unit}"
    return f"{shown}, {cpu:,.0f} µs" if cpu else shown


def show(found: dict[str, Measured]) -> None:
    core, ours = found.get("bitcoind"), found["warren"]
    for row, number in ours.rows.items():
        other = core.rows.get(row) if core else None
        ratio = f"{number[0] / other[0]:.2f} × {RATIOS[number[1]]}" if other else ""
        print(f"| {row} | {text(other)} | {text(number)} | {ratio} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bitcoind", type=Path, help="a bitcoind to compare with")
    parser.add_argument("--transactions", type=int, default=6_000)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=["speed"])
    arguments = parser.parse_args()
    names: dict[str, Callable[[], AbstractContextManager[Node]]] = {"warren": warren}
    if arguments.bitcoind:
        names = {"bitcoind": partial(bitcoind, arguments.bitcoind), **names}
    print("| work | bitcoind | Warren | Warren is |\n|---|---|---|---|", flush=True)
    for row in arguments.rows:
        show(measure(row, names, arguments.transactions))


if __name__ == "__main__":
    main()
