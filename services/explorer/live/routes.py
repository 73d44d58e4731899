"""Endpoints on the event loop, beside the Flask application: requests and connections that stay open for long."""

from __future__ import annotations

from services.explorer.api.mempool_space import MempoolSpace
from services.explorer.api.operation import Operation
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import RequestError
from services.explorer.live import sse_endpoint, wait_endpoint
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
) -> dict[str, Endpoint]:
    """Return the endpoints by path."""
    hosts = TrustedHosts(settings.trusted_hosts)
    slots = StreamSlots(settings.max_streams, stream_limit(settings), clients.of_scope)
    threads = Threads(_THREADS, "websockets")
    snapshot = Snapshot(chain, api, threads, lambda: hub.position)
    broadcaster = Broadcaster(hub, snapshot, ChangeReader(chain, api), threads)
    found: dict[str, Endpoint] = {"/api/v1/ws": WebSocket(broadcaster, hub, slots, chain.params.address)}
    tables: tuple[tuple[Endpoint, tuple[Operation, ...]], ...] = (
        (EventStream(hub, slots), sse_endpoint.OPERATIONS),
        (Wait(chain, hub, slots, Threads(_THREADS, "wait")), wait_endpoint.OPERATIONS),
    )
    for endpoint, operations in tables:
        found |= {beginning + operation.path: endpoint for operation in operations for beginning in ("", "/api")}
    return {path: guarded(_refusing(endpoint, clients), hosts) for path, endpoint in found.items()}


def _refusing(endpoint: Endpoint, clients: Clients) -> Endpoint:
    """Return the endpoint with its requests counted and its refusals in the API's form."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            clients.count(clients.of_scope(scope))
            await endpoint(scope, receive, send)
        except RequestError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.status in (429, 503) else {}
            await respond(scope, send, error.status, error.message, {"Content-Type": "text/plain"} | headers)

    return app
