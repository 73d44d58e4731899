"""Branches: most work wins, first seen stays, everything a reorganisation moves is one commit."""

from __future__ import annotations

import dataclasses

import pytest

from services.mempool.blocks.accept_block import accept_block
from shared.consensus.params import REGTEST
from shared.primitives.block import Block
from shared.reasons import Reason
from tests.builders import coinbase, key, make_block, output_of, p2wpkh, pay
from tests.integration.mempool.conftest import Chain

ALICE, BOB = key("alice"), key("bob")


def branch(chain: Chain, on: Block, length: int, tag: bytes, **options) -> list[Block]:
    """A branch that the node does not know yet."""
    entry = chain.node.tree.get(on.hash)
    assert entry is not None
    blocks, header = [], entry.header
    for height in range(entry.height + 1, entry.height + 1 + length):
        block = make_block(header, height, p2wpkh(BOB), tag=tag, **(options if not blocks else {}))
        blocks.append(block)
        header = block.header
    return blocks


def test_of_two_branches_with_the_same_work_the_first_seen_stays(chain: Chain) -> None:
    (base,) = chain.mine()
    (first,) = chain.mine()
    (rival,) = branch(chain, base, 1, b"rival")
    verdict = chain.accept(rival)
    assert (verdict.accepted, verdict.reason) == (True, Reason.INCONCLUSIVE)
    assert chain.view.tip().hash == first.hash
    entry = chain.view.blocks.entry(rival.hash)
    assert entry is not None
    assert not chain.view.is_in_best_chain(entry)
    assert chain.view.blocks.get(rival.hash) == rival, "a side branch is stored"


def test_the_branch_with_more_work_becomes_the_chain(chain: Chain) -> None:
    (base,) = chain.mine()
    old = chain.mine(2)
    rivals = branch(chain, base, 3, b"rival")
    assert [chain.accept(block).reason for block in rivals] == [Reason.INCONCLUSIVE, Reason.INCONCLUSIVE, ""]
    assert chain.view.tip().hash == rivals[-1].hash
    assert chain.view.block_hashes(1, 10) == [base.hash, *(block.hash for block in rivals)]
    for block in old:
        assert chain.view.txs.get(block.transactions[0].txid) is None
        assert chain.view.txs.coins([chain.reward(block).outpoint]) == [None]
    topics = [topic for topic, _ in chain.events()]
    assert topics[-5:] == ["block.disconnected"] * 2 + ["block.connected"] * 3


def test_transactions_of_a_disconnected_block_return_to_the_pool(chain: Chain) -> None:
    coin, other = chain.mature_coins(2)
    (base,) = chain.mine()
    parent = pay(coin, ALICE, 1_000_000)
    chain.mine(txs=[parent], fees=1_000)
    child = pay(output_of(parent, 0, ALICE), BOB, 500_000)
    waiting = pay(other, ALICE, 2_000_000)
    assert chain.submit(child)[0].accepted
    assert chain.submit(waiting)[0].accepted
    for block in branch(chain, base, 2, b"rival"):
        assert chain.accept(block).accepted
    assert set(chain.view.pool.txids()) == {parent.txid, child.txid, waiting.txid}
    assert chain.view.txs.coins([coin.outpoint]) != [None]
    chain.node = chain.new_writer()
    assert chain.node.pool.ancestors([child.txid]).keys() == {child.txid, parent.txid}
    chain.mine(txs=[parent, child], fees=2_000)
    assert chain.view.pool.txids() == [waiting.txid]


@pytest.mark.parametrize("together", [True, False], ids=["in one block", "in two blocks"])
def test_a_child_that_was_confirmed_with_its_parent_returns_with_it(chain: Chain, together: bool) -> None:
    (coin,) = chain.mature_coins()
    (base,) = chain.mine()
    parent = pay(coin, ALICE, 1_000_000)
    child = pay(output_of(parent, 0, ALICE), BOB, 500_000)
    if together:
        chain.mine(txs=[parent, child], fees=2_000)
    else:
        chain.mine(txs=[parent], fees=1_000)
        chain.mine(txs=[child], fees=1_000)
    for block in branch(chain, base, 3, b"rival"):
        assert chain.accept(block).accepted
    assert [item.tx for item in chain.node.pool] == [parent, child]
    chain.node = chain.new_writer()
    assert [item.tx for item in chain.node.pool] == [parent, child]
    chain.mine(txs=[parent, child], fees=2_000)
    assert chain.view.pool.txids() == []


def test_a_transaction_in_both_branches_stays_confirmed(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    (base,) = chain.mine()
    tx = pay(coin, ALICE, 1_000_000)
    chain.mine(txs=[tx], fees=1_000)
    for block in branch(chain, base, 2, b"rival", txs=[tx], fees=1_000):
        assert chain.accept(block).accepted
    record = chain.view.txs.get(tx.txid)
    assert record is not None
    assert record.block is not None
    assert chain.view.pool.txids() == []
    assert [item.txid for item in chain.view.scripts.history(_hash(ALICE), 10)] == [tx.txid]


def _hash(owner) -> bytes:
    from shared.chain.view import script_hash

    return script_hash(p2wpkh(owner))


def test_what_spends_a_disconnected_coinbase_leaves_the_pool(chain: Chain) -> None:
    (base,) = chain.mine()
    (first,) = chain.mine()
    chain.mine(REGTEST.coinbase_maturity)
    tx = pay(chain.reward(first), ALICE, 1_000_000)
    assert chain.submit(tx)[0].accepted
    for block in branch(chain, base, REGTEST.coinbase_maturity + 2, b"rival"):
        assert chain.accept(block).accepted
    assert chain.view.tip().height == REGTEST.coinbase_maturity + 3
    assert chain.view.pool.txids() == []
    assert chain.view.pool.stats().count == 0


def test_a_branch_that_breaks_a_rule_is_not_followed_and_remembered(chain: Chain) -> None:
    (base,) = chain.mine()
    old = chain.mine(2)
    good = branch(chain, base, 1, b"rival")[0]
    bad = make_block(good.header, 3, b"", first=coinbase(3, p2wpkh(BOB), REGTEST.subsidy + 1, [], b"greedy"))
    above = make_block(bad.header, 4, p2wpkh(BOB))
    assert chain.accept(good).reason == Reason.INCONCLUSIVE
    assert chain.accept(bad).reason == Reason.INCONCLUSIVE, "its rewards are looked at when it would be connected"
    verdict = chain.accept(above)
    assert not verdict.accepted
    assert chain.view.tip().hash == old[-1].hash
    assert chain.accept(bad).reason == Reason.DUPLICATE_INVALID
    chain.node = chain.new_writer()
    assert chain.accept(make_block(above.header, 5, p2wpkh(BOB))).reason == Reason.BAD_PREVBLK
    chain.mine()
    assert chain.view.tip().height == 4


def test_a_deep_reorganisation_is_one_commit(chain: Chain) -> None:
    (base,) = chain.mine()
    chain.mine(60)
    rivals = branch(chain, base, 61, b"rival")
    for block in rivals[:-1]:
        chain.accept(block)
    before = chain.view.tip()
    verdict = accept_block(chain.node, rivals[-1])
    after = chain.view.tip()
    assert verdict.accepted
    assert (before.height, after.height) == (61, 62)
    assert after.seq - before.seq == 60 + 61, "an event for each block"


def test_the_height_index_shrinks_when_a_shorter_branch_has_more_work(chain: Chain) -> None:
    from shared.chain.commit import Delta

    chain.mine(5)
    entry = chain.node.tree.best_at(2)
    assert entry is not None
    one = chain.node.tree.best_at(1)
    assert one is not None
    heavier = dataclasses.replace(entry, chain_work=entry.chain_work + 100)
    chain.node.commit(Delta(new_tip=heavier, first_height=1, best_chain=[one.hash, heavier.hash]))
    assert chain.view.block_hashes(0, 10) == [REGTEST.genesis.hash, one.hash, heavier.hash]
