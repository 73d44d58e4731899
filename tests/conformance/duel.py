"""Our node and Core's engine on one chain: every block goes to both, and their verdicts must agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import redis as redis_py

from shared.consensus.block_check import WITNESS_RESERVED_VALUE, bip34_height_push, commitment_script
from shared.consensus.params import REGTEST
from shared.consensus.pow import bits_to_target
from shared.consensus.subsidy import block_subsidy
from shared.errors import DecodeError
from shared.primitives.block import Block, BlockHeader
from shared.primitives.merkle import merkle_root
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from tests.conformance.payments import BY_SCRIPT, KINDS, Coin, spend
from tests.integration.mempool.conftest import Chain
from tests.kernel import UNDECODABLE, KernelChain

FIRST_COINS = 6
PARTS = 60


@dataclass
class Draft:
    """A block that is being put together, valid until something in it is changed."""

    height: int
    prev: BlockHeader
    mtp: int
    script_sig: bytes
    outputs: list[TxOut]
    txs: list[Transaction] = field(default_factory=list)
    witness: tuple[bytes, ...] = (WITNESS_RESERVED_VALUE,)
    version: int = 0x20000000
    coinbase_version: int = 2
    lock_time: int = 0
    sequence: int = 0xFFFFFFFF
    time: int = 0
    bits: int = 0x207FFFFF
    prev_hash: bytes | None = None
    commitments: list[Callable[[bytes], bytes]] = field(default_factory=lambda: [lambda script: script])
    """Changes of the commitment's script: the coinbase gets one commitment output for each."""
    arrange: Callable[[list[Transaction]], list[Transaction]] = lambda txs: txs
    """Change of the list of transactions after the commitment is made and before the merkle root is."""
    replace_root: bytes | None = None
    mutate: Callable[[list[Transaction]], list[Transaction]] = lambda txs: txs
    """Change of the list of transactions at the very end."""

    def coinbase(self) -> Transaction:
        root, _ = merkle_root([bytes(32), *(tx.wtxid for tx in self.txs)])
        reserved = self.witness[0] if self.witness else b""
        script = commitment_script(root, reserved)
        outputs = [*self.outputs, *(TxOut(0, change(script)) for change in self.commitments)]
        tx_in = TxIn(NULL_OUTPOINT, self.script_sig, self.sequence, self.witness)
        return Transaction(self.coinbase_version, (tx_in,), tuple(outputs), self.lock_time)

    def build(self) -> Block:
        txs = self.arrange([self.coinbase(), *self.txs])
        root = self.replace_root or merkle_root([tx.txid for tx in txs])[0]
        header = BlockHeader(self.version, self.prev_hash or self.prev.hash, root, self.time, self.bits, 0)
        # A target that is too hard for a test is not met on purpose.
        target = max(bits_to_target(self.bits), bits_to_target(0x2000FFFF))
        while int.from_bytes(header.hash, "little") > target:
            header = replace(header, nonce=header.nonce + 1)
        return Block(header, tuple(self.mutate(txs)))


class Duel:
    """Both engines, with coins of every kind to spend."""

    def __init__(self, redis: redis_py.Redis, folder: Path) -> None:
        redis.flushall()
        self.chain = Chain(redis)
        self.kernel = KernelChain(folder)
        self.coins: list[Coin] = []
        self.tag = 0
        self.accepted = 0
        self.refused: dict[str, int] = {}
        for _ in range(FIRST_COINS + REGTEST.coinbase_maturity):
            self.must_accept(self.draft().build())
        self.fan_out()

    @property
    def height(self) -> int:
        """Of the next block."""
        return self.chain.node.tree.tip.height + 1

    def draft(self, txs: list[Transaction] | None = None, fees: int = 0, payee: str = "p2wpkh") -> Draft:
        """A valid block for the next height, unlike any other."""
        self.tag += 1
        tip = self.chain.node.tree.tip
        reward = TxOut(block_subsidy(self.height, REGTEST) + fees, KINDS[payee].script_pubkey)
        return Draft(
            height=self.height,
            prev=tip.header,
            mtp=self.chain.node.tree.median_time_past(tip),
            script_sig=bip34_height_push(self.height) + b"\x04" + self.tag.to_bytes(4, "big"),
            outputs=[reward],
            txs=list(txs or ()),
            time=tip.header.time + 1,
        )

    def mature(self) -> list[Coin]:
        return [coin for coin in self.coins if coin.mature_at <= self.height]

    def fan_out(self) -> None:
        """Turn the mature rewards into small coins of every kind."""
        scripts = [kind.script_pubkey for kind in KINDS.values()]
        rewards = [coin for coin in self.mature() if coin.output.value > 100_000_000]
        txs = [spend([coin], (scripts * PARTS)[: 2 * len(scripts)]) for coin in rewards]
        self.must_accept(self.draft(txs, fees=1_000 * len(txs)).build())

    def judge(self, block: Block) -> str:
        """Give a block to both; return their common reason, empty if it is the new tip or lies on another branch."""
        raw = block.serialize()
        theirs = self.kernel.verdict(raw)
        ours = self._our_verdict(raw)
        assert ours == theirs, raw.hex()
        assert self.chain.view.tip().hash == self.kernel.tip
        if self.kernel.tip == block.hash:
            self._book(block)
            self.accepted += 1
        elif ours:
            self.refused[ours] = self.refused.get(ours, 0) + 1
        return ours

    def must_accept(self, block: Block) -> None:
        assert self.judge(block) == ""
        assert self.kernel.tip == block.hash

    def _our_verdict(self, raw: bytes) -> str:
        try:
            block = Block.parse(raw)
        except DecodeError:
            return UNDECODABLE
        verdict = self.chain.accept(block)
        return "" if verdict.reason == Reason.INCONCLUSIVE else verdict.reason

    def _book(self, block: Block) -> None:
        spent = {tx_in.prevout for tx in block.transactions for tx_in in tx.inputs}
        height = self.height - 1
        for tx in block.transactions:
            mature_at = height + (REGTEST.coinbase_maturity if tx.is_coinbase else 1)
            for vout, output in enumerate(tx.outputs):
                kind = BY_SCRIPT.get(output.script_pubkey)
                if kind is not None:
                    self.coins.append(Coin(OutPoint(tx.txid, vout), output, kind, mature_at))
        self.coins = [coin for coin in self.coins if coin.outpoint not in spent]


def far_future() -> int:
    """A time that no clock of today lets a block have."""
    return int(time.time()) + 3 * 60 * 60
