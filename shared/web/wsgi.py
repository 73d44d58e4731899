"""Runs an application behind the event loop: a request is read to its end, then threads answer it, step by step.

So a slow client holds a connection and no thread, and so does a request that waits for another service. A body longer
than the limit is not kept: the application gets only its length, and answers 413 in its own words.
"""

from __future__ import annotations

import asyncio
import io
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from shared import waiting
from shared.web.asgi import Message, Receive, Scope, Send
from shared.web.async_flask import AsyncFlask
from shared.web.threads import Threads

LIVENESS = "/healthz"
"""Answered on the event loop itself, as its view waits for nothing: whatever the threads wait for does not delay it."""
_OWN_THREADS = {"/readyz": 2, "/metrics": 1}
"""Paths that are answered by threads of their own, and by how many: an operator asks most when all others are busy."""
_PATIENCE = 8_000_000
"""Bytes past the limit that are read and dropped, so that the client gets to read the refusal."""


@dataclass(frozen=True, slots=True)
class _Body:
    data: bytes
    length: int
    """Bytes that were sent or announced; `data` is empty if they are over the limit."""
    is_cut: bool


class WsgiBridge:
    """An ASGI application around a Flask application."""

    def __init__(self, app: AsyncFlask, max_body: int, threads: Threads, stopping: asyncio.Future[None]) -> None:
        """Once `stopping` is done, requests wait for other services no longer."""
        self._app = app
        self._max_body = max_body
        self._threads = threads
        self._own_threads = {path: Threads(count, path[1:]) for path, count in _OWN_THREADS.items()}
        self._stopping = stopping

    def close(self) -> None:
        """Let the threads end after their present calls."""
        for threads in (self._threads, *self._own_threads.values()):
            threads.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await _read(receive, _announced(scope), self._max_body)
        if body is None:
            return  # the client went away
        if scope["path"] == LIVENESS and scope["method"] == "GET":
            status, headers, data = waiting.run(self._answer(scope, body))
        else:
            threads = self._own_threads.get(scope["path"], self._threads)
            status, headers, data = await threads.drive(self._answer(scope, body), self._stopping)
        if body.is_cut:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data, "more_body": False})

    async def _answer(self, scope: Scope, body: _Body) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        environ = _environ(scope, body)
        response = await self._app.respond(environ)
        chunks, _, headers = response.get_wsgi_response(environ)
        with response:
            data = b"".join(chunks)
        return response.status_code, [(name.lower().encode(), value.encode("latin-1")) for name, value in headers], data


async def _read(receive: Receive, announced: int | None, most: int) -> _Body | None:
    """Return the request's body, None if the client went away before its end."""
    parts: list[bytes] = []
    length = 0
    if announced is not None and announced > most + _PATIENCE:
        return _Body(b"", announced, is_cut=True)
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        length += len(part)
        too_much = max(length, announced or 0)
        if too_much > most:
            parts.clear()
            if not message.get("more_body") or too_much > most + _PATIENCE:
                return _Body(b"", too_much, is_cut=True)
        else:
            parts.append(part)
            if not message.get("more_body"):
                return _Body(b"".join(parts), length, is_cut=False)


def _announced(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
    return None


def _environ(scope: Scope, body: _Body) -> dict[str, Any]:
    """Return a request as PEP 3333's environ, whose text is bytes read as Latin-1."""
    host, port = scope["server"] or ("", None)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or ""),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body.data),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if scope["client"]:
        environ["REMOTE_ADDR"] = scope["client"][0]
        environ["REMOTE_PORT"] = str(scope["client"][1])
    for name, value in scope["headers"]:
        if b"_" in name:
            continue  # a header with _ would pass for another with -
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        text = value.decode("latin-1")
        if key in environ:
            text = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + text
        environ[key] = text
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(body.length) if body.length else ""
    return environ
