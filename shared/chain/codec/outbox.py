"""Facts in the outbox."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared import trace
from shared.bus import events
from shared.bus.events import Fact
from shared.errors import DecodeError


def decode_traceparent(fields: Mapping[bytes, bytes]) -> str:
    """Return the traceparent of an outbox entry, a new one if it was written without."""
    return trace.parse(fields.get(b"traceparent", b"").decode("ascii", "replace")) or trace.new()


def decode_event(seq: int, fields: Mapping[bytes, bytes]) -> Fact:
    """Return the fact of an outbox entry with the number from its id; `DecodeError` if it is another message."""
    message = events.decode(fields[b"topic"].decode(), fields[b"body"])
    if not isinstance(message, Fact):
        raise DecodeError(f"event {seq} is no fact: {message.topic}")
    return msgspec.structs.replace(message, seq=seq)
