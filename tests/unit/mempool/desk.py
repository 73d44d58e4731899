"""Mining without a server: a fake broker, miners that the test plays, and a clock that it moves."""

from __future__ import annotations

import msgspec
import pytest

from services.mempool.mining import requests, workers
from services.mempool.mining.requests import Mining
from shared.bus.broker import ReplyAddress
from shared.bus.events import BlockMined, BlockTemplate, BlockVerdict, MineRequested, MineResult
from shared.crypto.hashes import sha256d
from shared.primitives.block import BlockHeader
from shared.primitives.hex import parse_display_hash
from shared.primitives.merkle import root_from_branch
from tests.builders import grind, p2wpkh
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.mempool.memory import ALICE, MemoryNode

START = 1_000_000.0
TIMEOUT = 60
PAYEE = p2wpkh(ALICE)


class Clock:
    """Stands in for the module `time`; both of its clocks go alike."""

    def __init__(self) -> None:
        self.seconds = START

    def time(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


def solve(template: BlockTemplate, byte: int = 0) -> BlockMined:
    extranonce = bytes([byte]) * template.extranonce_size
    coinbase = bytes.fromhex(template.coinbase_prefix) + extranonce + bytes.fromhex(template.coinbase_suffix)
    root = root_from_branch(sha256d(coinbase), [bytes.fromhex(node) for node in template.merkle_branch], 0)
    header = BlockHeader(
        template.version, parse_display_hash(template.previous_hash), root, template.time, template.bits, 0
    )
    return BlockMined(template_id=template.id, header=grind(header).serialize().hex(), coinbase=coinbase.hex())


class Desk:
    """A writer's mining on a node in memory, with a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        monkeypatch.setattr(requests, "time", clock)
        monkeypatch.setattr(workers, "time", clock)
        self.clock = clock
        self.node = MemoryNode()
        self.broker = FakeBroker()
        self.mining = Mining(self.node, self.broker, TIMEOUT)

    def ask(self, count: int = 1, id_: str = "m1", **options) -> MineResult | None:
        message = MineRequested(**({"count": count, "script_pubkey": PAYEE.hex()} | options))
        return self.mining.request(message, id_, ReplyAddress(id_, "1"))

    def tick(self, at: float = 0) -> list[BlockTemplate]:
        """Advance the clock to this many seconds after the start; return the published templates."""
        self.clock.seconds = START + at
        before = len(self.broker.published)
        self.mining.tick()
        return [message for message in self.broker.published[before:] if isinstance(message, BlockTemplate)]

    def template(self) -> BlockTemplate:
        return [message for message in self.broker.published if isinstance(message, BlockTemplate)][-1]

    def solve(self, template: BlockTemplate | None = None, byte: int = 0, miner: str = "") -> BlockVerdict:
        return self.mining.solution(msgspec.structs.replace(solve(template or self.template(), byte), miner=miner))

    @property
    def answers(self) -> list[tuple[str, MineResult]]:
        return [(address.reply_to, reply) for address, reply in self.broker.replies if isinstance(reply, MineResult)]

    @property
    def height(self) -> int:
        return self.node.tree.tip.height
