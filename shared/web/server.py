"""Serves HTTP from an event loop on a thread of its own, and stops in order.

A Flask application answers on a fixed number of threads, which no request holds while it waits for another service
(shared/web/http/wsgi.py). Event streams and websockets, which stay open for long, are endpoints on the loop itself
under paths of their own: each costs a connection and no thread.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import uvicorn

from shared.errors import ConfigError
from shared.logs import with_fields
from shared.process.thread import ServiceThread
from shared.web.app import STOPPING
from shared.web.asgi import Endpoint, Receive, Scope, Send, respond
from shared.web.async_flask import AsyncFlask
from shared.web.http.bodies import give_back_memory
from shared.web.http.protocol import AbortableWebSocket, BoundedProtocol
from shared.web.http.tracing import Traced
from shared.web.http.wsgi import WsgiBridge
from shared.web.threads import Threads

log = logging.getLogger(__name__)

_MARGIN = 64 * 1024
_STOP_SECONDS = 5
"""Seconds that requests under way may take once the server is told to stop."""
_LAST_SECONDS = 1
"""The part of them that is left for answers once no request waits for another service any more."""
_KEEP_ALIVE = 120
"""Seconds that a connection may be idle between requests."""
_SWITCH_SECONDS = 0.001
"""Seconds of computing after which a thread lets others run (Python's own: 0.005): for one answer the event loop needs
its turn several times, and each time all threads may be before it."""
_BACKLOG = 1024
_OPEN_FILES = 10_240
"""Open files to ask for, one for each connection: shells allow as few as 256, macOS at most this many."""
_MAX_MESSAGE = 64 * 1024
"""Bytes of a message that comes in by websocket."""


class HttpServer:
    """A listening HTTP server; `port` is the port in use, chosen by the system where 0 was asked for."""

    def __init__(
        self, app: AsyncFlask, host: str, port: int, threads: int, endpoints: Mapping[str, Endpoint] | None = None
    ) -> None:
        """Listen, or raise `ConfigError`; `endpoints` answer their paths, `app` all others."""
        _allow_connections()
        give_back_memory()
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._sockets = _listen(host, port)
        self.port: int = self._sockets[0].getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopping: asyncio.Future[None] = self._loop.create_future()
        self._told_to_stop: threading.Event = app.extensions.setdefault(STOPPING, threading.Event())
        limit = app.config["MAX_CONTENT_LENGTH"] + _MARGIN  # up to it the application itself says what is too much
        self._bridge = WsgiBridge(app, limit, Threads(threads, "http"), self._stopping)
        self._server = _Server(
            uvicorn.Config(
                Traced(_Router(self._bridge, endpoints or {})),
                http=BoundedProtocol,
                ws=AbortableWebSocket if endpoints else "none",
                ws_max_size=_MAX_MESSAGE,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=[("server", "warren")],
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )
        self._thread = ServiceThread(self._run, "http", lambda: self._server.should_exit)
        self._thread.start()

    def call_soon(self, call: Callable[..., object], *args: Any) -> None:
        """Schedule a call on the event loop, from any thread; dropped once the server has stopped."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call, *args)

    def drain(self, seconds: float) -> None:
        """Say at `/readyz` that the service is about to stop, and go on serving until proxies have read it."""
        self._told_to_stop.set()
        if seconds:
            log.info("draining", extra=with_fields(seconds=seconds))
            time.sleep(seconds)

    def close(self) -> None:
        """Stop listening, finish the requests under way, send their answers, close all connections and return."""
        self._server.should_exit = True
        self.call_soon(self._loop.call_later, _STOP_SECONDS - _LAST_SECONDS, self._stopping.set_result, None)
        self._thread.join()
        self._bridge.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve(sockets=self._sockets))


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in order, then cut off clients that do not read their answers."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class _Router:
    """Routes a request to the endpoint of its path, or else to the application."""

    def __init__(self, app: WsgiBridge, endpoints: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["path"])
        if endpoint is not None:
            await endpoint(scope, receive, send)
        elif scope["type"] == "http":
            await self._app(scope, receive, send)
        else:
            await respond(scope, send, 404, "no websocket here")


def _allow_connections() -> None:
    """Raise this process's limit of open files as far as the system allows: at the limit no client is answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for every address of a host, all with one port."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)  # asyncio sets TCP_NODELAY where it knows that it is TCP
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = sockets[0].getsockname()[1] if len(sockets) > 1 else port
            listener.bind((address[0], chosen, *address[2:]))
            listener.listen(_BACKLOG)
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
    return sockets
