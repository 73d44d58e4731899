"""Reads the bodies of requests: none too large, not too many bytes of them at a time, and none too slowly.

A body longer than the limit is not kept: the application gets only its length, and refuses it in its own words. A body
that is refused is read on and dropped for a while, so that a client that writes first gets to read the answer.
"""

from __future__ import annotations

import asyncio
import ctypes
from contextlib import suppress
from dataclasses import dataclass

from shared.errors import WarrenError
from shared.web.asgi import Message, Receive, Scope, header
from shared.web.refusal import Refusal

GRACE_SECONDS = 30.0
"""Seconds that every body may take (bitcoind's `-rpcservertimeout`); a long one may take more."""
BYTES_PER_SECOND = 64 * 1024
"""The least that a client sends from then on, on the average."""
BODIES_AT_ONCE = 4
"""Bodies of the largest size that are in memory at a time, until they are answered."""
_LEAST_ROOM = 16 * 1024 * 1024
SMALL = 64 * 1024
"""Bytes up to which a body finds room where larger ones find none, in a quarter of the room beside it."""
PATIENCE = 8_000_000
"""Bytes past the limit that are read and dropped."""


def give_back_memory() -> None:
    """Let the process return large blocks of memory to the system when they are free.

    glibc keeps blocks of up to 32 MiB for itself once one of that size was free; a fixed threshold ends that. Other C
    libraries have no such setting.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


class BodyRefused(WarrenError):
    """A body is not read to its end."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class ReceivedBody:
    """The body of one request."""

    data: bytes
    length: int
    """Bytes that were sent or announced; `data` is empty if they are over the limit."""
    is_cut: bool


_M_MMAP_THRESHOLD = -3
"""malloc.h"""
_LARGE_BLOCK = 1024 * 1024
_CLOSE = {"Connection": "close"}
_NO_ROOM = Refusal(503, "too many large requests at a time, try again later", {"Retry-After": "1"} | _CLOSE)
_TOO_SLOW = Refusal(408, "the request took too long to arrive", _CLOSE)
_NONE = ReceivedBody(b"", 0, is_cut=False)


class Bodies:
    """The bodies of a server in memory. Used on the event loop only."""

    def __init__(self, most: int) -> None:
        """`most` is the limit of one body in bytes."""
        self._most = most
        self._room = max(BODIES_AT_ONCE * most, _LEAST_ROOM)
        self._held = 0

    async def read(self, scope: Scope, receive: Receive) -> ReceivedBody | None:
        """Return a body, to be given to `release` in the end; None if the client went away. Raises `BodyRefused`."""
        announced = _announced(scope)
        if announced is None and not header(scope, b"transfer-encoding"):
            return _NONE
        announced = announced or 0
        if announced > self._most + PATIENCE:
            return ReceivedBody(b"", announced, is_cut=True)
        kept = bytearray()  # one block of memory: parts beside others would leave holes that are not given back
        length = 0
        clock = _Clock()
        try:
            while True:
                message = await (receive() if "is_whole" in scope else clock.next(receive, length))
                if message["type"] == "http.disconnect":
                    return None
                part = message.get("body", b"")
                length += len(part)
                too_much = max(length, announced)
                if too_much > self._most:
                    self._drop(kept)
                    if not message.get("more_body") or too_much > self._most + PATIENCE:
                        return ReceivedBody(b"", too_much, is_cut=True)
                    continue
                if length == len(part) and not message.get("more_body"):
                    self._hold(length, length)
                    return ReceivedBody(part, length, is_cut=False)
                self._hold(len(part), length)
                kept += part
                if not message.get("more_body"):
                    data = bytes(kept)
                    self._held += length
                    return ReceivedBody(data, length, is_cut=False)
        finally:
            self._drop(kept)

    def release(self, body: ReceivedBody) -> None:
        """Count a body no longer: its request is answered."""
        self._held -= len(body.data)

    async def drop(self, receive: Receive) -> bool:
        """Read and drop a body that was refused; return whether it came to its end in time."""
        clock = _Clock()
        length = 0
        while length <= self._most + PATIENCE:
            try:
                message = await clock.next(receive, 0)
            except BodyRefused:
                return False
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return True
            length += len(message.get("body", b""))
        return False

    def _hold(self, more: int, length: int) -> None:
        """Count more bytes of a body that has `length` bytes with them."""
        room = self._room if length > SMALL else self._room * 5 // 4
        if self._held + more > room:
            raise BodyRefused(_NO_ROOM)
        self._held += more

    def _drop(self, kept: bytearray) -> None:
        self._held -= len(kept)
        kept.clear()


class _Clock:
    """The time that one body may take."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    async def next(self, receive: Receive, length: int) -> Message:
        """Return the next part after `length` bytes. Raises `BodyRefused` if it does not come in time."""
        try:
            async with asyncio.timeout_at(self._began + GRACE_SECONDS + length / BYTES_PER_SECOND):
                return await receive()
        except TimeoutError:
            raise BodyRefused(_TOO_SLOW) from None


def _announced(scope: Scope) -> int | None:
    length = header(scope, b"content-length")
    return int(length) if length else None
