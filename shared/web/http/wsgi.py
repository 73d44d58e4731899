"""Runs an application behind the event loop: a request is read to its end, then threads answer it, step by step.

So a slow client holds a connection and no thread, and so does a request that waits for another service. A request that
its headers alone condemn is refused before its body is read.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from werkzeug import Response

from shared.process import waiting
from shared.web.asgi import Receive, Scope, Send
from shared.web.async_flask import AsyncFlask
from shared.web.direct import DirectRequest
from shared.web.head import RequestHead, head_of_scope
from shared.web.http.bodies import Bodies, BodyRefused, ReceivedBody
from shared.web.refusal import Refusal
from shared.web.threads import Threads

LIVENESS = "/healthz"
"""Its view waits for nothing, so the event loop itself answers it, however busy the threads are."""
_READINESS = "/readyz"
_READINESS_SECONDS = 1.5
"""Checks without an answer by then (a server is paused) count as failed: probes wait for two seconds."""
_OWN_THREADS = {_READINESS: 2, "/metrics": 1}
"""Paths that are answered by threads of their own, and by how many: an operator asks most when all others are busy."""

_Encoded = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body of a response."""


class WsgiBridge:
    """An ASGI application around a Flask application."""

    def __init__(self, app: AsyncFlask, max_body: int, threads: Threads, stopping: asyncio.Future[None]) -> None:
        """Once `stopping` is done, requests wait for other services no longer."""
        self._app = app
        self._bodies = Bodies(max_body)
        self._threads = threads
        self._own_threads = {path: Threads(count, path[1:]) for path, count in _OWN_THREADS.items()}
        self._stopping = stopping

    def close(self) -> None:
        """Let the threads end after their present calls."""
        for threads in (self._threads, *self._own_threads.values()):
            threads.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head = head_of_scope(scope)
        refusal = self._app.check_head(head)
        if refusal is not None:
            await self._refuse(refusal, scope, receive, send)
            return
        try:
            body = await self._bodies.read(scope, receive)
        except BodyRefused as error:
            await self._refuse(error.refusal, scope, receive, send)
            return
        if body is None:
            return  # the client went away
        try:
            status, headers, data = await self._answer(scope, head, body)
        finally:
            self._bodies.release(body)
        if body.is_cut:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data, "more_body": False})

    async def _answer(self, scope: Scope, head: RequestHead, body: ReceivedBody) -> _Encoded:
        direct = self._app.direct
        if direct is not None and direct.takes(head):
            asked = DirectRequest(head, body.data, body.length)
            answer = await self._threads.drive(direct.answer(asked), self._stopping, starts_here=True)
            return answer.status, answer.fields(), answer.body
        environ = _environ(scope)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["wsgi.input"] = io.BytesIO(body.data)
        environ["CONTENT_LENGTH"] = str(body.length) if body.length else ""
        if head.path == LIVENESS and head.method == "GET":
            return waiting.run(self._respond(environ))
        if head.path == _READINESS:
            return await self._readiness(environ)
        threads = self._own_threads.get(head.path, self._threads)
        return await threads.drive(self._respond(environ), self._stopping)

    async def _readiness(self, environ: dict[str, Any]) -> _Encoded:
        answer = self._own_threads[_READINESS].drive(self._respond(environ), self._stopping)
        try:
            return await asyncio.wait_for(answer, _READINESS_SECONDS)
        except TimeoutError:
            silent = sorted(set(self._app.checks_at_work)) or ["checks"]
            states = dict.fromkeys(silent, False)
            reasons = dict.fromkeys(silent, f"no answer within {_READINESS_SECONDS:g} seconds")
            late = Response(json.dumps(states | {"reasons": reasons}), 503, content_type="application/json")
            return _encoded(late, environ)

    async def _respond(self, environ: dict[str, Any]) -> _Encoded:
        return _encoded(await self._app.respond(environ), environ)

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then drop the rest of the body: a client that writes first gets to read the answer."""
        await asyncio.sleep(refusal.seconds)
        status, headers, data = _encoded(refusal.response(), _environ(scope))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data, "more_body": True})
        is_over = await self._bodies.drop(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if not is_over:
            scope["abort"]()


def _encoded(response: Response, environ: dict[str, Any]) -> _Encoded:
    chunks, _, headers = response.get_wsgi_response(environ)
    with response:
        data = b"".join(chunks)
    return response.status_code, [(name.lower().encode(), value.encode("latin-1")) for name, value in headers], data


def _environ(scope: Scope) -> dict[str, Any]:
    """Return a request without its body as PEP 3333's environ, whose text is bytes read as Latin-1."""
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
        "wsgi.input": io.BytesIO(),
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
    environ["CONTENT_LENGTH"] = environ.pop("HTTP_CONTENT_LENGTH", "")
    return environ
