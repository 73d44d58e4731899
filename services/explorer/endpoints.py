"""What the explorer serves on the event loop itself, beside the Flask application: all that stays open for long."""

from __future__ import annotations

from services.explorer.errors import RequestError
from services.explorer.event_stream import EventStream
from services.explorer.hub import EventHub
from services.explorer.limits import Clients, stream_limit
from services.explorer.mempool_space import MempoolSpace
from services.explorer.places import Places
from services.explorer.reads import ChainReads
from services.explorer.replacements import Replacements
from services.explorer.waiting import Wait
from services.explorer.websocket.board import Board
from services.explorer.websocket.changes import ChangeReader
from services.explorer.websocket.endpoint import WebSocket
from services.explorer.websocket.pulse import Pulse
from shared.chain.view import ChainView
from shared.config import Settings
from shared.params import ChainParams
from shared.web.asgi import Endpoint, Receive, Scope, Send, guarded, respond
from shared.web.hosts import TrustedHosts
from shared.web.threads import Threads

_THREADS = 2


def create_endpoints(settings: Settings, params: ChainParams, view: ChainView, hub: EventHub) -> dict[str, Endpoint]:
    """Return the endpoints by path."""
    hosts = TrustedHosts(settings.trusted_hosts)
    clients = Clients(settings)
    places = Places(settings.max_streams, stream_limit(settings), clients.of_scope)
    wait = Wait(ChainReads(view), hub, places, Threads(_THREADS, "wait"))
    return {
        path: guarded(_refusing(endpoint, clients), hosts)
        for endpoint, paths in (
            (EventStream(hub, places), ("/events", "/api/events")),
            (wait, ("/wait", "/api/wait")),
            (_websocket(params, view, hub, places), ("/api/v1/ws",)),
        )
        for path in paths
    }


def _refusing(endpoint: Endpoint, clients: Clients) -> Endpoint:
    """Return the endpoint with its requests counted, and its refusals answered as the API's are."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            clients.count(clients.of_scope(scope))
            await endpoint(scope, receive, send)
        except RequestError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.status in (429, 503) else {}
            await respond(scope, send, error.status, error.message, {"Content-Type": "text/plain"} | headers)

    return app


def _websocket(params: ChainParams, view: ChainView, hub: EventHub, places: Places) -> WebSocket:
    reads = ChainReads(view)
    api = MempoolSpace(reads, Replacements(view), params)
    threads = Threads(_THREADS, "websockets")
    board = Board(reads, api, threads, lambda: hub.position)
    pulse = Pulse(hub, board, ChangeReader(reads, api, params.address), threads)
    return WebSocket(pulse, hub, places, params.address)
