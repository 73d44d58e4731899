"""What the explorer serves on the event loop itself, beside the Flask application: all that stays open for long."""

from __future__ import annotations

from services.explorer.api.mempool_space import MempoolSpace
from services.explorer.chain.queries import ChainQueries
from services.explorer.chain.rbf_trees import RbfTrees
from services.explorer.errors import RequestError
from services.explorer.live.event_hub import EventHub
from services.explorer.live.sse_endpoint import EventStream
from services.explorer.live.stream_slots import StreamSlots
from services.explorer.live.wait_endpoint import Wait
from services.explorer.live.websocket.broadcaster import Broadcaster
from services.explorer.live.websocket.changes import ChangeReader
from services.explorer.live.websocket.endpoint import WebSocket
from services.explorer.live.websocket.snapshot import Snapshot
from services.explorer.rate_limit import Clients, stream_limit
from shared.chain.view import ChainView
from shared.config import Settings
from shared.consensus.params import ChainParams
from shared.web.asgi import Endpoint, Receive, Scope, Send, guarded, respond
from shared.web.hosts import TrustedHosts
from shared.web.threads import Threads

_THREADS = 2


def create_endpoints(settings: Settings, params: ChainParams, view: ChainView, hub: EventHub) -> dict[str, Endpoint]:
    """Return the endpoints by path."""
    hosts = TrustedHosts(settings.trusted_hosts)
    clients = Clients(settings)
    places = StreamSlots(settings.max_streams, stream_limit(settings), clients.of_scope)
    wait = Wait(ChainQueries(view), hub, places, Threads(_THREADS, "wait"))
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


def _websocket(params: ChainParams, view: ChainView, hub: EventHub, places: StreamSlots) -> WebSocket:
    reads = ChainQueries(view)
    api = MempoolSpace(reads, RbfTrees(view), params)
    threads = Threads(_THREADS, "websockets")
    snapshot = Snapshot(reads, api, threads, lambda: hub.position)
    broadcaster = Broadcaster(hub, snapshot, ChangeReader(reads, api, params.address), threads)
    return WebSocket(broadcaster, hub, places, params.address)
