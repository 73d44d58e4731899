"""Helpers for tests of event streams and websockets: a chain that commits facts, instances, and clients."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.explorer.app import create_explorer
from services.explorer.live.event_hub import EventHub
from shared.chain.view import ChainView
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.web.server import HttpServer
from tests.unit.bus.fake_broker import FakeBroker


@dataclass(frozen=True)
class Instance:
    """An explorer in this process, with a real server, that hears nothing: `hub.wake()` says when to look."""

    hub: EventHub
    server: HttpServer

    @property
    def port(self) -> int:
        return self.server.port


@contextmanager
def running(view: ChainView, settings: Settings | None = None, broker: FakeBroker | None = None) -> Iterator[Instance]:
    settings = settings or Settings()
    explorer = create_explorer(settings, REGTEST, view, broker or FakeBroker(), {})
    server = HttpServer(explorer.app, "127.0.0.1", 0, 4, explorer.endpoints)
    explorer.hub.start(server.call_soon)
    try:
        yield Instance(explorer.hub, server)
    finally:
        explorer.hub.close()
        server.close()


@dataclass(frozen=True)
class Sent:
    """One event of a stream; the first of a stream, and some heartbeats, have an id alone."""

    id: int | None = None
    event: str = ""
    data: str = ""


class Stream:
    """A client of `/events` that reads when it is asked to."""

    def __init__(self, port: int, query: str = "", last_event_id: int | None = None, timeout: float = 20) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
        self._connection.request("GET", f"/events{query}", headers=headers)
        self.response = self._connection.getresponse()
        self.last_id = last_event_id

    def next(self) -> Sent:
        """Return the next event that has a type."""
        while True:
            sent = self.next_block()
            if sent.event:
                return sent

    def next_block(self) -> Sent:
        fields: dict[str, str] = {}
        while line := self.response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        if "id" in fields:
            self.last_id = int(fields["id"])
        elif not fields:
            raise EOFError
        return Sent(int(fields["id"]) if "id" in fields else None, fields.get("event", ""), fields.get("data", ""))

    def close(self) -> None:
        self.response.close()
        self._connection.close()
