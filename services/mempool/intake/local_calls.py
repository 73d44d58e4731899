"""Requests of this process that its own writer is to answer: each gets its reply, or is left to the bus.

A request is left to the bus when the writer cannot handle it at once: its requester, who waits here, asks again there.
"""

from __future__ import annotations

import itertools
import logging
import threading
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Generic

from shared.bus.broker import ReplyAddress
from shared.bus.events import Message, Reply, Request, message_type
from shared.logs import with_fields

log = logging.getLogger(__name__)

HERE = f"mempool.{'0' * 32}"
"""`reply_to` of requests that never left the process: a valid name of a reply queue, which no queue has."""


class LocalCall(Generic[Reply]):
    """Requests of one caller; done when each is answered or left to the bus."""

    def __init__(self, requests: Sequence[Request[Reply]], ids: Sequence[str]) -> None:
        self.requests = requests
        self.ids = ids
        """A request's correlation id, by which its mining job is known wherever it is asked again."""
        self.replies: list[Message | None] = [None] * len(requests)
        self.left: list[int] = []
        """Places of the requests that were left to the bus."""
        self.missing = len(requests)
        self.done: Future[None] = Future()


class LocalCalls:
    """Finds the call of each request by its correlation id. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[LocalCall[Any], int]] = {}
        self._base = uuid.uuid4().hex
        self._numbers = itertools.count()

    def begin(self, requests: Sequence[Request[Reply]]) -> LocalCall[Reply]:
        """Return a new call."""
        call = LocalCall(requests, [f"{self._base}-{next(self._numbers)}" for _ in requests])
        with self._lock:
            self._waiting.update((id_, (call, place)) for place, id_ in enumerate(call.ids))
        return call

    def answer(self, replies: Iterable[tuple[ReplyAddress, Message]]) -> None:
        """Give replies to those who wait for them; one that nobody waits for is dropped."""
        for address, message in replies:
            with self._lock:
                call, place = self._waiting.pop(address.correlation_id, (None, 0))
            if call is None:
                log.info("a reply came too late: the requester has gone", extra=with_fields(type=message_type(message)))
                continue
            call.replies[place] = message
            self._settle(call)

    def leave(self, ids: Iterable[str]) -> None:
        """Leave these requests to the bus, unless they are answered or given up."""
        for id_ in ids:
            with self._lock:
                call, place = self._waiting.pop(id_, (None, 0))
                if call is not None:
                    call.left.append(place)
            if call is not None:
                self._settle(call)

    def leave_all(self) -> None:
        """Leave every request to the bus."""
        with self._lock:
            ids = list(self._waiting)
        self.leave(ids)

    def forget(self, call: LocalCall[Any]) -> None:
        """Stop waiting."""
        with self._lock:
            for id_ in call.ids:
                self._waiting.pop(id_, None)

    def _settle(self, call: LocalCall[Any]) -> None:
        with self._lock:
            call.missing -= 1
            is_last = call.missing == 0
        if is_last:
            call.done.set_result(None)
