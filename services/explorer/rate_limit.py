"""Limits each client's requests, by a token bucket for its address, and the streams it may hold.

A bucket holds the requests of `BURST_SECONDS` and fills at the client's rate. A full bucket is forgotten, so memory is
bounded by the clients of the last few seconds; beyond `MAX_CLIENTS` the longest idle client is forgotten first.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from flask import Flask, request

from services.explorer.errors import RequestError
from shared.config import Settings
from shared.web.asgi import Scope, header
from shared.web.async_flask import MAX_WAITING
from shared.web.clients import client_address, client_of_request, read_networks
from shared.web.hosts import is_loopback

BURST_SECONDS = 5
MAX_CLIENTS = 10_000
AUTOMATIC = -1
AUTOMATIC_RATE = 50
"""Requests per second where the service can be reached from outside."""
_FREE = ("/healthz", "/readyz", "/metrics", "/static/", "/shared/")

SHARE = 4
"""Where requests are limited, one client holds at most this share (one in four) of the places for streams and waits."""


class Limiter:
    """The buckets, each kept as the time in seconds at which it is full again. Safe to use from any thread."""

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic, most: int = MAX_CLIENTS) -> None:
        self._rate = rate
        self._clock = clock
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, client: str) -> float:
        """Count a request of a client; return 0, or, uncounted, the seconds until the client may ask again."""
        now = self._clock()
        with self._lock:
            self._forget(now)
            full_at = max(now, self._full_at.get(client, now)) + 1 / self._rate
            wait = full_at - now - BURST_SECONDS
            if wait > 1e-9:
                return wait
            self._full_at[client] = full_at
            self._full_at.move_to_end(client)
            return 0.0

    def _forget(self, now: float) -> None:
        """Drop full buckets; they are ordered by last request, so the first one that is not full ends the search."""
        while self._full_at:
            client, full_at = next(iter(self._full_at.items()))
            if full_at > now and len(self._full_at) < self._most:
                break
            del self._full_at[client]


def rate_limit(settings: Settings) -> int:
    """Return requests per second and client, 0 for no limit; by default only a service beyond loopback has one."""
    if settings.rate_limit != AUTOMATIC:
        return settings.rate_limit
    return 0 if is_loopback(settings.host) else AUTOMATIC_RATE


def stream_limit(settings: Settings) -> int:
    """Return the number of event streams, websockets and waiting requests that one client may hold."""
    return max(1, settings.max_streams // SHARE) if rate_limit(settings) else settings.max_streams


def waiting_limit(settings: Settings) -> int:
    """Return the number of requests of one client that may wait for other services."""
    return MAX_WAITING // SHARE if rate_limit(settings) else MAX_WAITING


class Clients:
    """Tells clients apart and counts their requests. `ConfigError` if a proxy is no address."""

    def __init__(self, settings: Settings) -> None:
        rate = rate_limit(settings)
        self._limiter = Limiter(rate) if rate else None
        self._proxies = read_networks(settings.trusted_proxies)

    @property
    def are_limited(self) -> bool:
        """Whether requests are counted at all."""
        return self._limiter is not None

    def of_scope(self, scope: Scope) -> str:
        """Return the address of the client that asks for an endpoint."""
        peer = scope["client"][0] if scope["client"] else ""
        return client_address(peer, header(scope, b"x-forwarded-for") or None, self._proxies)

    def of_request(self) -> str:
        """Return the address of the client whose request the application answers now."""
        return client_of_request(self._proxies)

    def count(self, client: str) -> None:
        """Count a request of a client; 429 over its limit."""
        wait = self._limiter.take(client) if self._limiter is not None else 0
        if wait:
            raise RequestError(429, "too many requests", math.ceil(wait))


def install_rate_limit(app: Flask, clients: Clients) -> None:
    """Let an application answer 429 to a client over its limit."""

    @app.before_request
    def check_rate() -> None:
        if clients.are_limited and not request.path.startswith(_FREE):
            clients.count(clients.of_request())
