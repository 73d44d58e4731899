"""The API as the page `/docs` shows it: groups of operations, each with an example and, for a GET, a link to try."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from services.explorer.api.operation import JSON, Operation, Parameter
from services.explorer.openapi.document import errors_of, sample_of, samples
from services.explorer.openapi.schemas import Schema, example_of, schema_of
from shared.consensus.params import ChainParams

API = "/api"


@dataclass(frozen=True, slots=True)
class ListedOperation:
    """One operation."""

    operation: Operation
    anchor: str
    path: str
    """With the names of its parameters in braces."""
    link: str
    """A path to try; empty for a POST, an answer without end, and parameters that have no sample."""
    command: str
    """The curl command for it."""
    parameters: list[tuple[Parameter, str]]
    """Each with a text of its possible values."""
    example: str
    """Of an answer."""
    errors: dict[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Section:
    """A group of operations."""

    name: str
    anchor: str
    entries: list[ListedOperation]


def sections(
    operations: Sequence[Operation], described: Mapping[str, Any], params: ChainParams, base_url: str
) -> list[Section]:
    """Return the page's content, in the order of the OpenAPI document `described`; commands go to `base_url`."""
    found = samples(params)
    groups: dict[str, list[ListedOperation]] = {}
    for operation in operations:
        answer = described["paths"][operation.path][operation.method.lower()]["responses"]["200"]
        example = answer["content"][operation.content_type]["example"]
        groups.setdefault(operation.group, []).append(_entry(operation, example, found, base_url))
    return [Section(name, name.lower().replace(" ", "-").replace(".", "-"), group) for name, group in groups.items()]


def _entry(operation: Operation, example: Any, found: Mapping[str, str], base_url: str) -> ListedOperation:
    path = API + operation.path
    link = _link(operation, found)
    has_samples = all(parameter.sample for parameter in operation.parameters if parameter.required)
    can_be_tried = operation.method == "GET" and operation.stream is None and has_samples
    words = operation.path.replace("{", "").replace("}", "").strip("/").replace("/", "-")
    return ListedOperation(
        operation=operation,
        anchor=f"{operation.method.lower()}-{words}",
        path=path,
        link=link if can_be_tried else "",
        command=_command(operation, base_url + link),
        parameters=[(parameter, _kind(schema_of(parameter.type))) for parameter in operation.parameters],
        example=json.dumps(example, indent=2) if operation.content_type == JSON else str(example),
        errors=errors_of(operation),
    )


def _link(operation: Operation, found: Mapping[str, str]) -> str:
    path, query = API + operation.path, {}
    for parameter in operation.parameters:
        sample = sample_of(parameter, found)
        if parameter.place == "path":
            path = path.replace(f"{{{parameter.name}}}", quote(sample, safe=""))
        elif sample and parameter.place == "query":
            query[parameter.name] = sample
    return f"{path}?{urlencode(query)}" if query else path


def _command(operation: Operation, url: str) -> str:
    if operation.body is None:
        return f"curl '{url}'"
    sample: Any = example_of(schema_of(operation.body.type), {})
    sent = json.dumps(sample, ensure_ascii=False) if operation.body.content_type == JSON else sample
    return f"curl '{url}' -H 'Content-Type: {operation.body.content_type}' --data '{sent}'"


def _kind(schema: Schema) -> str:
    match schema:
        case {"pattern": "^[0-9a-fA-F]{64}$"}:
            return "64 hex digits"
        case {"type": "array", "items": items}:
            return f"{_kind(items)}, any number of times"
        case {"type": "integer", "maximum": 0xFFFFFFFF}:
            return "whole number up to 4,294,967,295"
        case {"type": "integer"}:
            return "whole number"
        case {"type": "number"}:
            return "number"
    return "text"
