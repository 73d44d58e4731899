"""Spans for OpenTelemetry: the ids are those of messages and log lines, and nothing of it is there unless asked for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from shared import telemetry, trace
from shared.bus.events import Message, TxSubmitted
from shared.bus.topics import MEMPOOL_TXS
from shared.bus.worker import Incoming, Worker
from shared.config import Settings
from shared.errors import ConfigError
from shared.process.shutdown import ExitFlag
from shared.telemetry import OpenTelemetryRecorder
from shared.trace import SpanKind
from tests.unit.bus.fake_broker import FakeBroker

SAMPLED, UNSAMPLED = f"00-{'1' * 32}-{'a' * 16}-01", f"00-{'2' * 32}-{'b' * 16}-00"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.record_with(OpenTelemetryRecorder(provider.get_tracer("test")))
    yield exporter
    trace.record_with(None)
    provider.shutdown()


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """Return the ids of trace, parent and span, as a traceparent has them."""
    parent = "" if span.parent is None else f"{span.parent.span_id:016x}"
    assert span.context is not None
    return f"{span.context.trace_id:032x}", parent, f"{span.context.span_id:016x}"


def test_a_span_is_in_the_trace_of_its_cause_and_what_it_causes_comes_after_it(exported: InMemorySpanExporter) -> None:
    about: dict[str, str | int] = {"http.request.method": "POST"}
    with trace.spans("POST", SpanKind.SERVER, [SAMPLED], about) as (outer,):
        about["http.response.status_code"] = 200
        with trace.spans("commit", SpanKind.INTERNAL, [outer]) as (inner,):
            pass
    commit, post = exported.get_finished_spans()
    assert ids(post) == ("1" * 32, "a" * 16, outer[36:52])
    assert ids(commit) == ("1" * 32, outer[36:52], inner[36:52])
    assert trace.parse(outer) == outer
    assert (post.name, post.kind.name) == ("POST", "SERVER")
    assert post.attributes == {"http.request.method": "POST", "http.response.status_code": 200}


def test_work_without_a_cause_begins_a_trace(exported: InMemorySpanExporter) -> None:
    with trace.spans("publish", SpanKind.PRODUCER, [""]) as (begun,):
        pass
    (span,) = exported.get_finished_spans()
    assert ids(span) == (trace.trace_id(begun), "", begun[36:52])
    assert begun.endswith("-01")


def test_what_the_client_does_not_want_recorded_is_not_but_goes_on(exported: InMemorySpanExporter) -> None:
    with trace.spans("publish", SpanKind.PRODUCER, [UNSAMPLED]) as (begun,):
        pass
    assert exported.get_finished_spans() == ()
    assert (trace.trace_id(begun), begun[-3:]) == ("2" * 32, "-00")


def test_a_batch_has_one_span_for_each_of_its_traces(exported: InMemorySpanExporter) -> None:
    other = SAMPLED.replace("1" * 32, "3" * 32)
    with trace.spans("handle", SpanKind.CONSUMER, [SAMPLED, other, SAMPLED]) as begun:
        assert begun[0] == begun[2]
    assert [trace.trace_id(one) for one in begun] == ["1" * 32, "3" * 32, "1" * 32]
    assert len(exported.get_finished_spans()) == 2


def test_a_fault_is_told_by_its_kind_and_never_by_its_words(exported: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="hunter2"), trace.spans("handle", SpanKind.CONSUMER, [SAMPLED]):
        raise ValueError("the password is hunter2")
    (span,) = exported.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "hunter2" not in span.to_json()


def test_a_worker_handles_each_message_in_a_span_of_its_own(exported: InMemorySpanExporter) -> None:
    broker, seen = FakeBroker(), []

    def handle(batch: list[Incoming[TxSubmitted]]) -> list[Message | None]:
        seen.extend(incoming.traceparent for incoming in batch)
        return [None] * len(batch)

    worker = Worker(broker, broker.consumer([MEMPOOL_TXS]), {TxSubmitted: handle}, name="test", stop=ExitFlag())
    for cause in (SAMPLED, SAMPLED.replace("1" * 32, "3" * 32)):
        broker.put(MEMPOOL_TXS, TxSubmitted(txs=()), traceparent=cause)
    worker.run_once()
    spans = exported.get_finished_spans()
    assert {span.name for span in spans} == {"handle tx.submitted"}
    assert [ids(span) for span in spans] == [
        (digit * 32, "a" * 16, traceparent[36:52]) for digit, traceparent in zip("13", seen, strict=True)
    ]


def test_nothing_of_it_is_imported_unless_the_settings_ask_for_it() -> None:
    """Beyond what redis-py imports by itself where it is installed: the API of metrics."""
    services = ", ".join(f"services.{name}.__main__" for name in ("wallet", "mempool", "miner", "explorer"))
    program = f"""import sys, {services}
from shared import telemetry, trace
from shared.config import Settings
telemetry.setup(Settings(), "wallet")
ours = ("opentelemetry.sdk.trace", "opentelemetry.exporter")
print(trace.is_recording(), [name for name in sys.modules if name.startswith(ours)])"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False []\n"


def test_a_collector_that_is_away_delays_no_end_and_costs_one_line() -> None:
    program = f"""import time
from shared import logs, telemetry, trace
from shared.config import Settings
settings = Settings(otlp_endpoint="http://user:not-a-secret@127.0.0.1:9")
logs.setup(settings, "wallet")
telemetry.setup(settings, "wallet")
with trace.spans("POST", trace.SpanKind.SERVER, ["{SAMPLED}"]):
    pass
print(time.monotonic())"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert time.monotonic() - float(done.stdout) < telemetry._PATIENCE + 5
    (line,) = done.stderr.splitlines()
    assert "ERROR wallet: " in line
    assert "not-a-secret" not in line


def test_a_machine_without_the_packages_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"requirements/telemetry\.lock"):
        telemetry.setup(Settings(otlp_endpoint="http://127.0.0.1:4318"), "wallet")
    assert not trace.is_recording()
