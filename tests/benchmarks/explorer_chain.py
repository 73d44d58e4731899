"""Builds chains of any size for bench_explorer, through the commit path and without validating them."""

from __future__ import annotations

import gc
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import redis as redis_py

from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.primitives.block import Block
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from tests.builders import key, p2wpkh
from tests.integration.explorer.chain import TestChain

MINER, BUSY = key("miner"), key("busy")
FAN = 100
"""Outputs of one of the transactions that make up the most of a chain."""
COIN_VALUE = 20_000
WITNESS = (bytes(71), bytes(33))


@dataclass(frozen=True)
class Size:
    """The approximate content of a chain."""

    outputs: int

    @property
    def history(self) -> int:
        """Transactions of the busy address."""
        return self.outputs // 10

    @property
    def full_block(self) -> int:
        """Payments in the largest block; as many wait in the pool."""
        return min(6_000, self.outputs // 100)


@dataclass(frozen=True)
class BuiltChain:
    """A chain in Redis, with things in it to request."""

    chain: TestChain
    busy_txs: list[Transaction]
    """Confirmed, oldest first."""
    full: Block
    pooled: list[Transaction]
    coins: Iterator[OutPoint]
    """Unspent outputs of `COIN_VALUE`, for more transactions in the pool."""

    @property
    def busy(self) -> str:
        """The busy address."""
        address = encode_address(p2wpkh(BUSY), REGTEST.address)
        assert address is not None
        return address


def address(number: int) -> str:
    """The address of `script`."""
    found = encode_address(script(number), REGTEST.address)
    assert found is not None
    return found


def script(number: int) -> bytes:
    """A P2WPKH script of its own for each number."""
    return b"\x00\x14" + hashlib.sha256(number.to_bytes(8, "big")).digest()[:20]


def spending(outpoint: OutPoint, *outputs: TxOut) -> Transaction:
    return Transaction(2, (TxIn(outpoint, b"", 0xFFFFFFFD, WITNESS),), outputs)


def payment(outpoint: OutPoint, payee: bytes, number: int) -> Transaction:
    """Spend a coin of `COIN_VALUE`, with one of 400 feerates."""
    return spending(outpoint, TxOut(10_000, payee), TxOut(9_800 - number * 7 % 4_000, script(2**40 + number % 1000)))


def build(client: redis_py.Redis, size: Size) -> BuiltChain:
    client.flushall()
    client.config_set("appendonly", "no")  # it is not writing that is measured
    gc.disable()
    chain = TestChain(client)
    numbers = itertools.count()
    blocks = max(10, size.history // 1_000)
    purse = OutPoint(chain.mine(MINER).transactions[0].txid, 0)
    purse_value = chain.tip.transactions[0].outputs[0].value
    busy_txs: list[Transaction] = []
    fanned: list[Transaction] = []
    fans = max(1, (size.outputs - 2 * size.history) // blocks // FAN)
    for _ in range(blocks):
        coinbase = chain.tip.transactions[0]
        rest = OutPoint(coinbase.txid, 0)
        value = coinbase.outputs[0].value
        txs = []
        if len(chain.blocks) > 2:
            for _ in range(fans):
                value -= FAN * COIN_VALUE
                outputs = [TxOut(COIN_VALUE, script(next(numbers))) for _ in range(FAN)]
                txs.append(spending(rest, *outputs, TxOut(value, p2wpkh(MINER))))
                rest = OutPoint(txs[-1].txid, FAN)
            fanned += txs
        for _ in range(size.history // blocks):
            purse_value -= 1_500
            busy_txs.append(spending(purse, TxOut(1_000, p2wpkh(BUSY)), TxOut(purse_value, p2wpkh(MINER))))
            purse = OutPoint(busy_txs[-1].txid, 1)
            txs.append(busy_txs[-1])
        chain.mine(MINER, txs)
    coins = (OutPoint(tx.txid, vout) for vout in range(FAN) for tx in fanned)
    full = chain.mine(
        MINER, [payment(next(coins), script(next(numbers)), n) for n in range(size.full_block)], miner="large"
    )
    pooled = [
        payment(next(coins), script(next(numbers)) if n % 12 else p2wpkh(BUSY), n) for n in range(size.full_block)
    ]
    for first in range(0, len(pooled), 100):
        chain.pool_add_all(pooled[first : first + 100])
    gc.enable()
    return BuiltChain(chain, busy_txs, full, pooled, coins)
