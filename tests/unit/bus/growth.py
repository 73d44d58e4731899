"""Finds the changes of messages that the rules of docs/topics.md forbid, between two results of `schema.shapes`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Shapes = dict[str, Any]


def forbidden(old: Shapes, new: Shapes) -> list[str]:
    """Return a line for each change that breaks a program made for the other version."""
    found = []
    for topic, about in old["topics"].items():
        if new["topics"].get(topic) != about:
            found.append(f"{topic}: was {about}, is {new['topics'].get(topic)}")
    may_grow = _of_requests_alone(new)
    for name, before in old["schemas"].items():
        after = new["schemas"].get(name)
        if after is None:
            found.append(f"{name} is gone")
        elif "enum" in before:
            found += _words(name, set(before["enum"]), set(after.get("enum", ())), name in may_grow)
        else:
            found += _fields(name, before, after)
    return found


def _words(name: str, before: set[str], after: set[str], may_grow: bool) -> Iterator[str]:
    if missing := before - after:
        yield f"{name} has lost {sorted(missing)}"
    if (added := after - before) and not may_grow:
        yield f"{name} has grown by {sorted(added)}, and listeners of the last version get it"


def _fields(name: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    if {**before, "properties": 0, "required": 0} != {**after, "properties": 0, "required": 0}:
        yield f"{name} is another kind of thing"
    for field, schema in before["properties"].items():
        present = after["properties"].get(field)
        if present is None:
            yield f"{name}.{field} is gone"
        elif present != schema:
            yield f"{name}.{field} was {schema}, is {present}"
        elif (field in before["required"]) != (field in after["required"]):
            yield f"{name}.{field} was required, or is now"
    for field in after["required"]:
        if field not in before["properties"]:
            yield f"{name}.{field} is new and has no default"


def _of_requests_alone(shapes: Shapes) -> set[str]:
    asking = {about["message"] for about in shapes["topics"].values() if "reply" in about}
    telling = {about.get("reply", about["message"]) for about in shapes["topics"].values()}
    return _reachable(shapes, asking) - _reachable(shapes, telling)


def _reachable(shapes: Shapes, names: set[str]) -> set[str]:
    found: set[str] = set()
    pending = set(names)
    while pending:
        name = pending.pop()
        found.add(name)
        text = json.dumps(shapes["schemas"][name])
        pending |= {other for other in shapes["schemas"] if f'/{other}"' in text} - found
    return found
