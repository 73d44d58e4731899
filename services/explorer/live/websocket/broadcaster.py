"""Follows the facts for all websockets at once: gathers them, reads the changes once, and sends each client its part.

Blocks are sent at once; changes of the pool are gathered for half a second, so that a flood of transactions makes two
reads a second and not thousands. While there is no client, nothing is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from services.explorer.live.event_hub import EventHub
from services.explorer.live.websocket import messages
from services.explorer.live.websocket.changes import ChangeReader, Changes, Gathered, gather
from services.explorer.live.websocket.snapshot import Snapshot
from services.explorer.live.websocket.subscription import ClientMessage, Subscription
from shared.bus.events import BlockConnected, BlockDisconnected, Fact, TxAccepted
from shared.errors import StoreError
from shared.web.threads import Threads

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.5
RETRY_SECONDS = 1.0
OUTBOX_LENGTH = 16
"""Unsent messages of one connection; a client with more is dropped."""
_LONG = 60.0
_RATE_SECONDS = 150
"""Seconds over which the pool's growth is averaged, as in mempool.space."""


class Subscriber:
    """A connection's subscription, and its unsent messages."""

    def __init__(self, abort: Callable[[], None]) -> None:
        self.subscription = Subscription()
        self.outbox: asyncio.Queue[str] = asyncio.Queue(OUTBOX_LENGTH)
        self.abort = abort

    def tell(self, message: messages.Message) -> None:
        """Queue a message, or drop the client if too many are unsent."""
        if not message:
            return
        try:
            self.outbox.put_nowait(msgspec.json.encode(message).decode())
        except asyncio.QueueFull:
            self.abort()


class Broadcaster:
    """Sends changes to clients; all on the server's event loop."""

    def __init__(self, hub: EventHub, snapshot: Snapshot, reader: ChangeReader, threads: Threads) -> None:
        self._hub = hub
        self._snapshot = snapshot
        self._reader = reader
        self._threads = threads
        self._clients: set[Subscriber] = set()
        self._task: asyncio.Task[None] | None = None
        self._sequence = 0
        self._projected: Any = {}
        self._arrivals: deque[tuple[float, int]] = deque()

    def join(self, client: Subscriber) -> None:
        """Send a client all changes from now on."""
        self._clients.add(client)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._ended)

    def leave(self, client: Subscriber) -> None:
        """Stop sending changes to a client."""
        self._clients.discard(client)

    async def answer(self, asked: ClientMessage) -> messages.Message:
        """Return the immediate answer to a client's message. Raises `StoreError`."""
        subscription = asked.subscription
        parts = await self._snapshot.parts() if asked.init or asked.now else {}
        message = messages.first_message(asked, parts, self._vbytes_per_second())
        if subscription.rbf and "track-rbf" in asked.answers:
            message["rbfLatest"] = await self._snapshot.replacements(subscription.rbf)
        if asked.answers & {"track-tx", "track-txs", "track-mempool-block"}:
            changes = await self._threads.run(lambda: self._present(subscription))
            message |= messages.tracked_message(subscription, asked, changes, self._sequence)
        return message

    def _present(self, subscription: Subscription) -> Changes:
        needs = messages.needs_of([subscription])
        positions, projected = self._reader.pool(needs)
        txids = list(subscription.txids)
        now = Gathered((), False, (), (), self._reader.replaced(txids))
        return Changes(now, (), self._reader.txs(txids), positions, projected)

    async def _run(self) -> None:
        position = await self._hub.begin()
        while position is not None and not self._hub.is_closed:
            facts, position, is_gap = await self._gather(position)
            self._count(facts)
            if not self._clients or not (facts or is_gap):
                continue
            while not self._hub.is_closed:
                try:
                    await self._tell(facts, is_gap)
                    break
                except StoreError as error:
                    log.warning("websockets wait: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)

    async def _gather(self, position: int) -> tuple[list[Fact], int, bool]:
        """Wait for facts and gather them for `GATHER_SECONDS`, unless one is of a block.

        Return the facts, the new position, and whether facts are missing.
        """
        news = await self._hub.after(position, _LONG)
        facts = [event.fact for event in news.events]
        is_gap = news.is_gap
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GATHER_SECONDS
        while facts and not _has_block(facts) and loop.time() < deadline and not self._hub.is_closed:
            news = await self._hub.after(news.position, deadline - loop.time())
            facts += [event.fact for event in news.events]
            is_gap = is_gap or news.is_gap
        return facts, news.position, is_gap

    async def _tell(self, facts: list[Fact], is_gap: bool) -> None:
        gathered = gather(facts, is_gap)
        clients = list(self._clients)
        needs = messages.needs_of(client.subscription for client in clients)
        changes = await self._threads.run(lambda: self._reader.read(gathered, needs))
        blocks = len(changes.blocks)
        for client in clients:  # before the snapshot is read, which takes longer
            for message in messages.block_messages(client.subscription, changes, self._sequence + 1):
                client.tell(message)
        needs_snapshot = any(messages.wants_snapshot(client.subscription) for client in clients)
        parts = await self._snapshot.parts() if needs_snapshot else {}
        kinds = {client.subscription.rbf for client in clients} - {""} if gathered.replaced or is_gap else set()
        replacements = {kind: await self._snapshot.replacements(kind) for kind in kinds}
        self._sequence += blocks + 1
        rate = self._vbytes_per_second()
        for client in clients:
            if messages.wants_snapshot(client.subscription) and not parts:
                continue  # it subscribed meanwhile, and was answered with the snapshot
            before = self._projected
            message = messages.pool_message(client.subscription, changes, parts, rate, before, self._sequence)
            if client.subscription.rbf in replacements:
                message["rbfLatest"] = replacements[client.subscription.rbf]
            client.tell(message)
        self._projected = changes.projected

    def _count(self, facts: list[Fact]) -> None:
        now = asyncio.get_running_loop().time()
        self._arrivals.extend((now, fact.vsize) for fact in facts if isinstance(fact, TxAccepted))
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._arrivals and self._arrivals[0][0] < now - _RATE_SECONDS:
            self._arrivals.popleft()

    def _vbytes_per_second(self) -> int:
        self._forget(asyncio.get_running_loop().time())
        return round(sum(vsize for _, vsize in self._arrivals) / _RATE_SECONDS)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("websockets receive no more changes", exc_info=error)
            for client in list(self._clients):
                client.abort()


def _has_block(facts: list[Fact]) -> bool:
    return any(isinstance(fact, BlockConnected | BlockDisconnected) for fact in facts)
