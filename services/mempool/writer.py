"""The life of a writer: waits for the lease, loads the chain, works until stopped or fenced off, releases the lease.

Every mempool instance runs this; all but one wait for the lease and consume nothing.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable

from services.mempool.handlers import subscriptions
from services.mempool.intake.intake import Intake
from services.mempool.intake.router import ClaimRouter
from services.mempool.lease_keeper import LeaseKeeper
from services.mempool.mining.requests import Mining
from services.mempool.mining.workers import Workers
from services.mempool.outbox import Outbox
from services.mempool.state import NodeState
from shared.bus.topics import MEMPOOL_BLOCKS, MEMPOOL_TXS
from shared.bus.worker import Worker
from shared.chain.lease import Lease
from shared.chain.redis_keys import Keys
from shared.chain.store import connect
from shared.config import Settings
from shared.consensus.params import ChainParams
from shared.errors import BrokerUnavailable, StaleWriter, StoreUnavailable
from shared.process.backoff import backoff
from shared.process.collector import calm_collector
from shared.process.shutdown import ExitFlag

log = logging.getLogger(__name__)

SILENT_SECONDS = 60.0
"""Seconds after which a writer that is still at the same batch is stuck."""
STANDBY_SECONDS = 0.25
"""Seconds between a standby's attempts to take the lease."""
LEASE_PATIENCE = 2.0
"""Seconds to wait for an answer about the lease: a writer that Redis does not answer must know soon that it is none."""
PREFETCH = 2000
_YOUNG = 100_000
"""New objects after which the garbage collector looks at them. A writer keeps hundreds of thousands of small objects
for long and makes few cycles: traversing them again and again took a third of the time for a full block."""


class Writer:
    """A mempool instance as a candidate for the writer."""

    def __init__(
        self,
        settings: Settings,
        params: ChainParams,
        broker: ClaimRouter,
        stop: ExitFlag,
        workers: Workers | None = None,
    ) -> None:
        self._settings = settings
        self._params = params
        self._broker = broker
        self._stop = stop
        self._workers = workers
        self._keys = Keys(params.name)
        self._client = connect(settings.redis_url, settings.redis_replicas)
        self._keeper = LeaseKeeper(Lease(connect(settings.redis_url, timeout=LEASE_PATIENCE), self._keys), stop)
        self._waits_for = "it has not asked for the lease yet"
        self._turned = 0.0
        """Time (monotonic) of the last turn of the loop that takes messages; 0 while this instance does not write."""
        self._outbox: Outbox | None = None

    def trouble(self) -> str:
        """Return why this instance neither writes nor stands by, for /readyz; empty if it does either."""
        silent = time.monotonic() - self._turned if self._turned else 0.0
        if silent > SILENT_SECONDS:
            return f"the writer has taken no message for {silent:.0f} s"
        return self._waits_for

    def outbox_trouble(self) -> str:
        """Return why facts are not published any more, for /readyz; empty if they are, or this is not the writer."""
        outbox = self._outbox
        return outbox.trouble() if outbox is not None else ""

    def run(self) -> None:
        """Become the writer whenever the lease is free, until the exit flag is set."""
        failures = 0
        waiting = False
        while not self._stop.is_set():
            try:
                is_ours = self._keeper.take()
                self._waits_for = ""
                if not is_ours:
                    if not waiting:
                        log.info("standing by: another writer has the lease")
                    waiting = True
                    self._stop.wait(STANDBY_SECONDS)
                    continue
                waiting = False
                failures = 0
                self._write()
            except StaleWriter as error:
                log.warning("no longer the writer: %s", error)
            except (StoreUnavailable, BrokerUnavailable) as error:
                log.warning("writer waits: %s", error)
                self._waits_for = str(error)
                self._stop.wait(backoff(failures))
                failures += 1
            finally:
                self._keeper.release()

    def _write(self) -> None:
        calm_collector(_YOUNG)
        node = NodeState(self._client, self._keys, self._params)
        node.load(self._keeper.hold())
        gc.freeze()
        mining = Mining(node, self._broker, self._settings.mine_timeout, self._workers)
        tenure = ExitFlag()
        outbox = Outbox(
            connect(self._settings.redis_url, self._settings.redis_replicas), self._keys, self._broker, tenure
        )
        outbox.start()
        self._outbox = outbox
        intake = self._broker.take_claims([MEMPOOL_BLOCKS, MEMPOOL_TXS], PREFETCH)
        recover = _recovery(intake, node, mining, self._keeper)

        def idle() -> None:
            self._turned = time.monotonic()
            if self._keeper.lost:
                recover()
            mining.tick()

        try:
            Worker(
                self._broker,
                intake,
                subscriptions(node, mining, self._broker, self._keeper.check),
                name="mempool",
                recover=recover,
                on_idle=idle,
                stop=self._stop,
            ).run()
        finally:
            intake.close()
            self._turned = 0.0
            self._outbox = None
            tenure.set()
            outbox.join()


def _recovery(intake: Intake, node: NodeState, mining: Mining, keeper: LeaseKeeper) -> Callable[[], None]:
    """Return the function that recovers the writer from an error: it holds the lease and loads the committed chain.

    Who asks in this process meanwhile asks over the bus, and is told if that is away too.
    """

    def recover() -> None:
        intake.pause()
        node.load(keeper.hold())
        mining.forget()

    return recover
