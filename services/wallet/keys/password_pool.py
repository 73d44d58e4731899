"""Runs scrypt on threads of its own, which bound its memory and its share of the processors.

Calls of higher rank come first. Within a rank the clients take turns, so that a client with many calls does not hold up
the others. One thread alone takes the calls of guessers: a flood of wrong passwords has one core at most, and a client
that is no guesser never waits behind it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from enum import IntEnum
from functools import partial
from typing import Any, TypeVar

from shared.process.thread import ServiceThread

T = TypeVar("T")

_IDLE_SECONDS = 10.0
"""An idle thread ends after this time; the next call starts another."""


class Rank(IntEnum):
    """How soon a call has its turn."""

    TRUSTED = 0
    ORDINARY = 1
    GUESSER = 2


_Job = tuple[Callable[[], Any], "Future[Any]"]


class PasswordPool:
    """A few threads and the calls that wait for them."""

    def __init__(self, threads: int = 2, most_waiting: int = 200) -> None:
        """`most_waiting` bounds the calls below the first rank: then the client with most of them loses one."""
        self._slots = frozenset(range(threads))
        self._most_waiting = most_waiting
        self._waiting: dict[Rank, OrderedDict[str, deque[_Job]]] = {rank: OrderedDict() for rank in Rank}
        self._running: set[int] = set()
        self._changed = threading.Condition()

    def submit(self, call: Callable[[], T], client: str, rank: Rank) -> Future[T]:
        """Return the future result of a call; cancel it to give up waiting. It is cancelled for want of room, too."""
        future: Future[T] = Future()
        with self._changed:
            if rank is not Rank.TRUSTED and self._count() >= self._most_waiting and not self._make_room(client):
                future.cancel()
                return future
            self._waiting[rank].setdefault(client, deque()).append((partial(copy_context().run, call), future))
            for slot in self._slots - self._running:
                self._running.add(slot)
                ServiceThread(partial(self._work, slot), f"scrypt-{slot}", lambda: True).start()
            self._changed.notify_all()
        return future

    def _count(self) -> int:
        return sum(len(jobs) for rank in (Rank.ORDINARY, Rank.GUESSER) for jobs in self._waiting[rank].values())

    def _make_room(self, client: str) -> bool:
        """Cancel a call of the client that has most of one rank waiting; return False if that is `client` itself."""
        _, rank, heaviest = max(
            (len(jobs), low, name) for low in (Rank.ORDINARY, Rank.GUESSER) for name, jobs in self._waiting[low].items()
        )
        if heaviest == client:
            return False
        clients = self._waiting[rank]
        _, future = clients[heaviest].pop()
        if not clients[heaviest]:
            del clients[heaviest]
        future.cancel()
        return True

    def _work(self, slot: int) -> None:
        ranks = [rank for rank in Rank if slot == 0 or len(self._slots) == 1 or rank is not Rank.GUESSER]
        while (job := self._next(slot, ranks)) is not None:
            call, future = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except Exception as error:
                    future.set_exception(error)
            del job, call, future

    def _next(self, slot: int, ranks: list[Rank]) -> _Job | None:
        """Return the next call for a thread; None if none came for a while: the thread ends."""
        with self._changed:
            while (job := self._take(ranks)) is None:
                if not self._changed.wait(_IDLE_SECONDS):
                    self._running.discard(slot)
                    return None
            return job

    def _take(self, ranks: list[Rank]) -> _Job | None:
        for rank in ranks:
            clients = self._waiting[rank]
            if clients:
                client, jobs = clients.popitem(last=False)
                job = jobs.popleft()
                if jobs:
                    clients[client] = jobs  # at the end: the others come first
                return job
        return None
