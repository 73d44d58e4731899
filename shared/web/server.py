"""Runs a WSGI application under waitress on a thread of its own, and stops it in order."""

from __future__ import annotations

import threading
from typing import Any, cast

from flask import Flask
from waitress.server import create_server

_MARGIN = 64 * 1024


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
        """Stop listening, finish the requests under way and return."""
        self._server.close()
        self._server.task_dispatcher.shutdown()
        self._thread.join(timeout=5)
