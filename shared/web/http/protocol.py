"""Uvicorn's HTTP/1.1 and websocket protocols, with bounds on the size and duration of a client's request.

`scope["abort"]` ends the connection at once: an orderly end would wait for a client that does not read. The scope of a
request that has come to its end has `"is_whole"`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_HEAD = 64 * 1024
"""Bytes of a request's line and headers; the read in which it begins (up to 256 KiB) is not counted."""
HEAD_SECONDS = 120.0
"""Seconds from the start of a connection, or of a later request, to the end of the request's headers."""
UNREAD_SECONDS = 60
"""Seconds after which the kernel ends the connection of a client that reads nothing, or has vanished."""
MAX_PIPELINED = 1_000
"""Pipelined requests of a connection that may wait for an earlier answer."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 25\r\nconnection: close\r\n\r\nRequest headers too large"
)


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection whose request takes too long or grows too large."""

    _head_size: int | None = 0
    """Bytes of the headers that are being read; None while there are none."""
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first request."""
        super().connection_made(transport)
        self._start_timer()
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse bytes; answer 431 and close once the headers are too large."""
        if self._head_size is not None:
            self._head_size += len(data)
        super().data_received(data)
        if self._head_size is not None and self._head_size > MAX_HEAD and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Start to count a request's headers; for a pipelined request the count starts with the next read."""
        self._head_size = 0
        if self._head_timer is None:
            self._start_timer()
        super().on_message_begin()
        self.scope["abort"] = lambda: _cut(self.transport)  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        """Start the request, or queue it behind earlier ones."""
        self._head_size = None
        self._stop_timer()
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()

    def on_message_complete(self) -> None:
        """Tell that the whole body is there: a small one is when its request is looked at, and needs no clock then."""
        self.scope["is_whole"] = True  # type: ignore[typeddict-unknown-key]
        super().on_message_complete()

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class AbortableWebSocket(WebSocketsSansIOProtocol):
    """A websocket that can be ended at once."""

    async def run_asgi(self) -> None:
        """Run the endpoint."""
        self.scope["abort"] = lambda: _cut(self.transport)  # type: ignore[typeddict-unknown-key]
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        """Send a message; an HTTP answer ends the handshake, too, and is not logged as an error."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True


def _cut(transport: asyncio.Transport) -> None:
    """End a connection by a reset, which also drops the megabytes that the kernel may still hold for the client."""
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
