"""What the explorer serves on the event loop itself, beside the Flask application: all that stays open for long."""

from __future__ import annotations

from services.explorer.event_stream import EventStream
from services.explorer.hub import EventHub
from services.explorer.mempool_space import MempoolSpace
from services.explorer.places import Places
from services.explorer.reads import ChainReads
from services.explorer.replacements import Replacements
from services.explorer.websocket.board import Board
from services.explorer.websocket.changes import ChangeReader
from services.explorer.websocket.endpoint import WebSocket
from services.explorer.websocket.pulse import Pulse
from shared.chain.view import ChainView
from shared.config import Settings
from shared.params import ChainParams
from shared.web.asgi import Endpoint, guarded
from shared.web.hosts import TrustedHosts
from shared.web.threads import Threads

_THREADS = 2


def create_endpoints(settings: Settings, params: ChainParams, view: ChainView, hub: EventHub) -> dict[str, Endpoint]:
    """Return the endpoints by path."""
    hosts = TrustedHosts(settings.trusted_hosts)
    places = Places(settings.max_streams)
    events = guarded(EventStream(hub, places), hosts)
    return {
        "/events": events,
        "/api/events": events,
        "/api/v1/ws": guarded(_websocket(params, view, hub, places), hosts),
    }


def _websocket(params: ChainParams, view: ChainView, hub: EventHub, places: Places) -> WebSocket:
    reads = ChainReads(view)
    api = MempoolSpace(reads, Replacements(view), params)
    threads = Threads(_THREADS, "websockets")
    board = Board(reads, api, threads, lambda: hub.position)
    pulse = Pulse(hub, board, ChangeReader(reads, api, params.address), threads)
    return WebSocket(pulse, hub, places, params.address)
