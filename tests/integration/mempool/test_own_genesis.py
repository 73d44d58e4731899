"""A chain whose genesis block has a payee: the coin exists, and can be spent from the first block on."""

from __future__ import annotations

from pathlib import Path

import redis as redis_py

from deploy.setup.genesis import GenesisOrder, write_genesis
from services.mempool.blocks.accept_block import accept_block
from services.mempool.state import NodeState
from services.mempool.transactions.submit import submit
from shared.bus.events import TxSubmitted
from shared.chain.lease import Lease
from shared.chain.redis_keys import Keys
from shared.chain.view import script_hash
from shared.consensus.chain_file import load
from tests.builders import key, make_block, output_of, p2wpkh, pay

CREATOR, ALICE = key("creator"), key("alice")


def test_the_coin_of_the_genesis_block_is_spent_in_the_first_block(redis: redis_py.Redis, tmp_path: Path) -> None:
    path = tmp_path / "classroom.toml"
    write_genesis(path, GenesisOrder(payee=CREATOR.public_key.compressed.hex()))
    params = load(str(path))
    keys = Keys(params.name)
    epoch = Lease(redis, keys).take()
    assert epoch is not None
    node = NodeState(redis, keys, params)
    node.load(epoch)
    genesis = params.genesis.transactions[0]
    (unspent,) = node.view.scripts.unspent_paying([p2wpkh(CREATOR)])
    assert (unspent.height, unspent.output.value, unspent.is_coinbase) == (0, params.subsidy, False)
    assert node.view.scripts.stats([script_hash(p2wpkh(CREATOR))])[0].balance == params.subsidy

    tx = pay(output_of(genesis, 0, CREATOR), ALICE, 10 * 100_000_000)
    replies, _ = submit(node, [TxSubmitted(txs=(tx.serialize().hex(),))])
    assert replies[0].verdicts[0].accepted, replies
    block = make_block(params.genesis.header, 1, p2wpkh(ALICE), [tx], fees=1_000, params=params)
    verdict = accept_block(node, block)
    assert (verdict.accepted, verdict.reason) == (True, "")
    assert node.view.txs.coins([output_of(genesis, 0, CREATOR).outpoint]) == [None]

    rivals = [make_block(params.genesis.header, 1, p2wpkh(CREATOR), params=params, tag=b"rival")]
    rivals.append(make_block(rivals[0].header, 2, p2wpkh(CREATOR), params=params, tag=b"rival"))
    for rival in rivals:
        assert accept_block(node, rival).accepted
    assert node.view.txs.coins([output_of(genesis, 0, CREATOR).outpoint]) != [None], "back after a reorganisation"
    assert node.view.pool.txids() == [tx.txid]
    assert not a_reward_is_spendable_early(node, rivals[0])


def a_reward_is_spendable_early(node: NodeState, block) -> bool:
    """Whether the reward of a later block may be spent before it matures."""
    tx = pay(output_of(block.transactions[0], 0, CREATOR), ALICE, 1_000_000)
    replies, _ = submit(node, [TxSubmitted(txs=(tx.serialize().hex(),), test_only=True)])
    return replies[0].verdicts[0].accepted
