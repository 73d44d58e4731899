"""Requests that wait for their replies, as both backends keep them."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Generic

from shared.bus import events
from shared.bus.events import Reply, Request
from shared.errors import BrokerError, BrokerUnavailable, DecodeError, RequestFailed, RequestTimeout
from shared.logs import with_fields
from shared.process.waiting import WaitFor

log = logging.getLogger(__name__)


class Call(Generic[Reply]):
    """A batch of requests under way; done when every one has its reply, or the batch failed."""

    def __init__(self, requests: Sequence[Request[Reply]]) -> None:
        self.requests = requests
        self.replies: list[Reply | None] = [None] * len(requests)
        self.missing = len(requests)
        self.done: Future[None] = Future()


class ReplyBox:
    """Finds the waiting call of each reply by its correlation id. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Call[Any], int]] = {}
        self._base = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()

    def expect(self, requests: Sequence[Request[Reply]], ids: Sequence[str] = ()) -> tuple[Call[Reply], Sequence[str]]:
        """Return a new call and the correlation id of each of its requests: one of `ids`, or a new one."""
        call = Call(requests)
        ids = ids or [f"{self._base}-{next(self._numbers)}" for _ in requests]
        with self._lock:
            self._waiting.update((id_, (call, place)) for place, id_ in enumerate(ids))
        if not requests:
            call.done.set_result(None)
        return call, ids

    def put(self, correlation_id: str, type_name: str, body: bytes) -> None:
        """Take a reply that arrived; a reply that no call waits for any more is dropped."""
        with self._lock:
            call, place = self._waiting.pop(correlation_id, (None, 0))
        if call is None:
            log.info("a reply came too late: its request has been given up", extra=with_fields(type=type_name))
            return
        try:
            reply = call.requests[place].check(events.decode(type_name, body))
        except DecodeError as error:
            self.fail(call, RequestFailed(f"undecodable reply: {error}"))
            return
        except RequestFailed as error:
            self.fail(call, error)
            return
        with self._lock:
            call.replies[place] = reply
            call.missing -= 1
            is_last = call.missing == 0
        if is_last:
            call.done.set_result(None)

    async def replies(self, call: Call[Reply], ids: Sequence[str], deadline: float) -> list[Reply]:
        """Return the replies in order; raise the call's error, or `RequestTimeout` after `deadline` (monotonic)."""
        try:
            if await WaitFor(call.done, deadline - time.monotonic()):
                call.done.result()
        finally:
            self.forget(ids)
        with self._lock:
            replies = [reply for reply in call.replies if reply is not None]
        if len(replies) < len(call.replies):
            raise RequestTimeout(f"{len(call.replies) - len(replies)} of {len(call.replies)} requests unanswered")
        return replies

    def forget(self, ids: Sequence[str]) -> None:
        """Stop waiting for the replies to these correlation ids."""
        with self._lock:
            for id_ in ids:
                self._waiting.pop(id_, None)

    def fail_all(self, why: str) -> None:
        """End every waiting call with `BrokerUnavailable`: the broker went away, and their replies with it."""
        with self._lock:
            calls = {call for call, _ in self._waiting.values()}
            self._waiting.clear()
        for call in calls:
            self.fail(call, BrokerUnavailable(why))

    def fail(self, call: Call[Any], error: BrokerError) -> None:
        """End a call with an error, unless it is done."""
        with self._lock:
            is_first, call.missing = call.missing > 0, 0
        if is_first:
            call.done.set_exception(error)
