"""Spreads facts to all listeners of this process: event streams and websockets.

The facts come from the outbox in Redis, which has every fact once and in order for all instances
(`ChainView.events_since`). A message of the broker triggers a read; a read each second makes up for lost messages. One
thread reads; all the rest happens on the server's event loop.

Listeners have no queue that could grow. They share a log of recent events, keep a position in it, and ask for the
events after it when they are ready; a listener that has fallen far behind is served from the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.explorer.live.sse_format import encode_frame
from shared.bus.events import Fact
from shared.chain.view import ChainView
from shared.errors import NoChain, StoreError
from shared.process.thread import ServiceThread
from shared.web.threads import Threads

log = logging.getLogger(__name__)

LOOK_AGAIN = 1.0
"""Seconds after which the outbox is read without a message of the broker, which may be away."""
LOG_LENGTH = 2_000
"""Number of events kept in memory; older events are read from the outbox."""
PAGE = 250
"""The most events of one read of the outbox, and of one answer to a listener."""
_THREADS = 2

CallSoon = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Event:
    """A fact with its server-sent event, which is encoded once for all streams."""

    fact: Fact
    frame: bytes

    @property
    def seq(self) -> int:
        """Its number."""
        return self.fact.seq

    @property
    def topic(self) -> str:
        """Its topic."""
        return str(self.fact.topic)


@dataclass(frozen=True, slots=True)
class News:
    """The next events for a listener."""

    events: Sequence[Event]
    position: int
    """The listener's new position."""
    is_gap: bool = False
    """Events between the old position and these are lost: the listener must read the chain again."""


class EventHub:
    """The log of recent events. Made on any thread, started once; all coroutines run on the server's loop."""

    def __init__(self, view: ChainView) -> None:
        self._view = view
        self._threads = Threads(_THREADS, "hub")
        self._log: list[Event] = []
        self._position: int | None = None
        """Number of the newest event in the log; None before the first read of the outbox."""
        self._news = asyncio.Event()
        self._look = threading.Event()
        self._stop = threading.Event()
        self._reader: ServiceThread | None = None
        self.is_closed = False

    @property
    def position(self) -> int:
        """Number of the newest event, 0 before the first."""
        return self._position or 0

    # ── from any thread ─────────────────────────────────────────────────────────────────────────────────────────

    def start(self, call_soon: CallSoon) -> None:
        """Begin to read; `call_soon` runs a function on the listeners' loop."""
        self._reader = ServiceThread(lambda: self._read(call_soon), "events", self._stop.is_set)
        self._reader.start()

    def wake(self) -> None:
        """Read the outbox soon: the broker delivered a message."""
        self._look.set()

    def close(self) -> None:
        """Release every listener before the service stops."""
        self._stop.set()
        self._look.set()
        if self._reader is not None:
            self._reader.join()
        self._threads.close()

    # ── for listeners, on the loop ──────────────────────────────────────────────────────────────────────────────

    async def begin(self) -> int | None:
        """Return the position of a new listener, after the first read of the outbox; None if the hub is closed."""
        while self._position is None and not self.is_closed:
            await self._news.wait()
        return self._position

    async def until_closed(self) -> None:
        """Wait until the hub is closed."""
        while not self.is_closed:
            await self._news.wait()

    async def after(self, position: int, seconds: float) -> News:
        """Return the events after a position; none if the time runs out without events or the hub is closed."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not self.is_closed:
            news = self._news
            if self._position is not None and (found := await self._find(position)):
                return found
            try:
                async with asyncio.timeout_at(deadline):
                    await news.wait()
            except TimeoutError:
                break
        return News((), position)

    async def _find(self, position: int) -> News | None:
        newest = self._position or 0
        if position == newest:
            return None
        first = newest - len(self._log)
        if first <= position < newest:
            page = self._log[position - first : position - first + PAGE]
            return News(page, page[-1].seq)
        if position > newest:
            # Another instance may be ahead of this one. A number that the chain has not come to is from another chain.
            tip = await self._threads.run(self._view.tip)
            return News((), tip.seq, is_gap=True) if position > tip.seq else None
        facts = await self._threads.run(lambda: self._view.events_since(position, PAGE))
        if not facts:
            return News((), newest, is_gap=True)
        return News([_event(fact) for fact in facts], facts[-1].seq, is_gap=facts[0].seq != position + 1)

    # ── the reader ──────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, call_soon: CallSoon) -> None:
        position: int | None = None
        is_away = False
        while not self._stop.is_set():
            self._look.clear()
            try:
                position = self._catch_up(position, call_soon)
                is_away = False
            except StoreError as error:
                if not is_away:
                    level = logging.INFO if isinstance(error, NoChain) else logging.WARNING
                    log.log(level, "events wait: %s", error)
                is_away = True
            self._look.wait(LOOK_AGAIN)
        call_soon(self._end)

    def _catch_up(self, position: int | None, call_soon: CallSoon) -> int:
        """Pass the events after `position` to the loop; return the number of the last one."""
        if position is None:
            position = self._view.tip().seq
            call_soon(self._restart, position)
        while not self._stop.is_set():
            facts = self._view.events_since(position, PAGE)
            if not facts:
                break
            if facts[0].seq != position + 1:
                call_soon(self._restart, facts[0].seq - 1)
            call_soon(self._append, [_event(fact) for fact in facts])
            position = facts[-1].seq
        else:
            return position
        tip = self._view.tip().seq
        if tip < position:  # the chain was thrown away and begun anew
            call_soon(self._restart, tip)
            return tip
        return position

    def _restart(self, position: int) -> None:
        self._log = []
        self._position = position
        self._tell()

    def _append(self, events: Sequence[Event]) -> None:
        self._log.extend(events)
        if len(self._log) > 2 * LOG_LENGTH:
            del self._log[:-LOG_LENGTH]
        self._position = events[-1].seq
        self._tell()

    def _end(self) -> None:
        self.is_closed = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _event(fact: Fact) -> Event:
    return Event(fact, encode_frame(fact))
