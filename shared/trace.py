"""The request that the present work is done for: a W3C `traceparent`, kept in one context variable.

`00-<trace id>-<parent id>-<flags>`: the trace id (32 hex digits) is the same in everything that one request causes, in
all services. HTTP takes it from the client or makes one, messages and events carry it along, every log line shows it.
https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from enum import StrEnum
from typing import Protocol

HEADER = "traceparent"
"""Its name in HTTP requests and in the headers of messages."""

_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32}-(?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)

_NOTHING: Mapping[str, str | int] = {}

_current: ContextVar[str] = ContextVar(HEADER, default="")


def current() -> str:
    """Return the traceparent of the present work, empty if it is done for no request."""
    return _current.get()


def new() -> str:
    """Return a traceparent of its own for work that no other request has caused; it is not sampled."""
    digits = os.urandom(24).hex()
    return f"00-{digits[:32]}-{digits[32:]}-00"


def parse(value: object) -> str:
    """Return a traceparent that came from outside, in the form of version 00; empty if it is none."""
    found = _FORM.fullmatch(value) if isinstance(value, str) else None
    if found is None or (found[1] == "00" and found[4]):
        return ""
    return f"00-{found[2]}-{'01' if int(found[3], 16) & 1 else '00'}"


def filled(traceparents: Sequence[str]) -> Sequence[str]:
    """Return the same, with a new trace in the place of those that are empty."""
    if all(traceparents):
        return traceparents
    begun = new()
    return [traceparent or begun for traceparent in traceparents]


def trace_id(traceparent: str) -> str:
    """Return its trace id, empty if there is no traceparent."""
    return traceparent[3:35]


def detail_level(traceparent: str) -> int:
    """Return the level for log lines on a single transaction, of which there may be a thousand in a second.

    INFO if the client asked for the trace to be recorded (the flag `sampled`), else DEBUG.
    """
    return logging.INFO if traceparent.endswith("1") else logging.DEBUG


class SpanKind(StrEnum):
    """What a span is, in OpenTelemetry's words."""

    SERVER = "server"
    PRODUCER = "producer"
    CONSUMER = "consumer"
    INTERNAL = "internal"


class SpanRecorder(Protocol):
    """Records spans for other systems (shared/telemetry.py)."""

    def spans(
        self, name: str, kind: SpanKind, traceparents: Sequence[str], about: Mapping[str, str | int]
    ) -> AbstractContextManager[Sequence[str]]:
        """See `trace.spans`."""


_recorder: SpanRecorder | None = None


def record_with(recorder: SpanRecorder | None) -> None:
    """Have all spans of this process recorded from now on; without this, none are."""
    global _recorder
    _recorder = recorder


def is_recording() -> bool:
    """Whether spans are recorded."""
    return _recorder is not None


def spans(
    name: str, kind: SpanKind, traceparents: Sequence[str], about: Mapping[str, str | int] = _NOTHING
) -> AbstractContextManager[Sequence[str]]:
    """Do the work inside as a span of each of these traces, if spans are recorded; an empty one begins a trace then.

    The context manager returns the traceparents that the work has, one for each of those given: what it causes comes
    after the span. `about` are attributes, which may change until the end.
    """
    return nullcontext(traceparents) if _recorder is None else _recorder.spans(name, kind, traceparents, about)


class within:  # noqa: N801  (a context manager, used like a function)
    """`with within(traceparent):` does the work inside for that request; an empty one is for none."""

    __slots__ = ("_token", "_traceparent")

    def __init__(self, traceparent: str) -> None:
        self._traceparent = traceparent

    def __enter__(self) -> None:
        self._token: Token[str] = _current.set(self._traceparent)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
