"""Encodes server-sent events (WHATWG HTML, 9.2), and reads the parameters of a request for a stream. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

from services.explorer.api.parameters import read_number
from services.explorer.errors import RequestError
from shared.bus import events
from shared.bus.events import Fact
from shared.bus.topics import FACTS

RETRY_MILLISECONDS = 2_000
"""Milliseconds that a browser waits before it reconnects."""
COMMENT = b": still here\n\n"
TOPICS = frozenset(str(topic) for topic in FACTS)


def encode_frame(fact: Fact) -> bytes:
    """Return a fact as an event: its number as id, its topic as type, the message on the bus as data."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (fact.seq, str(fact.topic).encode(), events.encode(fact))


def encode_opening(position: int) -> bytes:
    """Return the first bytes of a stream: the delay before a reconnect, and the position at which the stream begins."""
    return b"retry: %d\n" % RETRY_MILLISECONDS + encode_position(position)


def encode_position(position: int) -> bytes:
    """Return bytes that set a client's position without an event."""
    return b"id: %d\n\n" % position


def encode_gap(position: int) -> bytes:
    """Return the event that tells a client to read the chain again: events up to this position are lost."""
    return b'id: %d\nevent: gap\ndata: {"seq":%d}\n\n' % (position, position)


def read_topics(query: str) -> frozenset[str]:
    """Return the topics that a query names, or all topics; a 400 names an unknown topic."""
    names = ",".join(parse_qs(query).get("topics", []))
    wanted = frozenset(name.strip() for name in names.split(",") if name.strip())
    if unknown := sorted(wanted - TOPICS):
        known = ", ".join(sorted(TOPICS))
        raise RequestError(400, f"Unknown topic {unknown[0][:100]!r}: the topics are {known}")
    return wanted or TOPICS


def read_position(query: str, header: str) -> int | None:
    """Return the position of a client that resumes, None for a new one; the header takes precedence over the query."""
    given: Sequence[str] = [header] if header else parse_qs(query).get("last_event_id", [])
    try:
        return read_number(given[-1]) if given else None
    except RequestError:
        raise RequestError(400, "Invalid Last-Event-ID") from None
