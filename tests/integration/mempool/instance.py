"""A mempool instance on threads of the test's process, and claims that any instance may get."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from services.mempool.intake.router import ClaimRouter
from services.mempool.writer import Writer
from shared.bus.broker import Broker
from shared.bus.events import BlockMined, BlockVerdict
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.errors import Unroutable
from shared.process.shutdown import ExitFlag
from tests.builders import key, make_block, p2wpkh


def eventually(check: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class Instance:
    """A mempool instance on threads of this process."""

    def __init__(self, url: str, prefix: str, bus_url: str | None = None) -> None:
        self.stop = ExitFlag()
        self.broker = RedisStreamsBroker(bus_url or url, prefix=prefix)
        self.claims = ClaimRouter(self.broker)
        self.writer = Writer(Settings(redis_url=url, mine_timeout=5), REGTEST, self.claims, self.stop)
        self.thread = threading.Thread(target=self.writer.run, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.broker.close()


def submit_blocks(broker: Broker, count: int) -> list[BlockVerdict]:
    header, messages = REGTEST.genesis.header, []
    for height in range(1, count + 1):
        block = make_block(header, height, p2wpkh(key("miner")))
        messages.append(BlockMined(block=block.serialize().hex()))
        header = block.header
    deadline = time.monotonic() + 15
    while True:
        try:
            replies = broker.request_many(messages, timeout=20)
            break
        except Unroutable:  # no writer has ever been here
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert all(isinstance(reply, BlockVerdict) for reply in replies)
    return replies  # type: ignore[return-value]
