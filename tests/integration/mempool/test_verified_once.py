"""A block of transactions that the pool knows runs no script a second time."""

from __future__ import annotations

from shared.primitives.transaction import TxOut
from tests.builders import key, p2wpkh, pay, spend
from tests.integration.mempool.conftest import Chain


def test_a_block_of_pooled_transactions_verifies_nothing_twice(chain: Chain, runs: list[tuple[bytes, int]]) -> None:
    coins = chain.mature_coins(4)
    pooled = [pay(coin, key("alice"), 1_000_000) for coin in coins[:2]]
    pooled.append(spend(coins[2:], [TxOut(2_000_000, p2wpkh(key("bob")))]))
    assert all(verdict.accepted for verdict in chain.submit(*pooled))
    assert len(runs) == 4
    chain.mine(txs=pooled)
    assert len(runs) == 4
    assert len(chain.node.pool) == 0


def test_a_block_verifies_only_what_the_pool_did_not_know(chain: Chain, runs: list[tuple[bytes, int]]) -> None:
    coins = chain.mature_coins(2)
    known, unknown = (pay(coin, key("alice"), 1_000_000) for coin in coins)
    chain.submit(known)
    assert len(runs) == 1
    chain.mine(txs=[known, unknown])
    assert runs[1:] == [(unknown.txid, 0)]


def test_a_reorganisation_verifies_nothing_twice_either(chain: Chain, runs: list[tuple[bytes, int]]) -> None:
    (coin,) = chain.mature_coins()
    base = chain.mine()[0]
    tx = pay(coin, key("alice"), 1_000_000)
    chain.mine(txs=[tx])
    assert len(runs) == 1
    first = chain.block(on=base, tag=b"other")
    assert chain.accept(first).accepted
    assert chain.accept(chain.block([tx], on=first, tag=b"other")).accepted
    assert chain.node.tree.tip.header.prev_hash == first.hash
    assert len(runs) == 1


def test_a_new_writer_verifies_for_itself(chain: Chain, runs: list[tuple[bytes, int]]) -> None:
    (coin,) = chain.mature_coins()
    tx = pay(coin, key("alice"), 1_000_000)
    chain.submit(tx)
    assert len(runs) == 1
    chain.node = chain.new_writer()
    chain.mine(txs=[tx])
    assert len(runs) == 2
