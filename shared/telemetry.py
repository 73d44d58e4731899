"""Exports spans by OpenTelemetry's protocol (OTLP over HTTP), with the trace ids that messages and log lines have.

Off unless `WARREN_OTLP_ENDPOINT` names a collector. OpenTelemetry's packages (the extra `telemetry`) are imported only
then; their own variables, such as `OTEL_TRACES_SAMPLER`, count too.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared import trace
from shared.config import Settings
from shared.errors import ConfigError

_PATIENCE = 2.0
"""Seconds after which spans that the collector does not take are dropped; so long it can delay the end of a service."""

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer


def setup(settings: Settings, service: str) -> None:
    """Export the spans of this process, if the settings say so. Raises `ConfigError` where the packages are missing."""
    if not settings.otlp_endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError("WARREN_OTLP_ENDPOINT needs the packages of requirements/telemetry.lock") from None
    instance = f"{socket.gethostname()}:{os.getpid()}"
    about = {"service.namespace": "warren", "service.name": service, "service.instance.id": instance}
    provider = TracerProvider(resource=Resource.create(about))  # at exit it sends what it still has
    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=_PATIENCE)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.record_with(OpenTelemetryRecorder(provider.get_tracer("warren")))


class OpenTelemetryRecorder:
    """Records each span in the trace of its traceparent."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def spans(
        self, name: str, kind: trace.SpanKind, traceparents: Sequence[str], about: Mapping[str, str | int]
    ) -> Iterator[Sequence[str]]:
        """See `trace.spans`: one span for each traceparent, however often it is given."""
        from opentelemetry.trace import SpanKind, StatusCode

        kinds = SpanKind[kind.name]
        begun = {
            cause: self._tracer.start_span(name, context=_context(cause), kind=kinds)
            for cause in dict.fromkeys(traceparents)
        }
        try:
            yield [_traceparent(begun[cause]) for cause in traceparents]
        except BaseException as error:
            for span in begun.values():
                span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            for span in begun.values():
                span.set_attributes(about)
                span.end()


def _context(traceparent: str) -> Context:
    """Return the context of a span that comes after this one of another process, or of one that begins a trace."""
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if not traceparent:
        return Context()
    _, trace_id, parent_id, flags = traceparent.split("-")
    parent = SpanContext(int(trace_id, 16), int(parent_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _traceparent(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"
