"""A TCP proxy on 127.0.0.1 that can cut all connections, or keep them open and let nothing through."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any

_CHUNK = 65_536


class Proxy:
    """Forwards connections to a server, on an event loop of its own thread."""

    def __init__(self, port: int, upstream: Callable[[], int]) -> None:
        """Listens on `port`; `upstream` returns the server's port, and is asked for each connection."""
        self.port = port
        self._upstream = upstream
        self._flows = asyncio.Event()
        self._flows.set()
        self._listener: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy {port}", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._do(self._listen())

    def close(self) -> None:
        if self._thread.is_alive():
            self._do(self._cut())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset all connections and refuse new ones, until `mend`."""
        self._do(self._cut())

    def mend(self) -> None:
        self._do(self._listen())

    def silence(self) -> None:
        """Let no byte through, and leave new connections without an answer, until `speak`."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def speak(self) -> None:
        self._loop.call_soon_threadsafe(self._flows.set)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port, reuse_address=True)

    async def _cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        tasks = list(self._connections)
        for writer in [writer for writers in self._connections.values() for writer in writers]:
            with contextlib.suppress(OSError):  # a reset, not a clean end
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = self._connections[task] = [writer]
        try:
            await self._flows.wait()
            above, below = await asyncio.open_connection("127.0.0.1", self._upstream())
            writers.append(below)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._pump(reader, below))
                directions.create_task(self._pump(above, writer))
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass  # the server is away, a side has gone, or the connection was cut
        finally:
            for each in writers:
                each.transport.abort()
            del self._connections[task]

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(_CHUNK):
            await self._flows.wait()
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError  # a side that has ended ends the other one too
