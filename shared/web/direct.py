"""Requests that are answered beside Flask, which costs as much as all the work of a small JSON-RPC call.

Such a request is nothing but its body, and its answer nothing but bytes. Everything before and after is as for a view:
checks of the head, bounds of bodies, threads, and the common headers.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Response

from shared.web.asgi import SECURITY_HEADERS
from shared.web.head import RequestHead


@dataclass(frozen=True, slots=True)
class DirectRequest:
    """A whole request."""

    head: RequestHead
    body: bytes
    length: int
    """Bytes that were sent or announced; `body` is empty if they are more than are kept."""


@dataclass(frozen=True, slots=True)
class DirectAnswer:
    """Status and body of an answer; one without a body has no type."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return all fields of its head."""
        found = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.body:
            found.append((b"content-type", self.content_type.encode()))
            found.append((b"content-length", str(len(self.body)).encode()))
        return found + _COMMON_FIELDS

    def response(self) -> Response:
        """Return it as Flask's, for clients of tests."""
        response = Response(self.body, self.status)
        response.headers.clear()
        for name, value in self.fields():
            response.headers.add(name.decode(), value.decode("latin-1"))
        return response


@dataclass(frozen=True, slots=True)
class DirectCalls:
    """Which requests are answered directly, and how."""

    takes: Callable[[RequestHead], bool]
    answer: Callable[[DirectRequest], Coroutine[Any, None, DirectAnswer]]
    """It begins on the event loop, where it must not block: `await on_thread()` first (shared/process/waiting.py)."""


_COMMON_FIELDS = [(name.lower().encode(), value.encode("latin-1")) for name, value in SECURITY_HEADERS.items()]
