"""Flask with views that wait without a thread: a view may be an `async def` (shared/process/waiting.py).

The HTTP server drives `respond`; Flask's own way, an event loop for each request, is not used. A view goes on after its
client has gone, to the end of what it has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing
from typing import Any

from flask import Flask, Response

from shared.errors import WarrenError
from shared.process import waiting
from shared.web.direct import DirectCalls, DirectRequest
from shared.web.head import RequestHead, head_of_environ
from shared.web.refusal import Refusal
from shared.web.slots import Slots, SlotsTaken

MAX_WAITING = 500
"""Requests of one service that may wait for other services at a time."""


class NoRoomToWait(WarrenError):
    """As many requests wait for other services as may; try again later."""


class AsyncFlask(Flask):
    """An application whose views may be coroutines, `MAX_WAITING` at a time."""

    def __init__(self, import_name: str) -> None:
        super().__init__(import_name)
        self.bound_waits(MAX_WAITING, str)
        self.checks_at_work: list[str] = []
        """The names of the checks that `/readyz` waits for now."""
        self.head_checks: list[Callable[[RequestHead], Refusal | None]] = []
        """Functions that may refuse a request by its headers, before its body is read. They run on the event loop, for
        every request that is no plain read."""
        self.direct: DirectCalls | None = None
        """The requests that are answered without Flask."""

    def bound_waits(self, most_for_one: int, client: Callable[[], str]) -> None:
        """Let one client hold only so many of the waits; `client` tells whose request is answered now."""
        self._waits = Slots(MAX_WAITING, most_for_one)
        self._client = client

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is: `respond` awaits what a view returns."""
        return func

    def check_head(self, head: RequestHead) -> Refusal | None:
        """Return why a request is refused by its head alone, None if it is not."""
        if head.is_plain_read:
            return None
        for check in self.head_checks:
            if (refusal := check(head)) is not None:
                return refusal
        return None

    async def respond(self, environ: dict[str, Any]) -> Response:
        """Return the response to a request, errors included (Flask's `wsgi_app`, with room to wait)."""
        context = self.request_context(environ)
        error: Exception | None = None
        context.push()
        try:
            try:
                return await self._dispatch()
            except Exception as raised:
                error = raised
                return self.handle_exception(raised)
        finally:
            context.pop(error)

    async def _dispatch(self) -> Response:
        answer: Any
        try:
            answer = self.preprocess_request()
            if answer is None:
                answer = self.dispatch_request()
                if hasattr(answer, "__await__"):
                    with closing(answer), self.room_to_wait(self._client()):
                        answer = await answer
        except Exception as error:
            answer = self.handle_user_exception(error)
        return self.finalize_request(answer)

    def room_to_wait(self, client: str) -> AbstractContextManager[None]:
        """Take room for one request of a client that may wait, to be held by `with`. Raises `NoRoomToWait`."""
        try:
            return self._waits.take(client)
        except SlotsTaken:
            raise NoRoomToWait("too many requests wait already, try again when one of them is done") from None

    def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer on this thread alone, waits included, as tests' clients need it."""
        head = head_of_environ(environ)
        refusal = self.check_head(head)
        if refusal is not None:
            response = refusal.response()
        elif self.direct is not None and self.direct.takes(head):
            body = environ["wsgi.input"].read(head.content_length)
            response = waiting.run(self.direct.answer(DirectRequest(head, body, len(body)))).response()
        else:
            response = waiting.run(self.respond(environ))
        return response(environ, start_response)
