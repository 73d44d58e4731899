"""What the explorer serves on the event loop itself, beside the Flask application: all that stays open for long."""

from __future__ import annotations

from services.explorer.api.mempool_space import MempoolSpace
from services.explorer.chain.queries import ChainQueries
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
from shared.config import Settings
from shared.crypto.address import AddressPrefix
from shared.web.asgi import Endpoint, Receive, Scope, Send, guarded, respond
from shared.web.hosts import TrustedHosts
from shared.web.threads import Threads

_THREADS = 2


def create_endpoints(
    settings: Settings,
    clients: Clients,
    hub: EventHub,
    chain: ChainQueries,
    api: MempoolSpace,
    prefix: AddressPrefix,
) -> dict[str, Endpoint]:
    """Return the endpoints by path."""
    hosts = TrustedHosts(settings.trusted_hosts)
    places = StreamSlots(settings.max_streams, stream_limit(settings), clients.of_scope)
    wait = Wait(chain, hub, places, Threads(_THREADS, "wait"))
    threads = Threads(_THREADS, "websockets")
    snapshot = Snapshot(chain, api, threads, lambda: hub.position)
    broadcaster = Broadcaster(hub, snapshot, ChangeReader(chain, api, prefix), threads)
    return {
        path: guarded(_refusing(endpoint, clients), hosts)
        for endpoint, paths in (
            (EventStream(hub, places), ("/events", "/api/events")),
            (wait, ("/wait", "/api/wait")),
            (WebSocket(broadcaster, hub, places, prefix), ("/api/v1/ws",)),
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
