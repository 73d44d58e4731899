"""HTTP/1.1 and websockets on one connection: uvicorn's, with bounds on what a client may send and how long it may take.

`scope["abort"]` ends the connection at once: an orderly end would wait for a client that does not read.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_HEAD = 64 * 1024
"""Bytes of a request's line and headers, beside those that come with its first bytes at one go (256 KiB at most)."""
HEAD_SECONDS = 120.0
"""From a connection's begin to the end of its first request's headers."""
UNREAD_SECONDS = 60
"""After which the kernel ends the connection of a client that takes nothing of what is sent, or that has vanished."""
MAX_PIPELINED = 1_000
"""Requests that wait for the answer to one before them."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 25\r\nconnection: close\r\n\r\nRequest headers too large"
)


class BoundedProtocol(HttpToolsProtocol):
    """Ends connections whose request never gets complete, or has no end."""

    _head_size: int | None = 0
    """Bytes of the headers that are being read; None while there are none."""
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, transport.abort)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, unless they make the headers too large."""
        if self._head_size is not None:
            self._head_size += len(data)
        super().data_received(data)
        if self._head_size is not None and self._head_size > MAX_HEAD and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Count this request's headers; those of a request behind another count from the next bytes on."""
        self._head_size = 0
        super().on_message_begin()
        self.scope["abort"] = lambda: _cut(self.transport)  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        """Start the request, or let it wait for those before it."""
        self._head_size = None
        self._stop_timer()
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()

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
        """Send; a whole answer instead of a websocket is an end of the handshake, too, and no error to log."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True


def _cut(transport: asyncio.Transport) -> None:
    """End a connection by a reset: what the kernel still holds for the client, up to megabytes, goes at once too."""
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
