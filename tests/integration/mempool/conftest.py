"""A writer's node on a real Redis, driven without a broker."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence

import pytest
import redis as redis_py

from services.mempool.blocks.accept_block import accept_block
from services.mempool.state import NodeState
from services.mempool.transactions.submit import submit
from shared.bus.events import BlockVerdict, TxSubmitted, TxVerdict
from shared.chain.lease import Lease
from shared.chain.redis_keys import Keys
from shared.consensus.params import REGTEST
from shared.crypto.keys import PrivateKey
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction
from tests.builders import Spendable, key, make_block, output_of, p2wpkh
from tests.integration.mempool.instance import Instance


class Chain:
    """A node, and short ways to mine on it and to submit to it."""

    def __init__(self, client: redis_py.Redis) -> None:
        self.client = client
        self.keys = Keys(REGTEST.name)
        self.miner = key("miner")
        self.node = self.new_writer()
        self.view = self.node.view

    def new_writer(self) -> NodeState:
        """Return a node of a newer epoch, loaded from Redis, as a standby that takes over."""
        self.client.delete(self.keys.writer)
        epoch = Lease(self.client, self.keys).take()
        assert epoch is not None
        node = NodeState(self.client, self.keys, REGTEST)
        node.load(epoch)
        return node

    def block(self, txs: Sequence[Transaction] = (), *, fees: int = 0, on: Block | None = None, **options) -> Block:
        prev = self.node.tree.tip if on is None else self.node.tree.get(on.hash)
        assert prev is not None
        return make_block(prev.header, prev.height + 1, p2wpkh(self.miner), txs, fees=fees, **options)

    def accept(self, block: Block) -> BlockVerdict:
        return accept_block(self.node, block)

    def mine(self, count: int = 1, txs: Sequence[Transaction] = (), *, fees: int = 0) -> list[Block]:
        blocks = []
        for _ in range(count):
            block = self.block(txs, fees=fees)
            verdict = self.accept(block)
            assert verdict.accepted, verdict
            assert not verdict.reason
            blocks.append(block)
            txs, fees = (), 0
        return blocks

    def submit(self, *txs: Transaction, test_only: bool = False, max_feerate: int | None = None) -> list[TxVerdict]:
        message = TxSubmitted(
            txs=tuple(tx.serialize().hex() for tx in txs), test_only=test_only, max_feerate=max_feerate
        )
        replies, _ = submit(self.node, [message])
        return list(replies[0].verdicts)

    def reward(self, block: Block, owner: PrivateKey | None = None) -> Spendable:
        return output_of(block.transactions[0], 0, owner or self.miner)

    def mature_coins(self, count: int = 1) -> list[Spendable]:
        blocks = self.mine(count)
        self.mine(REGTEST.coinbase_maturity)
        return [self.reward(block) for block in blocks]

    def dump(self) -> dict[bytes, bytes | None]:
        """Everything in Redis, to compare states; without the lease, which nobody renews here."""
        names = set(self.client.keys("*")) - {self.keys.writer.encode()}
        return {name: self.client.dump(name) for name in sorted(names)}

    def events(self) -> list[tuple[str, bytes]]:
        return [(f[b"topic"].decode(), f[b"body"]) for _, f in self.client.xrange(self.keys.events)]


@pytest.fixture
def chain(redis: redis_py.Redis) -> Chain:
    return Chain(redis)


@pytest.fixture
def start(redis: redis_py.Redis, redis_url: str) -> Iterator[Callable[[], Instance]]:
    instances: list[Instance] = []
    prefix = f"test-bus-{uuid.uuid4().hex}"

    def start_one() -> Instance:
        instances.append(Instance(redis_url, prefix))
        return instances[-1]

    yield start_one
    for instance in instances:
        instance.close()
