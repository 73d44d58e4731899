"""The shape of every message, as data: topics, and JSON Schema of the bodies.

`python -m shared.bus.schema` prints the shapes alone, without descriptions: the tests keep one such file for each
version of the messages, and compare the code with all of them.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from shared.bus.events import BY_TOPIC, REPLIES, Request

PLACE = "#/components/schemas/"
"""Where a document keeps the schemas, as its references name it."""


def schemas() -> dict[str, Any]:
    """Return the JSON Schema of every message and of its parts, by the class's name, with descriptions."""
    classes = dict.fromkeys([*BY_TOPIC.values(), *REPLIES.values()])
    _, components = msgspec.json.schema_components(classes, ref_template=PLACE + "{name}")
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(components))  # without tuples, as in a file
    return plain


def shapes() -> dict[str, Any]:
    """Return the part of the schemas that programs rely on, and which message and reply belong to each topic."""
    topics = {}
    for topic, message in BY_TOPIC.items():
        topics[topic] = {"message": message.__name__}
        if issubclass(message, Request):
            topics[topic]["reply"] = message.reply_type().__name__
    return {"topics": topics, "schemas": {name: _shape(schema) for name, schema in schemas().items()}}


def _shape(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


def described_fields(message: type) -> Iterator[tuple[str, str, str, str]]:
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
    print(json.dumps(shapes(), indent=1, sort_keys=True))
