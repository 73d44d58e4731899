"""A process with a port and an intake, for tests that play its writer or give it one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from services.mempool.intake.intake import Intake
from services.mempool.intake.router import ClaimRouter
from shared.bus import events
from shared.bus.broker import Delivery
from shared.bus.events import (
    BlockMined,
    BlockVerdict,
    Message,
    TxSubmitted,
    TxVerdict,
    TxVerdicts,
)
from shared.bus.topics import MEMPOOL_BLOCKS, MEMPOOL_TXS
from tests.unit.bus.fake_broker import FakeBroker

PATIENCE = 20.0


def eventually(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


def tx(name: str) -> TxSubmitted:
    return TxSubmitted(txs=(name,))


def block(name: str) -> BlockMined:
    return BlockMined(block=name)


def verdict(name: str) -> TxVerdicts:
    return TxVerdicts(verdicts=(TxVerdict(txid=name, wtxid=name, accepted=True),))


def answer(message: Message) -> Message:
    """Answer as a writer would."""
    match message:
        case TxSubmitted():
            return verdict(message.txs[0])
        case BlockMined(block=str(name)):
            return BlockVerdict(hash=name, accepted=True)
    raise AssertionError(message)


def names(replies: Sequence[Message]) -> list[str]:
    return [reply.hash if isinstance(reply, BlockVerdict) else reply.verdicts[0].txid for reply in replies]


class Setup:
    """A process with a port, which asks, and an intake, whose writer each test plays."""

    def __init__(self) -> None:
        self.bus = FakeBroker()
        self.router = ClaimRouter(self.bus)
        self.intake: Intake = self.router.take_claims([MEMPOOL_BLOCKS, MEMPOOL_TXS], 10)
        self.threads = ThreadPoolExecutor(8)

    def take(self, count: int = 256) -> list[Delivery]:
        return self.intake.receive(count, PATIENCE)

    def open(self) -> None:
        """Let claims of this process in: the writer looks for its first batch."""
        assert self.intake.receive(1, 0) == []

    def ask(self, *messages: TxSubmitted | BlockMined, timeout: float = PATIENCE) -> Future[list[Message]]:
        """Ask on a thread; returns when the claims wait for the writer, here or on the bus."""
        before = self._waiting()
        asked = self.threads.submit(self.router.request_many, messages, timeout)  # type: ignore[arg-type]
        eventually(lambda: self._waiting() - before >= len(messages) or asked.done())
        return asked

    def _waiting(self) -> int:
        here = sum(len(lane.local) for lane in self.intake._lanes.values())
        return here + len(self.bus.published)

    def reply(self, deliveries: Sequence[Delivery]) -> None:
        self.router.reply_many([(d.reply_address, answer(d.message or decoded(d))) for d in deliveries])  # type: ignore[misc]
        self.intake.ack(deliveries)

    def serve_bus(self) -> None:
        """Answer what comes over the bus, as a writer elsewhere."""
        self.bus.answers = {TxSubmitted: answer, BlockMined: answer}

    def close(self) -> None:
        self.intake.close()
        self.threads.shutdown()


def decoded(delivery: Delivery) -> Message:
    return events.decode(delivery.type, delivery.body)
