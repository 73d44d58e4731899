"""Writes docs/topics.md from the message structs: `python -m shared.bus.reference > docs/topics.md`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from shared.bus import events
from shared.bus.events import BY_TOPIC, REPLIES, Message, Request
from shared.bus.topics import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, DURABLE_QUEUES, EXCHANGE

_HEAD = f"""# Topics and messages

Generated from `shared/bus/topics.py` and `shared/bus/events/` by `python -m shared.bus.reference`; a test keeps it
true.

Bodies are JSON. Hashes are in display order (reversed hex), raw bytes are hex, amounts are satoshis, times are seconds
since 1970. A field that has its default value is left out. Facts carry `seq`, which grows with every event; the same
event may arrive twice, after a crash, with the same `seq`. Messages arrive in the order of their publication, except
those that arrive again: they come in any order, and perhaps after newer ones.

On RabbitMQ the topic exchange is `{EXCHANGE}`, what nobody could handle goes to the exchange
`{DEAD_LETTER_EXCHANGE}` and the queue `{DEAD_LETTER_QUEUE}`, and the properties are `message_id`, `type` (the topic, or
the name of a reply), `timestamp`, `app_id`, `delivery_mode` 2, and `reply_to` and `correlation_id` of a request. On
Redis Streams the same fields are the entry's.

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
    fields = list(_fields(message))
    if fields:
        yield "\n| field | type | default | |\n|---|---|---|---|\n"
        for name, type_, default, text in fields:
            yield f"| `{name}` | `{type_}` | {default} | {text} |\n".replace(" | None`", " or null`")


def _fields(message: type) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, default and description of each field, as the source has them."""
    body: list[ast.stmt] = ast.parse(inspect.getsource(message)).body[0].body  # type: ignore[attr-defined]
    for position, statement in enumerate(body):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        type_ = ast.unparse(statement.annotation)
        if type_.startswith("ClassVar"):
            continue
        following = body[position + 1] if position + 1 < len(body) else None
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = " ".join(str(following.value.value).split())
        default = "" if statement.value is None else f"`{ast.unparse(statement.value)}`"
        yield statement.target.id, type_, default, text


if __name__ == "__main__":
    print(reference(), end="")
