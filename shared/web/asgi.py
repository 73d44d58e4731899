"""ASGI's types, and the common parts of endpoints on the event loop (event streams, websockets).

These endpoints stand beside the Flask application, not in it, so `guarded` does for them as `create_app` does for every
view: host check, security headers, and CORS for data that anyone may read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

from shared.web.hosts import TrustedHosts, host_name

T = TypeVar("T")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
PUBLIC_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Last-Event-ID, traceparent",
    "Access-Control-Expose-Headers": "Retry-After, traceresponse",
}


def guarded(endpoint: Endpoint, hosts: TrustedHosts) -> Endpoint:
    """Wrap an endpoint: check the host, answer preflights, refuse methods other than GET."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        host = header(scope, b"host")
        if not hosts.admits(host):
            detail = f"Unknown host: {host_name(host)!r} is not in WARREN_TRUSTED_HOSTS"
            await respond(scope, send, 421, detail)
        elif scope["type"] == "websocket" or scope["method"] == "GET":
            await endpoint(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await respond(scope, send, 204, "")
        else:
            await respond(scope, send, 405, "only GET is answered here", {"Allow": "GET, OPTIONS"})

    return app


async def until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of `work` or raise its exception; cancel it and return None once the client has gone."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        leaving.cancel()
        working.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def header(scope: Scope, name: bytes) -> str:
    """Return a request's header by its lower-case name, empty if there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def response_start(status: int, headers: Mapping[str, str]) -> Message:
    """Return the start of a response with public data: the given headers and the common ones."""
    lines = PUBLIC_HEADERS | SECURITY_HEADERS | dict(headers)
    return {"type": "http.response.start", "status": status, "headers": _encoded(lines.items())}


async def respond(
    scope: Scope, send: Send, status: int, body: str | bytes, headers: Mapping[str, str] | None = None
) -> None:
    """Send a whole response, plain text unless `headers` name another type; to a websocket it is a refusal."""
    data = body.encode() if isinstance(body, str) else body
    lines = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"} | dict(headers or {})
    if status != 204:
        lines["Content-Length"] = str(len(data))
    prefix = "websocket." if scope["type"] == "websocket" else ""
    start = response_start(status, lines)
    await send({**start, "type": prefix + "http.response.start"})
    await send({"type": prefix + "http.response.body", "body": data, "more_body": False})


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
