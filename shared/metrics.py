"""The registry of all Prometheus metrics of a process, and the metrics of the bus, which every service has.

A service with an HTTP port answers `GET /metrics` with `render()`, a miner on a port of its own (`serve`). Names start
with `warren_`, times are in seconds. docs/operations.md lists all metrics.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    start_http_server,
)

from shared.errors import ConfigError

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
    """Return a new counter `warren_<name>_total`."""
    return Counter(f"warren_{name}", text, labels, registry=REGISTRY)


def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
    """Return a new gauge `warren_<name>`."""
    return Gauge(f"warren_{name}", text, labels, registry=REGISTRY)


def histogram(name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = _SECONDS) -> Histogram:
    """Return a new histogram `warren_<name>`; the default buckets are seconds from 0.5 ms to 10 s."""
    return Histogram(f"warren_{name}", text, labels, buckets=buckets, registry=REGISTRY)


def render() -> bytes:
    """Return all metrics in Prometheus' text format; serve it as `CONTENT_TYPE`."""
    return generate_latest(REGISTRY)


def serve(host: str, port: int) -> None:
    """Answer HTTP requests with all metrics on a daemon thread. Raises `ConfigError` if the port cannot be had."""
    try:
        start_http_server(port, host, REGISTRY)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}") from None


READY = gauge("ready", "Whether a need of the service was met at the last request of /readyz.", ("need",))
COMMIT_SECONDS = histogram("commit_seconds", "Time that Redis took for one commit of chain state.")

BUS_PUBLISHED = counter("bus_published", "Messages published and confirmed.", ("type",))
BUS_HANDLED = counter("bus_handled", "Messages handled and acked.", ("queue", "type"))
BUS_REQUEUED = counter("bus_requeued", "Messages given back after their handler failed.", ("queue",))
BUS_DEAD_LETTERED = counter("bus_dead_lettered", "Messages moved to the dead-letter queue.", ("queue",))
BUS_EXPIRED = counter("bus_expired", "Requests dropped because nobody waited for them any more.", ("queue",))
BUS_STALLS = counter("bus_stalls", "Batches held back because the store or the broker was away.", ("worker",))
BUS_RECONNECTS = counter("bus_reconnects", "Connections to the broker that were lost.")
BUS_HANDLER_SECONDS = histogram("bus_handler_seconds", "Time that a handler took for one batch.", ("type",))
