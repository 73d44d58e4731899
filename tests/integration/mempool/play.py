"""Random payments, replacements, blocks, forks and refused blocks on a chain."""

from __future__ import annotations

import itertools
import random

from services.mempool.blocks.operator import control
from shared.bus.events import ChainControl, ControlAction
from shared.primitives.block import Block
from shared.primitives.transaction import TxOut
from tests.builders import Spendable, key, make_block, p2wpkh, spend
from tests.integration.mempool.conftest import Chain

OWNERS = [key(name) for name in ("alice", "bob", "carol", "dave")]
DATA = b"\x6a\x04data"


class Play:
    """Does random things to a chain, and knows which keys own what."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.owners = {p2wpkh(owner): owner for owner in (*OWNERS, chain.miner)}
        self._numbers = itertools.count()
        chain.mature_coins(6)

    def tag(self) -> bytes:
        """Return a tag that makes a block differ from all others, whatever the random numbers are."""
        return next(self._numbers).to_bytes(8, "big")

    def coins(self) -> list[Spendable]:
        height = self.chain.view.tip().height
        return [
            Spendable(item.outpoint, item.output, self.owners[item.output.script_pubkey])
            for item in self.chain.view.scripts.unspent_paying(list(self.owners))
            if not item.is_coinbase or (item.height is not None and height - item.height >= 99)
        ]

    def pay(self, rng: random.Random) -> None:
        coins = sorted(self.coins(), key=lambda coin: coin.outpoint)
        coins = rng.sample(coins, min(len(coins), rng.randint(1, 3)))
        total = sum(coin.output.value for coin in coins)
        outputs = [TxOut(rng.randint(1_000, max(1_001, total // 4)), p2wpkh(rng.choice(OWNERS))) for _ in range(3)]
        if rng.random() < 0.3:
            outputs.append(TxOut(rng.choice([0, 1_000]), DATA))
        rest = total - sum(output.value for output in outputs) - 2_000
        if rest > 1_000:
            self.chain.submit(spend(coins, [*outputs, TxOut(rest, p2wpkh(coins[0].owner))]))

    def replace(self, rng: random.Random) -> None:
        """Spend coins again that the pool spends, maybe with forbidden ones; the fee may suffice or not."""
        pooled = [txin.prevout for item in self.chain.node.pool for txin in item.tx.inputs]
        if not pooled:
            return
        outpoints = rng.sample(pooled, min(len(pooled), rng.randint(1, 3)))
        records = self.chain.view.txs.get_many([outpoint.txid for outpoint in outpoints])
        outputs = [r.tx.outputs[o.vout] for o, r in zip(outpoints, records, strict=True) if r is not None]
        coins = [
            Spendable(outpoint, output, self.owners[output.script_pubkey])
            for outpoint, output in zip(outpoints, outputs, strict=True)
        ]
        coins += rng.sample(unspent := self.coins(), min(len(unspent), rng.randint(0, 1)))
        total = sum(coin.output.value for coin in coins)
        rest = total - rng.choice([100, 2_000, 10_000, 100_000])
        if rest > 1_000:
            self.chain.submit(spend(coins, [TxOut(rest, p2wpkh(rng.choice(OWNERS)))]))

    def mine(self, rng: random.Random) -> None:
        node = self.chain.node
        count = rng.randint(0, len(node.pool))
        items = sorted(node.pool, key=lambda item: item.entry.sequence)[:count]
        chosen = node.pool.ancestors([item.tx.txid for item in items])
        txs = [item.tx for item in chosen.values()]
        txs.sort(key=lambda tx: len(node.pool.ancestors([tx.txid])))
        fees = sum(item.entry.fee for item in chosen.values())
        claimed = fees - rng.choice([0, fees // 2])  # a miner may leave coins unclaimed
        block = self.chain.block(txs, fees=claimed, tag=self.tag())
        assert self.chain.accept(block).accepted

    def fork(self, rng: random.Random) -> None:
        index = self.chain.node.tree
        depth = rng.randint(1, min(8, index.tip.height - 1))
        base = index.best_at(index.tip.height - depth)
        assert base is not None
        header, height = base.header, base.height
        for _ in range(depth + rng.randint(0, 1)):
            height += 1
            block: Block = make_block(header, height, p2wpkh(rng.choice(OWNERS)), tag=self.tag())
            header = block.header
            assert self.chain.accept(block).accepted

    def refuse(self, rng: random.Random) -> None:
        """Invalidate a recent block; take it back at once, later, or never."""
        index = self.chain.node.tree
        block = index.best_at(index.tip.height - rng.randint(0, 3))
        assert block is not None
        for action in (ControlAction.INVALIDATE, ControlAction.RECONSIDER)[: rng.randint(1, 2)]:
            order = ChainControl(action=action, block=block.header.hash_hex)
            assert control(self.chain.node, order).done
        if rng.random() < 0.5:
            self.mine(rng)

    def restart(self, rng: random.Random) -> None:
        self.chain.node = self.chain.new_writer()
