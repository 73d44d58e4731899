"""Core's engine judges whole chains as we do: it follows every block of ours, and refuses what we refuse."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import redis as redis_py

from shared.consensus.params import REGTEST
from shared.primitives.block import Block
from shared.primitives.transaction import TxOut
from tests.builders import coinbase, key, make_block, p2wpkh, pay, spend
from tests.integration.mempool.conftest import Chain
from tests.integration.mempool.test_books import Play
from tests.kernel import KernelChain


@pytest.fixture
def kernel(tmp_path: Path) -> KernelChain:
    return KernelChain(tmp_path)


def stored_blocks(chain: Chain) -> list[Block]:
    """Every block that was stored, of all branches, in order of arrival."""
    entries = sorted(chain.view.blocks.all_entries(), key=lambda entry: entry.arrival)
    blocks = [chain.view.blocks.get(entry.hash) for entry in entries if entry.height]
    return [block for block in blocks if block is not None]


def test_core_follows_a_chain_of_payments_and_reorganisations(redis: redis_py.Redis, kernel: KernelChain) -> None:
    play = Play(Chain(redis))
    rng = random.Random(21)
    for _ in range(60):
        getattr(play, rng.choices(["pay", "mine", "fork"], [8, 3, 1])[0])(rng)
    blocks = stored_blocks(play.chain)
    assert all(kernel.accepts(block) for block in blocks)
    height = play.chain.view.tip().height
    assert kernel.hashes == play.chain.view.block_hashes(0, height + 1)
    assert sum(len(block.transactions) - 1 for block in blocks) > 10
    assert len(blocks) > height, "some blocks were on side branches"


def bad_blocks(chain: Chain) -> dict[str, Block]:
    """Blocks for the next height that break one rule each."""
    first, second = chain.mature_coins(2)
    height = chain.view.tip().height + 1
    tx = pay(first, key("alice"), 1_000_000)
    rich = REGTEST.subsidy + 1
    foreign = type(first)(first.outpoint, first.output, key("thief"))
    block = chain.block([tx], fees=1_000)
    young = chain.reward(chain.mine()[0])
    height += 1
    return {
        "coinbase pays too much": chain.block(first=coinbase(height, p2wpkh(chain.miner), rich, [], b"greedy")),
        "coinbase of another height": chain.block(first=coinbase(height + 1, p2wpkh(chain.miner), 1, [], b"height")),
        "no witness commitment": chain.block(
            [tx], first=coinbase(height, p2wpkh(chain.miner), REGTEST.subsidy, [], b"commit")
        ),
        "a coin twice": chain.block([tx, pay(first, key("bob"), 2_000_000)]),
        "creates coins": chain.block([spend([first], [TxOut(first.output.value + 1, p2wpkh(key("bob")))])]),
        "forged signature": chain.block([pay(foreign, key("alice"), 1_000_000)]),
        "immature coinbase": chain.block([pay(young, key("alice"), 1_000_000)]),
        "not final": chain.block([spend([second], [TxOut(1_000, p2wpkh(key("bob")))], lock_time=height + 5)]),
        "relative lock": chain.block([spend([second], [TxOut(1_000, p2wpkh(key("bob")))], sequence=500)]),
        "another merkle root": Block(
            make_block(chain.node.tree.tip.header, height, p2wpkh(chain.miner)).header, block.transactions
        ),
        "old time": chain.block(time=REGTEST.genesis.header.time),
        "far future": chain.block(time=4_000_000_000),
    }


REASONS = {
    "coinbase pays too much": "bad-cb-amount",
    "coinbase of another height": "bad-cb-height",
    "no witness commitment": "bad-witness-merkle-match",
    "a coin twice": "bad-txns-inputs-missingorspent",
    "creates coins": "bad-txns-in-belowout",
    "forged signature": "block-script-verify-flag-failed (Script failed an OP_EQUALVERIFY operation)",
    "immature coinbase": "bad-txns-premature-spend-of-coinbase",
    "not final": "bad-txns-nonfinal",
    "relative lock": "bad-txns-nonfinal",
    "another merkle root": "bad-txnmrklroot",
    "old time": "time-too-old",
    "far future": "time-too-new",
}


def test_core_refuses_the_blocks_that_we_refuse_for_the_same_reason(redis: redis_py.Redis, kernel: KernelChain) -> None:
    chain = Chain(redis)
    cases = bad_blocks(chain)
    for block in stored_blocks(chain):
        assert kernel.accepts(block)
    assert set(cases) == set(REASONS)
    for name, block in cases.items():
        before = chain.view.tip().hash
        verdict = chain.accept(block)
        assert not verdict.accepted, name
        assert verdict.reason == kernel.verdict(block.serialize()) == REASONS[name], name
        assert chain.view.tip().hash == before == kernel.hashes[-1], name
    (last,) = chain.mine()
    assert kernel.verdict(last.serialize()) == ""
    assert kernel.hashes[-1] == last.hash
