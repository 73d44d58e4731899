"""Writes docs/topics.md and docs/asyncapi.json from the message structs: `python -m shared.bus.reference`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

from shared.bus import asyncapi, events
from shared.bus.events import BY_TOPIC, REPLIES, SCHEMA_VERSION, Message, Request
from shared.bus.schema import described_fields
from shared.bus.topics import (
    DEAD_LETTER_EXCHANGE,
    DURABLE_QUEUES,
    EXCHANGE,
    GUESTS,
    REPLY_EXCHANGE,
    dead_letter_queue,
    outlet,
)

_DOCS = Path(__file__).resolve().parents[2] / "docs"

_HEAD = f"""# Topics and messages

Generated from `shared/bus/topics.py` and `shared/bus/events/` by `python -m shared.bus.reference`; a test keeps it
true. [asyncapi.json](asyncapi.json) has the same for programs (AsyncAPI 3.0; `/asyncapi.json` at the explorer).

Bodies are JSON. Hashes are in display order (reversed hex), raw bytes are hex, amounts are satoshis, times are seconds
since 1970. A field that has its default value is left out. Facts carry `seq`, which grows with every event; the same
event may arrive twice, after a crash, with the same `seq`. Messages arrive in the order of their publication, except
those that arrive again: they come in any order, and perhaps after newer ones.

RabbitMQ has three topic exchanges. Messages go to `{EXCHANGE}` with their topic as routing key; a publisher has an
exchange of its own before it (`{outlet("mempool")}` and so on, `{outlet(GUESTS)}` for other programs), which lets its
topics through. Replies go to
`{REPLY_EXCHANGE}` with the request's `reply_to` as routing key: the name of an exclusive queue of the requester, which
is the requester's name, a dot and 32 hexadecimal digits, and which the requester has bound to that exchange by its own
name. What a service could not handle goes to `{DEAD_LETTER_EXCHANGE}` with the service's name as routing key, and is
kept in `{dead_letter_queue("mempool")}`, `{dead_letter_queue("wallet")}` and so on.

The properties are `message_id`, `type` (the topic, or the name of a reply), `content_type` `application/json`,
`timestamp`, `app_id`, `delivery_mode` 2, and `reply_to` and `correlation_id` of a request. The headers are
`traceparent`, `schema-version` and, of a request, `deadline`. On Redis Streams the same fields are the entry's.

`traceparent` is W3C Trace Context's: it names the request of a client that caused the message, through all services,
and their log lines show its trace id. `correlation_id` only pairs a reply with its request. A message that comes
without a valid `traceparent` begins a trace of its own. `deadline` is the time, in milliseconds since 1970, until which
the requester waits for the reply: of the requests marked so, one that comes too late is dropped, with a log line, so
that nobody works for a requester that has gone. The clocks of all hosts must agree to within a second.

"""

_GROWTH = f"""
## How messages may change

The services of a stack are not upgraded in one moment, and other people's programs are not upgraded at all. So messages
of the last version and of the next one pass side by side, and these rules hold:

1. **A receiver ignores fields that it does not know.** Programs of your own should do so too.
2. **A new field has a default**, which means what the message meant without it. It is left out where it has its
   default.
3. **A field never changes**: not its name, type, default or meaning, and not whether it is required. No field is
   removed.
4. **A new meaning is a new topic**, which receivers that do not know it never get: their queues are not bound to
   it. The old topic is published beside it for as long as anybody listens. An order that would do harm if a field
   of it was ignored (as `test_only` would) is such a meaning.
5. **A list of allowed words grows in requests only**, as that of `chain.control`: the one service that answers is
   upgraded before those who ask. In facts and replies it stays as it is, because listeners are upgraded in any
   order.
6. **Who answers is upgraded first**: mempool, then wallet, then explorer and miners. Standbys of the mempool come
   before its writer. Going back one version is the same in reverse.

All topics together have one schema version, now {SCHEMA_VERSION}. It grows by one with each new field, word or
topic, and says which fields a sender may know. A program that reads messages does not need it: whatever the
version, the fields it knows mean the same.

`tests/unit/bus/schemas/` keeps the shapes of every version, and a test compares the code with all of them. To add a
field: give it a default, raise `SCHEMA_VERSION` in `shared/bus/events/message.py`, and run `python -m
shared.bus.schema > tests/unit/bus/schemas/N.json` with the new number.
"""


def reference() -> str:
    """Return the text of docs/topics.md."""
    return "".join(_parts())


def _parts() -> Iterator[str]:
    yield _HEAD
    yield "## Durable queues\n\n| queue | takes |\n|---|---|\n"
    for queue in DURABLE_QUEUES:
        yield f"| `{queue.name}` | {', '.join(f'`{topic}`' for topic in queue.topics)} |\n"
    yield "\nEach miner and each explorer has a queue of its own beside these, which goes away with it.\n"
    yield _GROWTH
    yield "\n## Messages\n"
    for topic, message in BY_TOPIC.items():
        yield from _message(f"`{topic}`", message)
    yield "\n## Replies\n"
    for name, message in REPLIES.items():
        yield from _message(f"`{name}`", message)
    for part in (events.TxVerdict, events.WalletName, events.TemplateTx):
        yield from _message(f"`{part.__name__}`", part)


def _message(title: str, message: type) -> Iterator[str]:
    yield f"\n### {title}\n\n{inspect.getdoc(message)}\n"
    if issubclass(message, Request):
        reply = message.reply_type().__name__
        yield f"\nAnswered with [`{reply}`](#{reply.lower()}).\n"
    if issubclass(message, Message) and message.needs_message_id:
        yield "\nIt needs a `message_id`: one that comes twice with the same id is carried out once.\n"
    if issubclass(message, Message) and message.expires:
        yield "\nOne whose `deadline` has passed is dropped.\n"
    fields = list(described_fields(message))
    if fields:
        yield "\n| field | type | default | |\n|---|---|---|---|\n"
        for name, type_, default, text in fields:
            yield f"| `{name}` | `{type_}` | {default} | {text} |\n".replace(" | None`", " or null`")


if __name__ == "__main__":
    _DOCS.joinpath("topics.md").write_text(reference(), encoding="utf-8")
    _DOCS.joinpath("asyncapi.json").write_text(json.dumps(asyncapi.document(), indent=1) + "\n", encoding="utf-8")
