"""Makes pika's parameters from `WARREN_AMQP_URL`: one set for each host of a cluster, with TLS if it says `amqps://`."""

from __future__ import annotations

import copy
import ssl
from typing import Any
from urllib.parse import urlencode

import pika

from shared.errors import ConfigError
from shared.servers.url import AMQP_PORTS, TLS_FILES, ServerUrl, parse_server_url

_WHAT = "the AMQP URL"

_HEARTBEAT = 20
"""Seconds: RabbitMQ closes a connection after twice as long without a word, pika after 5 seconds more than it."""
_CONNECT_TIMEOUTS = (5.0, 8.0)
"""Seconds until a host has taken the connection, and until the broker has answered on it."""
WORK_HEARTBEAT = 2
"""Of a connection that consumes what other instances could consume too: messages that a silent process holds must come
free within the time of the writer's lease."""
_CLUSTER_HEARTBEAT = 4
_CLUSTER_CONNECT_TIMEOUTS = (2.0, 3.0)
"""Of a host that has others beside it: those can be tried soon."""
_BLOCKED_TIMEOUT = 60.0
"""Seconds that the server may block publishers (memory, disk) before the connection counts as lost."""


def parameters(amqp_url: str, connection_name: str = "warren", heartbeat: int | None = None) -> list[Any]:
    """Return pika's parameters for each host of the URL; its query (`?heartbeat=5`) goes before our defaults.

    RabbitMQ lists the connection under `connection_name`; `heartbeat` in seconds. `ConfigError` for a malformed URL.
    """
    server = parse_server_url(amqp_url, AMQP_PORTS, _WHAT)
    is_one_of_many = len(server.addresses) > 1
    defaults = {
        "heartbeat": str(heartbeat or (_CLUSTER_HEARTBEAT if is_one_of_many else _HEARTBEAT)),
        "blocked_connection_timeout": str(_BLOCKED_TIMEOUT),
    }
    if "socket_timeout" not in server.query:
        seconds = _CLUSTER_CONNECT_TIMEOUTS if is_one_of_many else _CONNECT_TIMEOUTS
        defaults |= dict(zip(("socket_timeout", "stack_timeout"), map(str, seconds), strict=True))
    query = urlencode(defaults | {name: value for name, value in server.query.items() if name not in TLS_FILES})
    try:
        common = pika.URLParameters(f"{server.scheme}://127.0.0.1/{server.path}?{query}")
    except (ValueError, TypeError, SyntaxError):
        raise ConfigError(f"{_WHAT} is malformed (not shown: it may hold a password)") from None
    if server.username is not None:
        common.credentials = pika.PlainCredentials(server.username, server.password or "")
    common.client_properties = {"connection_name": connection_name}
    context = _tls_context(server)
    found = []
    for host, port in server.addresses:
        result = copy.copy(common)
        result.host, result.port = host, port
        if server.scheme == "amqps":
            result.ssl_options = pika.SSLOptions(
                context or common.ssl_options.context, common.ssl_options.server_hostname or host
            )
        found.append(result)
    return found


def _tls_context(server: ServerUrl) -> ssl.SSLContext | None:
    """Return the context for the URL's PEM files, None if it names none."""
    trusted, certificate, key = (server.query.get(name) for name in TLS_FILES)
    if not (trusted or certificate):
        return None
    if server.scheme != "amqps":
        raise ConfigError(f"{_WHAT} names certificates, and does not ask for TLS: amqps://…")
    try:
        context = ssl.create_default_context(cafile=trusted)
        if certificate:
            context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise ConfigError(f"{_WHAT} names a certificate or key that is of no use: {error.reason or error}") from None
    return context
