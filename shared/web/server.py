"""Runs a WSGI application under waitress on a thread of its own, and stops it in order."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

_MARGIN = 64 * 1024
_FLUSH_SECONDS = 5.0


class HttpServer:
    """A listening HTTP server. `port` is the one in use, which matters when 0 was asked for."""

    def __init__(self, app: Flask, host: str, port: int, threads: int) -> None:
        limit = app.config["MAX_CONTENT_LENGTH"] + _MARGIN  # past it waitress itself answers 413
        server = create_server(app, host=host, port=port, threads=threads, ident="warren", max_request_body_size=limit)
        self._server = cast(Any, server)  # its stubs lack what is used here
        self.port: int = self._server.effective_port
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, finish the requests under way, send their answers, close all connections and return.

        Sockets belong to the server's thread: what touches them is handed to it, through its trigger.
        """
        trigger = self._server.trigger
        trigger.pull_trigger(lambda: wasyncore.dispatcher.close(self._server))
        self._server.task_dispatcher.shutdown()
        trigger.pull_trigger(self._close_when_flushed)
        deadline = time.monotonic() + _FLUSH_SECONDS
        while self._server.active_channels and time.monotonic() < deadline:
            time.sleep(0.005)
        trigger.pull_trigger(self._end)
        self._thread.join()

    def _close_when_flushed(self) -> None:
        for channel in self._server.active_channels.values():
            channel.close_when_flushed = True

    def _end(self) -> None:
        for channel in list(self._server.active_channels.values()):  # of clients that do not read their answers
            channel.handle_close()
        self._server.trigger.close()
