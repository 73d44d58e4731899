"""The spans of a payment reach an OpenTelemetry collector: one tree through all services, with its trace id."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shared import trace
from tests.e2e.conftest import Stack, StartStack, eventually
from tests.e2e.test_traces import mine, pay, sampled


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace: str
    parent: str
    id: str


class Collector:
    """Takes what services export, and keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                for part in ExportTraceServiceRequest.FromString(body).resource_spans:
                    about = {one.key: one.value.string_value for one in part.resource.attributes}
                    for span in (span for scope in part.scope_spans for span in scope.spans):
                        found = (span.trace_id.hex(), span.parent_span_id.hex(), span.span_id.hex())
                        spans.append(Span(about["service.name"], span.name, *found))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def of(self, traceparent: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace.trace_id(traceparent)]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def test_a_payments_spans_are_one_tree_through_all_services(
    start_stack: StartStack, tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARREN_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    given = sampled()
    expected = {
        ("wallet", "POST"),
        ("wallet", "publish tx.submitted"),
        ("mempool", "handle tx.submitted"),
        ("mempool", "commit"),
        ("mempool", "publish tx.accepted"),
        ("wallet", "handle tx.accepted"),
        ("explorer", "handle tx.accepted"),
        ("mempool", "handle mine.requested"),
        ("mempool", "publish block.template"),
        ("miner", "handle block.template"),
        ("miner", "publish block.mined"),
        ("mempool", "handle block.mined"),
        ("explorer", "handle block.connected"),
    }
    with start_stack(tmp_path) as state:
        stack = Stack(state)
        _, answered = pay(stack, given)
        assert trace.trace_id(answered) == trace.trace_id(given)
        mine(stack, given)
        eventually(lambda: {(span.service, span.name) for span in collector.of(given)} >= expected, 30, "all spans")
    spans = collector.of(given)
    known = {span.id for span in spans} | {given[36:52]}
    assert [span for span in spans if span.parent not in known] == []
    assert len({span.id for span in spans}) == len(spans)
