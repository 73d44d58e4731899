"""What the explorer serves on the event loop itself, beside the Flask application: all that stays open for long."""

from __future__ import annotations

from services.explorer.event_stream import EventStream
from services.explorer.hub import EventHub
from services.explorer.places import Places
from shared.config import Settings
from shared.web.asgi import Endpoint, guarded
from shared.web.hosts import TrustedHosts


def create_endpoints(settings: Settings, hub: EventHub) -> dict[str, Endpoint]:
    """Return the endpoints by path."""
    hosts = TrustedHosts(settings.trusted_hosts)
    places = Places(settings.max_streams)
    events = guarded(EventStream(hub, places), hosts)
    return {"/events": events, "/api/events": events}
