"""W3C Trace Context: what is taken from outside, and what log lines show."""

from __future__ import annotations

import json
import logging
import threading

import pytest

from shared import trace
from shared.logs import JsonFormatter, TextFormatter, with_fields

TRACE_ID, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE_ID}-{PARENT}-01"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (SAMPLED, SAMPLED),
        (f"00-{TRACE_ID}-{PARENT}-00", f"00-{TRACE_ID}-{PARENT}-00"),
        (f"00-{TRACE_ID}-{PARENT}-fe", f"00-{TRACE_ID}-{PARENT}-00"),  # other flags mean nothing to us
        (f"00-{TRACE_ID}-{PARENT}-03", SAMPLED),
        (f"01-{TRACE_ID}-{PARENT}-01-more", SAMPLED),  # a later version, of which these four parts are known
        (f"01-{TRACE_ID}-{PARENT}-01", SAMPLED),
    ],
)
def test_a_traceparent_from_outside_is_taken(given: str, taken: str) -> None:
    assert trace.parse(given) == taken


@pytest.mark.parametrize(
    "given",
    [
        "",
        None,
        7,
        SAMPLED.encode(),
        SAMPLED.upper(),
        SAMPLED + "\n",
        f"{SAMPLED}-more",
        f"ff-{TRACE_ID}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID[:-1]}-{PARENT}-01",
        f"00-{TRACE_ID}-{PARENT}",
        f"00-{TRACE_ID}-{PARENT}-0١",
        "trace=forged ERROR",
    ],
)
def test_what_is_no_traceparent_is_not_taken(given: object) -> None:
    assert trace.parse(given) == ""


def test_a_new_traceparent_is_valid_unsampled_and_unlike_any_other() -> None:
    many = {trace.new() for _ in range(1000)}
    assert len({trace.trace_id(one) for one in many}) == 1000
    assert all(trace.parse(one) == one and one.endswith("-00") for one in many)


def test_work_inside_belongs_to_the_request_and_work_after_it_to_the_one_before() -> None:
    other = trace.new()
    assert trace.current() == ""
    with trace.within(SAMPLED):
        with trace.within(other):
            assert trace.current() == other
        with pytest.raises(ValueError, match="x"), trace.within(other):
            raise ValueError("x")
        assert trace.current() == SAMPLED
        with trace.within(""):
            assert trace.current() == ""
        assert trace.current() == SAMPLED
    assert trace.current() == ""


def test_another_thread_works_for_nobody() -> None:
    seen = []
    with trace.within(SAMPLED):
        thread = threading.Thread(target=lambda: seen.append(trace.current()))
        thread.start()
        thread.join()
    assert seen == [""]


def line(**fields: object) -> logging.LogRecord:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "payment accepted", (), None)
    record.__dict__ |= with_fields(**fields)
    return record


def test_a_line_about_a_request_shows_its_trace_id() -> None:
    with trace.within(SAMPLED):
        assert TextFormatter("wallet").format(line(txid="aa")).endswith(f"payment accepted txid=aa trace={TRACE_ID}")
        assert json.loads(JsonFormatter("wallet").format(line(txid="aa")))["trace"] == TRACE_ID


def test_a_line_about_no_request_shows_none() -> None:
    assert "trace" not in TextFormatter("wallet").format(line())
    assert "trace" not in JsonFormatter("wallet").format(line())


def test_a_line_on_one_transaction_is_for_those_who_asked_for_it() -> None:
    assert trace.detail_level(SAMPLED) == logging.INFO
    assert trace.detail_level(trace.new()) == logging.DEBUG
    assert trace.detail_level("") == logging.DEBUG
