"""How many requests a client may make: a token bucket for each address. And how many streams it may hold.

A bucket holds what a client may ask for at once, `BURST_SECONDS` worth of its rate, and fills at that rate. One that is
full says nothing and is forgotten: memory is bounded by the clients of the last few seconds, and when there are more
than `MAX_CLIENTS` of them, those that were away for the longest are forgotten first.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from flask import Flask, request

from services.explorer.errors import RequestError
from shared.config import Settings
from shared.errors import ConfigError
from shared.web.asgi import Scope, header
from shared.web.hosts import is_loopback

BURST_SECONDS = 5
MAX_CLIENTS = 10_000
AUTOMATIC = -1
AUTOMATIC_RATE = 50
"""Requests per second where the service can be reached from outside."""
_FREE = ("/healthz", "/readyz", "/metrics", "/static/", "/shared/")

STREAMS_SHARE = 4
"""One client holds at most one of so many places for streams, where requests are limited, too."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Limiter:
    """The buckets, each a time in seconds at which it will be full again. Any thread may ask."""

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic, most: int = MAX_CLIENTS) -> None:
        self._rate = rate
        self._clock = clock
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, client: str) -> float:
        """Count a request of a client; return 0, or the seconds after which it may make one again."""
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
        """Drop what has been full for a while: the order is that of the last request, so the first tell for all."""
        while self._full_at:
            client, full_at = next(iter(self._full_at.items()))
            if full_at > now and len(self._full_at) < self._most:
                break
            del self._full_at[client]


def rate_limit(settings: Settings) -> int:
    """Return requests per second and client, 0 for no limit: the default depends on who can reach the service."""
    if settings.rate_limit != AUTOMATIC:
        return settings.rate_limit
    return 0 if is_loopback(settings.host) else AUTOMATIC_RATE


def stream_limit(settings: Settings) -> int:
    """Return how many event streams, websockets and waiting requests one client may hold."""
    return max(1, settings.max_streams // STREAMS_SHARE) if rate_limit(settings) else settings.max_streams


class Clients:
    """Tells clients apart, and counts what they ask for. `ConfigError` if a proxy is no address."""

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
        return client_address(request.remote_addr or "", request.headers.get("X-Forwarded-For"), self._proxies)

    def count(self, client: str) -> None:
        """Count a request; 429 if it is one too many."""
        wait = self._limiter.take(client) if self._limiter is not None else 0
        if wait:
            raise RequestError(429, "too many requests", math.ceil(wait))


def install_rate_limit(app: Flask, clients: Clients) -> None:
    """Let an application answer 429 to clients that ask for too much."""

    @app.before_request
    def check_rate() -> None:
        if clients.are_limited and not request.path.startswith(_FREE):
            clients.count(clients.of_request())


def client_address(peer: str, forwarded: str | None, proxies: list[Network]) -> str:
    """Return who asks: the peer, or whom it asks for if it is a proxy that is trusted.

    Each proxy appends whom it heard from to `X-Forwarded-For`: the last one that is no trusted proxy is the client.
    """
    client = peer
    for name in reversed((forwarded or "").split(",")):
        if not _is_within(client, proxies) or not _is_address(name.strip()):
            break
        client = name.strip()
    return client


def read_networks(text: str) -> list[Network]:
    """Return the addresses and networks of a comma-separated list."""
    try:
        return [ipaddress.ip_network(name.strip(), strict=False) for name in text.split(",") if name.strip()]
    except ValueError as error:
        raise ConfigError(f"WARREN_TRUSTED_PROXIES: {error}") from None


def _is_within(text: str, networks: list[Network]) -> bool:
    return _is_address(text) and any(ipaddress.ip_address(text) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
